"""What has moved to another module as it was is unchanged; in doubt it is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from psyflow.fingerprint import changes, fingerprint_code, parts_from_json, parts_to_json

EXECUTE = "\ndef execute(x):\n    return {'y': f(x)}\n"
F = "def f(x):\n    return x + 1\n"
NUMPY = "import numpy as np\n"
ROOT = "def f(x):\n    return np.sqrt(x)\n"
SCALED = "def f(x):\n    return x * N\n"
IMPORT = "from a import f\n"

Files = Mapping[str, str]
MOVES: dict[str, tuple[Files, Files]] = {
    "to a module": ({"task_t": F + EXECUTE}, {"task_t": IMPORT + EXECUTE, "a": F}),
    "to the task file": ({"task_t": IMPORT + EXECUTE, "a": F}, {"task_t": F + EXECUTE}),
    "to another module": (
        {"task_t": IMPORT + EXECUTE, "a": F},
        {"task_t": "from p.b import f\n" + EXECUTE, "p/__init__": "", "p/b": F},
    ),
    "with an import": (
        {"task_t": NUMPY + ROOT + EXECUTE},
        {"task_t": IMPORT + EXECUTE, "a": NUMPY + ROOT},
    ),
    "with an import that stays, too": (
        {"task_t": NUMPY + ROOT + EXECUTE.replace("f(x)", "np.exp(f(x))")},
        {"task_t": IMPORT + NUMPY + EXECUTE.replace("f(x)", "np.exp(f(x))"), "a": NUMPY + ROOT},
    ),
    "with a constant": (
        {"task_t": "N = 2\n" + SCALED + EXECUTE},
        {"task_t": IMPORT + EXECUTE, "a": "N = 2\n" + SCALED},
    ),
    "with a constant that stays, too": (
        {"task_t": "N = 2\n" + SCALED + EXECUTE.replace("(x)}", "(x) + N}")},
        {
            "task_t": IMPORT + "N = 2\n" + EXECUTE.replace("(x)}", "(x) + N}"),
            "a": "N = 2\n" + SCALED,
        },
    ),
    "with what it calls": (
        {"task_t": "def g(x):\n    return x\n" + F.replace("x + 1", "g(x)") + EXECUTE},
        {
            "task_t": IMPORT + EXECUTE,
            "a": F.replace("x + 1", "g(x)") + "def g(x):\n    return x\n",
        },
    ),
    "and what it calls is imported": (
        {
            "task_t": "import b\n" + F.replace("x + 1", "b.g(x)") + EXECUTE,
            "b": "def g(x): return x",
        },
        {
            "task_t": IMPORT + EXECUTE,
            "a": "import b\n" + F.replace("x + 1", "b.g(x)"),
            "b": "def g(x): return x",
        },
    ),
    "with a comment and an annotation": (
        {"task_t": F + EXECUTE},
        {"task_t": IMPORT + EXECUTE, "a": "# New.\n" + F.replace("(x)", "(x: float) -> float")},
    ),
    "with what has another name here": (
        {
            "task_t": "from b import g as q\n" + F.replace("x + 1", "q(x)") + EXECUTE,
            "b": "def g(x): return x",
        },
        {
            "task_t": IMPORT + EXECUTE,
            "a": "from b import g as q\n" + F.replace("x + 1", "q(x)"),
            "b": "def g(x): return x",
        },
    ),
    "with a table": (
        {"task_t": "N = {'a': [1, 2]}\n" + SCALED + EXECUTE},
        {"task_t": IMPORT + EXECUTE, "a": "N = {'a': [1, 2]}\n" + SCALED},
    ),
}
NO_MOVES: dict[str, tuple[Files, Files]] = {
    "changed on the way": (
        {"task_t": F + EXECUTE},
        {"task_t": IMPORT + EXECUTE, "a": F.replace("1", "2")},
    ),
    "a constant of another value there": (
        {"task_t": "N = 2\n" + SCALED + EXECUTE},
        {"task_t": IMPORT + EXECUTE, "a": "N = 3\n" + SCALED},
    ),
    "a constant of another value there, and used here": (
        {"task_t": "N = 2\n" + SCALED + EXECUTE.replace("(x)}", "(x) + N}")},
        {
            "task_t": IMPORT + "N = 2\n" + EXECUTE.replace("(x)}", "(x) + N}"),
            "a": "N = 3\n" + SCALED,
        },
    ),
    "constants of both values were used before, too": (
        {
            "task_t": "from a import g\nN = 2\n" + SCALED + EXECUTE.replace("(x)}", "(g(x)) + N}"),
            "a": "N = 3\ndef g(x):\n    return N\n",
        },
        {
            "task_t": "from a import g, f\nN = 2\n" + EXECUTE.replace("(x)}", "(g(x)) + N}"),
            "a": "N = 3\ndef g(x):\n    return N\n" + SCALED,
        },
    ),
    "another module of the same name there": (
        {"task_t": NUMPY + ROOT + EXECUTE},
        {"task_t": IMPORT + EXECUTE, "a": "import math as np\n" + ROOT},
    ),
    "a name that is something else there": (
        {
            "task_t": "from b import g as q\n" + F.replace("x + 1", "q(x)") + EXECUTE,
            "b": "def g(x): return x\ndef h(x): return -x",
        },
        {
            "task_t": IMPORT + EXECUTE,
            "a": "from b import h as q\n" + F.replace("x + 1", "q(x)"),
            "b": "def g(x): return x\ndef h(x): return -x",
        },
    ),
    "a list of which there are two now": (
        {"task_t": "N = [1]\n" + SCALED + EXECUTE.replace("(x)}", "(x) + N}")},
        {
            "task_t": IMPORT + "N = [1]\n" + EXECUTE.replace("(x)}", "(x) + N}"),
            "a": "N = [1]\n" + SCALED,
        },
    ),
    "it asks for its module": (
        {"task_t": F.replace("x + 1", "(x, __name__)") + EXECUTE},
        {"task_t": IMPORT + EXECUTE, "a": F.replace("x + 1", "(x, __name__)")},
    ),
    "it asks for its file": (
        {"task_t": F.replace("x + 1", "(x, __file__)") + EXECUTE},
        {"task_t": IMPORT + EXECUTE, "a": F.replace("x + 1", "(x, __file__)")},
    ),
    "others ask for its module": (
        {"task_t": F + EXECUTE.replace("f(x)", "f.__module__")},
        {"task_t": IMPORT + EXECUTE.replace("f(x)", "f.__module__"), "a": F},
    ),
    "the new module does something": (
        {"task_t": NUMPY + ROOT + EXECUTE},
        {"task_t": IMPORT + EXECUTE, "a": NUMPY + "np.random.seed(1)\n" + ROOT},
    ),
    "a value that is made as the module runs": (
        {"task_t": "N = len('ab')\n" + SCALED + EXECUTE},
        {"task_t": IMPORT + EXECUTE, "a": "N = len('ab')\n" + SCALED},
    ),
    "a default that is made as the module runs": (
        {"task_t": F.replace("(x)", "(x, n=object())") + EXECUTE},
        {"task_t": IMPORT + EXECUTE, "a": F.replace("(x)", "(x, n=object())")},
    ),
    "a class, which pickles name with its module": (
        {"task_t": "class f:\n    def __init__(self, x):\n        self.x = x\n" + EXECUTE},
        {
            "task_t": IMPORT + EXECUTE,
            "a": "class f:\n    def __init__(self, x):\n        self.x = x\n",
        },
    ),
    "a relative import": (
        {
            "task_t": "from p.a import f\n" + EXECUTE,
            "p/__init__": "",
            "p/k": "K = 1\n",
            "q/k": "K = 1\n",
            "p/a": "def f(x):\n    from .k import K\n    return K\n",
            "q/__init__": "",
        },
        {
            "task_t": "from q.a import f\n" + EXECUTE,
            "q/__init__": "",
            "q/k": "K = 1\n",
            "q/a": "def f(x):\n    from .k import K\n    return K\n",
        },
    ),
    "a name that is Python's own there": (
        {
            "task_t": "from b import sum\n"
            + F.replace("x + 1", "sum([x])")
            + EXECUTE.replace("f(x)}", "f(x) + sum([x])}"),
            "b": "def sum(x): return 0",
        },
        {
            "task_t": "from b import sum\n"
            + IMPORT
            + EXECUTE.replace("f(x)}", "f(x) + sum([x])}"),
            "a": F.replace("x + 1", "sum([x])"),
            "b": "def sum(x): return 0",
        },
    ),
    "a name that comes from nobody knows where": (
        {"task_t": "from numpy import *\n" + F.replace("x + 1", "sum([x])") + EXECUTE},
        {
            "task_t": "from numpy import *\n" + IMPORT + EXECUTE,
            "a": F.replace("x + 1", "sum([x])"),
        },
    ),
    "a name that is another's there": (
        {
            "task_t": "from b import g, h\n"
            + F.replace("x + 1", "g(x)")
            + EXECUTE.replace("(x)}", "(g(x) + h(x))}"),
            "b": "def g(x): return x\ndef h(x): return -x",
        },
        {
            "task_t": "from b import g, h\n" + IMPORT + EXECUTE.replace("(x)}", "(g(x) + h(x))}"),
            "a": "from b import h as g\n" + F.replace("x + 1", "g(x)"),
            "b": "def g(x): return x\ndef h(x): return -x",
        },
    ),
    "one of two of the same name": (
        {
            "task_t": "from b import f as g\n" + F + EXECUTE.replace("(x)}", "(x) + g(x)}"),
            "b": F.replace("1", "2"),
        },
        {
            "task_t": "from a import f\nfrom b import f as g\n"
            + EXECUTE.replace("(x)}", "(x) + g(x)}"),
            "a": F,
            "b": F.replace("1", "2"),
        },
    ),
}


def differences(before: Files, after: Files, folder: Path) -> list[str]:
    found = []
    for number, files in enumerate((before, after)):
        for name, source in files.items():
            path = folder / str(number) / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        parts = fingerprint_code(folder / str(number) / "task_t.py", ["execute"])
        found.append(parts_from_json(parts_to_json(parts)))
    return [change.describe() for change in changes(*found)]


@pytest.mark.parametrize("files", MOVES.values(), ids=list(MOVES))
def test_a_function_that_moves_as_it_is(files: tuple[Files, Files], tmp_path: Path) -> None:
    assert differences(*files, tmp_path) == []


@pytest.mark.parametrize("files", NO_MOVES.values(), ids=list(NO_MOVES))
def test_a_function_that_may_be_another_there(files: tuple[Files, Files], tmp_path: Path) -> None:
    assert differences(*files, tmp_path) != []


def test_what_else_has_changed_is_said(tmp_path: Path) -> None:
    before = {"task_t": F + EXECUTE}
    after = {"task_t": IMPORT + EXECUTE.replace("f(x)", "f(x) * 2"), "a": F}
    (only,) = differences(before, after, tmp_path)
    assert only.startswith("execute: line 4: `return {'y': f(x)}` -> ")


G_AND_H = "def g(x): return x\ndef h(x): return -x\n"
USES_BOTH = "\ndef execute(x):\n    return {'y': p(x), 'z': q(x)}\n"


def test_names_that_change_places_are_a_change(tmp_path: Path) -> None:
    before = {"task_t": "from a import g as p, h as q\n" + USES_BOTH, "a": G_AND_H}
    after = {"task_t": "from a import h as p, g as q\n" + USES_BOTH, "a": G_AND_H}
    assert differences(before, before, tmp_path / "same") == []
    assert differences(before, after, tmp_path / "other") == [
        "import p: line 1: `from a import g as p, h as q` -> `from a import h as p, g as q`",
        "import q: line 1: `from a import g as p, h as q` -> `from a import h as p, g as q`",
    ]


def test_one_of_two_of_a_name_that_becomes_the_other_is_a_change(tmp_path: Path) -> None:
    modules = {"a": "def g(x): return x\n", "b": "def g(x): return -x\n"}
    body = "import a, b\n\ndef execute(x):\n    return {'y': g(x), 'z': a.g(x) + b.g(x)}\n"
    before = {"task_t": "from a import g\n" + body, **modules}
    after = {"task_t": "from b import g\n" + body, **modules}
    (only,) = differences(before, after, tmp_path)
    assert only == "import g: line 1: `from a import g` -> `from b import g`"


def test_a_record_without_names_given_by_imports_is_not_old(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(G_AND_H)
    task = tmp_path / "task_t.py"
    task.write_text("from a import g as p, h as q\n" + USES_BOTH)
    now = fingerprint_code(task, ["execute"])
    of_old = {name: part for name, part in now.items() if not name.startswith("import ")}
    assert len(of_old) == len(now) - 2
    assert changes(of_old, now) == []
