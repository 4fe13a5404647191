"""What counts inside one task file."""

from __future__ import annotations

from pathlib import Path

import pytest

from psyflow.exceptions import TaskFileError
from psyflow.fingerprint import Part, changes, fingerprint_code, space_part


def fingerprint(path: Path) -> dict[str, Part]:
    return fingerprint_code(path, ["execute", "setup"])


TASK = """
    # A study.
    import numpy as np
    from psyflow import Param

    N = 10
    RATE = 0.5
    pspace = Param(x=[1, 2])
    max_jobs = 3
    scheduler_args = {}
    scheduler_args["memory"] = "1G"
    scheduler_args.update(timelimit="1h")


    def unrelated(x):
        return x


    def mean(values, n=N):
        \"\"\"Average.\"\"\"
        return np.mean(values) / n


    def execute(x):
        # Comment.
        return {'y': mean([x])}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# Comment.", "# Another comment."),
        ("Average.", "The mean."),
        ("    return {'y': mean([x])}", '    return {\n            "y": mean([x]),\n        }'),
        ("Param(x=[1, 2])", "Param(x=[1, 2, 3])"),
        ("max_jobs = 3", "max_jobs = 30"),
        ("RATE = 0.5", "RATE = 0.7"),
        ('"1G"', '"2G"'),
        ('"1h"', '"2h"'),
        ("return x\n", "return x + 1\n"),
        ("# A study.", "if __name__ == '__main__':\n        print(1)"),
        ("N = 10", "N = 0xA"),
        ("from psyflow import Param", "from psyflow import Param, Slurm"),
        ("RATE = 0.5", "assert RATE > 0"),
    ],
)
def test_what_makes_no_difference(write, old, new):
    assert old in TASK
    before = fingerprint(write(task_a=TASK))
    assert changes(before, fingerprint(write(task_a=TASK.replace(old, new)))) == []


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("mean([x])}", "mean([x, x])}", "execute"),
        ("N = 10", "N = 11", "N"),
        ("np.mean(values) / n", "np.mean(values) * n", "mean"),
        ("n=N", "n=2 * N", "mean"),
        ("import numpy as np", "import jax.numpy as np", "np"),
        ("def execute", "@np.vectorize\n    def execute", "execute"),
        ("# A study.", "import random\n    random.seed(1)", "<module>"),
        ("# A study.", "import sys\n    sys.path.append('lib')", "<module>"),
        ("# A study.", "import sys\n    sys.path[:0] = ['lib']", "<module>"),
        ("RATE = 0.5", "np.random.default = 3", "<module>"),
        ("RATE = 0.5", "del np.random.seed", "<module>"),
        ("RATE = 0.5", "N += 1", "N"),
        ("RATE = 0.5", "N: int = 12", "N"),
        ("RATE = 0.5", "for N in range(3): pass", "N"),
        ("RATE = 0.5", "if RATE: N = 3", "N"),
        ("RATE = 0.5", "with open('f') as N: pass", "N"),
        ("RATE = 0.5", "_, (N, *rest) = 1, (2, 3)", "N"),
        ("RATE = 0.5", "print(N := 3)", "N"),
        ("RATE = 0.5", "def change():\n        global N\n        N = 3", "N"),
        ("RATE = 0.5", "match 3:\n        case N: pass", "N"),
        ("RATE = 0.5", "from numpy import *", "<module>"),
        ("RATE = 0.5", "_ = np.seterr(all='raise')", "<module>"),
        ("RATE = 0.5", "class A:\n        np.random.seed(1)", "<module>"),
        ("RATE = 0.5", "if RATE:\n        abs(1)", "<module>"),
        ("RATE = 0.5", "unrelated(1).x = 2", "<module>"),
        ("RATE = 0.5", "def setup(i):\n        return {}", "setup"),
    ],
)
def test_what_makes_a_difference(write, old, new, name):
    assert old in TASK
    before = fingerprint(write(task_a=TASK))
    after = fingerprint(write(task_a=TASK.replace(old, new)))
    assert name in [change.name for change in changes(before, after)]


def test_parts_of_a_task(names):
    assert names(TASK) == {"N", "np", "mean", "execute"}


def test_names_of_functions_own_variables_are_not_followed(names):
    task = """
        x = 1
        total = 2
        seen = 3
        def execute(x):
            total = sum(seen for seen in range(x))
            return {'total': total}
    """
    assert names(task) == {"execute"}


def test_class_bodies_methods_and_closures_are_followed(names):
    task = """
        A, B, C, D, E = 1, 2, 3, 4, 5
        class Base: pass
        class Model(Base):
            a = A
            def run(self, b=B):
                def inner():
                    return C
                return inner() + [D for _ in range(2)][0]
        execute = Model().run
    """
    assert names(task) == {"execute", "Model", "Base", "A", "B", "C", "D"}


def test_conditional_definitions_count_with_all_their_branches(write):
    task = """
        import os
        try:
            import fast
        except ImportError:
            fast = None
        if os.cpu_count() > 1:
            def f(x): return x
        else:
            def f(x): return 2 * x
        def execute(x): return {'y': f(x), 'z': fast}
    """
    before = fingerprint(write(task_a=task))
    assert set(before) == {"os", "fast", "f", "execute"}
    after = fingerprint(write(task_a=task.replace("2 * x", "3 * x")))
    assert [change.name for change in changes(before, after)] == ["f"]


def test_what_registers_itself_counts_although_nobody_names_it(names):
    task = """
        import functools
        MODELS = {}
        def register(f):
            MODELS[f.__name__] = f
            return f
        @register
        def linear(x): return x
        @functools.cache
        def unrelated(x): return x
        def execute(x, model): return {'y': MODELS[model](x)}
    """
    assert names(task) == {"MODELS", "execute", "register", "<module>"}


@pytest.mark.parametrize("decorator", ["register", "register('a')", "methods.register"])
def test_classes_and_parametrized_decorators_register_too(names, decorator):
    task = f"""
        from os import path
        def register(name): return print
        class Methods:
            register = print
        methods = Methods()
        @{decorator}
        class Linear: pass
        @path.join
        class Unrelated: pass
        def execute(x): return {{}}
    """
    base = decorator.partition("(")[0].partition(".")[0]
    assert {"<module>", base, "execute"} <= names(task)
    assert "Unrelated" not in names(task)


def test_methods_that_register_themselves_count(names):
    task = """
        known = []
        def register(f): known.append(f)
        class A:
            @register
            def run(self): pass
            @property
            def unrelated(self): pass
        def execute(x): return known[x]()
    """
    assert names(task) == {"known", "execute", "register", "<module>"}
    assert names(task.replace("@register", "@property")) == {"known", "execute"}


def test_subclasses_count_where_a_base_class_may_keep_them(names):
    task = """
        class Base:
            known = {}
            def __init_subclass__(cls): Base.known[cls.__name__] = cls
        class Linear(Base): pass
        def execute(x, model): return {'y': Base.known[model](x)}
    """
    assert names(task) == {"Base", "execute", "<module>"}
    assert "<module>" not in names(task.replace("__init_subclass__", "other"))


def test_filling_a_list_is_part_of_the_list_alone(write):
    task = """
        used, unused = [], []
        names = []
        names.append('a')
        others = []
        others.append('b')
        def execute(x): return {'y': names[x]}
    """
    before = fingerprint(write(task_a=task))
    assert set(before) == {"names", "execute"}
    assert changes(before, fingerprint(write(task_a=task.replace("'b'", "'c'")))) == []
    after = fingerprint(write(task_a=task.replace("'a'", "'c'")))
    assert [c.name for c in changes(before, after)] == ["names"]


def test_statements_do_not_make_the_space_count(write):
    task = """
        SEED = 1
        pspace = [{'x': 1}]
        pow(len(pspace), SEED)
        def execute(x): return {}
    """
    before = fingerprint(write(task_a=task))
    assert set(before) == {"<module>", "SEED", "execute"}
    assert changes(before, fingerprint(write(task_a=task.replace("1}]", "2}]")))) == []


def test_a_space_that_execute_itself_uses_counts(names):
    assert "pspace" in names("pspace = [{'x': 1}]\ndef execute(x): return {'n': len(pspace)}")


@pytest.mark.parametrize(
    "use", ["globals()['f'](x)", "eval('f(x)')", "sys.modules[__name__].f(x)"]
)
def test_names_looked_up_at_run_time_make_everything_count(names, use):
    task = f"import sys\npspace = []\ndef f(x): pass\ndef execute(x): return {use}"
    assert {"f", "execute"} <= names(task)
    assert "pspace" not in names(task)


def test_f_strings_count_and_do_not_depend_on_their_quotes(write):
    task = "def execute(x): return {'y': f'{x!r:>{x}} a'}"
    before = fingerprint(write(task_a=task))
    same = task.replace("f'{x!r:>{x}} a'", 'f"{x!r:>{x}} a"')
    assert changes(before, fingerprint(write(task_a=same))) == []
    for other in ["{x!s:>{x}} a", "{x!r:<{x}} a", "{x!r:>{x}} b", "{x+1!r:>{x}} a"]:
        differing = task.replace("{x!r:>{x}} a", other)
        assert changes(before, fingerprint(write(task_a=differing))) != []


def test_digests_do_not_change_with_the_version_of_psyflow(write):
    task = "N = 3\ndef execute(x: int, *, n=N) -> dict:\n    return {'y': f'{x}', **{}}\n"
    digests = {name: part.digest for name, part in fingerprint(write(task_a=task)).items()}
    assert digests == {
        "N": "d1c0027f109d305f7e3b727f888da76e",
        "execute": "b21403d2a9b2d999613fc2d6814d2d55",
    }


def test_space_part_follows_the_space_alone(write):
    path = write(task_a="N = 3\nK = 4\npspace = make(N)\ndef execute(x): return {'k': K}")
    assert set(space_part(path)) == {"N", "pspace"}


def test_a_root_that_is_missing_is_left_out(write):
    assert set(fingerprint_code(write(task_a="def execute(): pass"), ["setup"])) == set()


def test_psy_conf_gives_what_the_task_file_lacks_and_its_statements(write):
    conf = "import numpy as np\nnp.random.seed(1)\nN = 2\ndef execute(x): return {'y': N}\n"
    path = write(**{"psy-conf": conf, "task_a": "pspace = []"})
    assert set(fingerprint(path)) == {
        "psy-conf.execute",
        "psy-conf.N",
        "psy-conf.np",
        "psy-conf.<module>",
    }
    path = write(task_a="def execute(x): return {}")
    assert set(fingerprint(path)) == {"execute", "psy-conf.np", "psy-conf.<module>"}


def test_parts_tell_where_they_are_and_how_they_are_written(write):
    task = "# Über\nimport os\n\n\n@os.x\ndef execute(x):  # why\n    return x\n"
    task += "\n\nN = 2\nexecute.n = N\n"
    part = fingerprint(write(task_a=task))["execute"]
    assert (part.file, part.line) == ("task_a.py", 5)
    assert part.source == ("@os.x\ndef execute(x):  # why\n    return x\n\n\n\nexecute.n = N")


@pytest.mark.parametrize("source", [b"def execute(:\n", b"x = '\xff'\n", b"x = 1\0\n"])
def test_what_is_not_python_is_an_error_with_its_file(tmp_path, source):
    path = tmp_path / "task_a.py"
    path.write_bytes(source)
    with pytest.raises(TaskFileError, match=r"task_a\.py"):
        fingerprint(path)


def test_a_missing_task_file_is_an_error_with_its_file(tmp_path):
    with pytest.raises(TaskFileError, match=r"task_none\.py"):
        fingerprint(tmp_path / "task_none.py")


def test_old_encodings_and_line_ends_are_read_as_python_reads_them(tmp_path):
    path = tmp_path / "task_a.py"
    path.write_bytes(
        "# -*- coding: latin-1 -*-\r\nN = 'ü'\r\ndef execute(): return N\r\n".encode("latin-1")
    )
    parts = fingerprint(path)
    assert (parts["N"].source, parts["N"].line) == ("N = 'ü'", 2)


VERSIONS = """
    T = u"a" 'b' f"{x!r:>{x}} {x=}" "it's \\n" f"" f'a{3}'
    def execute(x, /, y=(1, 2), *, z=lambda q: q ** 2):
        match x:
            case {"a": [1, *r], **k} | (int() as k):
                return k, *r
        with (open("a") as f, open("b") as g):
            del f[0:1, ...]
        return -1e100, 1e400, 1j, b'\\xff', x[1:2, 3], x[(1, 2)], {**{'q': [*T]}}
"""


def test_digests_do_not_change_with_the_version_of_python(write):
    # Python 3.11.7, 3.12.1 and 3.13.0 were found to give these.
    digests = {name: part.digest[:8] for name, part in fingerprint(write(task_a=VERSIONS)).items()}
    assert digests == {"T": "9286370d", "execute": "ef84aa77"}
