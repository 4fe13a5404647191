"""What counts in the local modules that a task file imports."""

from __future__ import annotations

import zipfile

import pytest

from psyflow.exceptions import TaskFileError
from psyflow.fingerprint import changes, fingerprint_code, freeze_code, local_modules
from psyflow.fingerprint.frozen import STAND_INS

HELPERS = """
    import math
    RATE = 2
    def f(x): return g(x) * RATE
    def g(x): return math.sin(x)
    def unrelated(x): return x
"""
F = {"helpers.f", "helpers.g", "helpers.RATE", "helpers.math"}
ALL = F | {"helpers.unrelated"}


@pytest.mark.parametrize(
    ("imports", "use", "reached"),
    [
        ("import helpers", "helpers.f(x)", F),
        ("import helpers as h", "h.f(x)", {*F, "import h"}),
        ("from helpers import f", "f(x)", F),
        ("from helpers import f as g, unrelated", "g(x)", {*F, "import g"}),
        ("from helpers import *", "f(x)", F),
        ("from . import helpers", "helpers.f(x)", F),
        ("from .helpers import f", "f(x)", F),
        ("import helpers", "apply(helpers, x)", ALL),
        ("import helpers", "helpers.__dict__[x]", ALL),
        ("import helpers", "helpers.nothing", ALL),
        ("from helpers import nothing", "nothing", ALL),
        ("import helpers", "x", set()),
        ("import importlib", "importlib.import_module('helpers').f(x)", {*ALL, "importlib"}),
        ("import importlib", "importlib.import_module('math')", {"importlib"}),
        ("import importlib", "importlib.import_module(x)", {*ALL, "importlib"}),
        ("import runpy", "runpy.run_path('helpers.py')", {*ALL, "runpy"}),
        ("", "__import__('helpers').f(x)", ALL),
    ],
)
def test_how_a_module_is_reached(names, imports, use, reached):
    task = f"{imports}\ndef execute(x): return {use}"
    assert names(task, helpers=HELPERS) == reached | {"execute"}


@pytest.mark.parametrize(
    ("body", "reached"),
    [
        ("import helpers; return helpers.f(x)", F),
        ("import helpers as h; return h.f(x)", F),
        ("from helpers import f; return f(x)", F),
        ("import helpers; return vars(helpers)", ALL),
        ("import math; return math.sin(x)", set()),
    ],
)
def test_imports_inside_a_function(names, body, reached):
    assert names(f"def execute(x):\n    {body}", helpers=HELPERS) == reached | {"execute"}


def test_imports_that_may_fail(names):
    task = """
        try:
            import helpers as h
        except ImportError:
            h = None
        def execute(x): return h.f(x)
    """
    assert names(task, helpers=HELPERS) == F | {"h", "execute"}


def test_modules_are_followed_through_modules(names):
    modules = {
        "one": "import two\ndef f(x): return two.f(x)",
        "two": "from three import *\ndef unrelated(x): return x",
        "three": "from four import f as f\nimport one",
        "four": "def f(x): return x",
    }
    reached = names("from one import f\ndef execute(x): return f(x)", **modules)
    # Of the two that are called f, the imports tell which is meant.
    assert reached == {"execute", "one.f", "four.f", "import f", "three.import f"}


def test_star_imports_in_a_circle_end(names):
    modules = {"one": "from two import *", "two": "from one import *"}
    assert names("from one import *\ndef execute(x): return f(x)", **modules) == {"execute"}


def test_packages_and_relative_imports(names):
    modules = {
        "pkg__in____init__": "from .core import run\nVERSION = 1\nabs(VERSION)",
        "pkg__in__core": "from . import tools\nfrom .deep.low import low\n"
        "def run(x): return tools.t(x) + low(x)\ndef unrelated(): pass",
        "pkg__in__tools": "def t(x): return x\ndef unrelated(): pass",
        "pkg__in__deep__in____init__": "",
        "pkg__in__deep__in__low": "from ..tools import t\nfrom ... import top\n"
        "def low(x): return t(x)",
    }
    expected = {"pkg.core.run", "pkg.tools.t", "pkg.deep.low.low", "execute"}
    expected |= {"pkg.<module>", "pkg.VERSION"}
    assert names("import pkg\ndef execute(x): return pkg.run(x)", **modules) == expected
    assert names("import pkg.core\ndef execute(x): return pkg.core.run(x)") == expected
    named = names("import pkg.core as c\ndef execute(x): return c.run(x)")
    assert named == {*expected, "import c"}
    assert names("from pkg import core\ndef execute(x): return core.run(x)") == expected
    assert names("from pkg.core import run\ndef execute(x): return run(x)") == expected
    whole = names("import pkg.core\ndef execute(x): return use(pkg)")
    assert whole == expected | {"pkg.core.unrelated", "pkg.tools.unrelated"}


def test_folders_without_init_are_packages_too(names):
    reached = names(
        "import ns.mod\ndef execute(x): return ns.mod.f(x)",
        ns__in__mod="def f(x): return x\ndef g(x): return x",
    )
    assert reached == {"execute", "ns.mod.f"}


def test_a_folder_without_code_is_no_module(names, tmp_path):
    (tmp_path / "numpy" / "data").mkdir(parents=True)
    assert names("import numpy\ndef execute(x): return numpy.sin(x)") == {"execute", "numpy"}


def test_statements_of_every_module_that_is_imported_count(names):
    task = "import helpers\npspace = helpers.make()\ndef execute(x): return {}"
    modules = {
        "helpers": "import numpy as np\nimport other\nnp.random.seed(1)\ndef make(): return []",
        "other": "import warnings\nif True:\n    warnings.simplefilter('error')\nX = 1",
    }
    assert names(task, **modules) == {
        "execute",
        "helpers.<module>",
        "helpers.np",
        "other.<module>",
        "other.warnings",
    }


def test_statements_of_a_module_that_a_reached_function_imports_count(names):
    task = "def execute(x): import helpers\ndef unrelated(): import other"
    modules = {"helpers": "abs(1)", "other": "abs(2)"}
    assert names(task, **modules) == {"execute", "helpers.<module>"}


def test_setting_an_attribute_of_a_module_counts_as_a_statement(names):
    task = "import helpers\nhelpers.RATE = 3\ndef execute(x): return {}"
    assert names(task, helpers="RATE = 1") == {
        "execute",
        "<module>",
        "helpers",
        "helpers.RATE",
    }


def test_a_registry_in_another_module(names):
    task = "import models, extra\ndef execute(x): return models.known[x]()"
    modules = {
        "models": "known = {}\nclass Model:\n    def __init_subclass__(cls): known[cls] = cls",
        "extra": "from models import Model\nclass Mine(Model): pass\nclass Other: pass",
    }
    assert names(task, **modules) == {
        "execute",
        "models.known",
        "models.Model",
        "extra.<module>",
    }


def test_another_task_file_may_be_a_module(names):
    other = "pspace = [{'x': 1}]\nlist(pspace)\ndef f(x): return x"
    reached = names("from task_b import f\ndef execute(x): return f(x)", task_b=other)
    assert reached == {"execute", "task_b.f", "task_b.<module>"}


def test_a_module_that_is_not_python_is_named(write):
    path = write(helpers="def f(:", task_a="import helpers\ndef execute(x): return helpers.f(x)")
    with pytest.raises(TaskFileError, match=r"helpers\.py.*line 1"):
        fingerprint_code(path, ["execute"])


def test_long_chains_of_functions_and_modules(write):
    functions = "\n".join(f"def f{i}(x): return f{i + 1}(x)" for i in range(2000))
    modules = {f"m{i}": f"from m{i + 1} import f" for i in range(300)}
    task = (
        f"from m0 import f\n{functions}\ndef f2000(x): return f(x)\ndef execute(x): return f0(x)"
    )
    path = write(**modules, m300="def f(x): return x", task_a=task)
    parts = fingerprint_code(path, ["execute"])
    assert len(parts) == 2003
    assert "m300.f" in parts


def test_local_modules_are_found_wherever_they_are_imported(write, tmp_path):
    path = write(
        **{"psy-work__in__code": "", "pkg__in____init__": "", "pkg__in__sub": "import deep.er"},
        deep__in__er="",
        helpers="def f():\n    from pkg import sub",
        unused="",
        task_a="import math\ndef execute(x):\n    import helpers",
    )
    found = [p.relative_to(tmp_path).as_posix() for p in local_modules(path)]
    assert found == ["deep/er.py", "helpers.py", "pkg/__init__.py", "pkg/sub.py"]


def test_a_module_named_at_run_time_may_be_any(write, tmp_path):
    task = "from importlib import import_module\ndef execute(x): return import_module(x)"
    path = write(helpers="", models__in__linear="", task_b="", task_a=task)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "no.py").write_text("")
    found = [p.relative_to(tmp_path).as_posix() for p in local_modules(path)]
    assert found == ["helpers.py", "models/linear.py"]


def test_freezing_code_keeps_its_layout_and_bytes(write, tmp_path):
    write(
        **{"psy-conf": "import limits\n", "limits": "# é", "pkg__in____init__": "X = 1"},
        task_b="",
        unused="",
    )
    path = write(task_a="import pkg\n")
    code = tmp_path / "psy-work" / "a" / "code"
    freeze_code(path, tmp_path / "psy-conf.py", code)
    copies = {p.relative_to(code).as_posix() for p in code.rglob("*") if p.is_file()}
    assert copies == {"limits.py", "pkg/__init__.py", "psy-conf.py", "task_a.py", STAND_INS}
    with zipfile.ZipFile(code / STAND_INS) as archive:
        assert archive.namelist() == ["limits.py", "pkg.py", "psy-conf.py", "task_a.py"]
    assert (code / "limits.py").read_bytes() == (tmp_path / "limits.py").read_bytes()


def test_freezing_without_a_conf(write, tmp_path):
    freeze_code(write(task_a="X = 1"), None, tmp_path / "code")
    assert {p.name for p in (tmp_path / "code").iterdir()} == {"task_a.py", STAND_INS}


def test_the_frozen_copy_has_the_same_fingerprint(write, tmp_path):
    path = write(helpers=HELPERS, task_a="import helpers\ndef execute(x): return helpers.f(x)")
    freeze_code(path, None, tmp_path / "code")
    frozen = fingerprint_code(tmp_path / "code" / "task_a.py", ["execute"])
    assert changes(fingerprint_code(path, ["execute"]), frozen) == []


def test_linked_files_belong_to_the_folder_they_are_seen_in(write, tmp_path):
    path = write(elsewhere__in__task_a="import helpers\ndef execute(x): return helpers.f(x)")
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "task_a.py").symlink_to(path)
    write(tasks__in__helpers="def f(x): return x")
    linked = tmp_path / "tasks" / "task_a.py"
    assert set(fingerprint_code(linked, ["execute"])) == {"execute", "helpers.f"}
