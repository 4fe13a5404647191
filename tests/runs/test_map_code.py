"""`map_pspace_hdd_backed` looks at the code of its function, as tasks do at theirs."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import psyflow
from psyflow import Param, map_pspace_hdd_backed
from psyflow.fingerprint.functions import code_of_function
from psyflow.mapper import madeby
from psyflow.mapper.backing import Backing

MODEL = "import inner\nN = {n}\ndef f(x):\n    return {{'y': inner.g(x) * N}}\n"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Import ``model.py`` as a new process would, with a number in it, and return it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names = ("model", "inner")

    def fresh(n: int = 1, inner: str = "x", more: str = "") -> types.ModuleType:
        (tmp_path / "model.py").write_text(MODEL.format(n=n) + more)
        (tmp_path / "inner.py").write_text(f"def g(x):\n    return {inner}\n")
        for name in names:
            sys.modules.pop(name, None)
        import model  # type: ignore[import-not-found]

        return model

    yield fresh
    for name in names:
        sys.modules.pop(name, None)


def ys(function: Callable[..., Any], n: int = 2, **options: Any) -> list[Any]:
    data = map_pspace_hdd_backed(function, Param(x=range(n)), "r.npz", **options)
    assert data is not None
    return list(data["y"])


def asides() -> list[Path]:
    return sorted(Path().glob("r.2*.npz"))


def test_changed_code_computes_anew_and_the_old_file_is_put_aside(load, capsys):
    assert ys(load(1).f) == [0, 1]
    assert ys(load(2).f, 3) == [0, 2, 4]
    (aside,) = asides()
    assert capsys.readouterr().err == (
        f"{Path('r.npz').absolute()}: model.N: model.py, line 2: `N = 1` -> `N = 2`; earlier rows "
        f"are in {aside.absolute()}\n"
    )
    assert list(psyflow.load(aside)["y"]) == [0, 1]
    ys(load(3).f)
    assert len(asides()) == 2, "within a second, too, no name is used twice"


def test_code_in_own_modules_counts(load, capsys):
    ys(load().f)
    assert ys(load(inner="x + 1").f) == [1, 2]
    assert "inner.g: inner.py, line 2: `return x` -> `return x + 1`" in capsys.readouterr().err


def test_what_makes_no_difference_computes_nothing(load, capsys):
    ys(load().f)
    before = Path("r.npz").stat()
    assert ys(load(more="# A comment.\n").f) == [0, 1]
    ys(load(more="def unused():\n    return 1\n").f)
    assert Path("r.npz").stat() == before and capsys.readouterr().err == ""
    assert ys(load().f, 3) == [0, 1, 2] and asides() == []


def test_rows_of_other_code_are_kept_if_so_wanted(load, capsys):
    ys(load(1).f)
    assert ys(load(2).f, 3, keep=True) == [0, 1, 4]
    assert "`N = 1` -> `N = 2`; its rows are kept" in capsys.readouterr().err
    assert ys(load(2).f, 3) == [0, 1, 4] and capsys.readouterr().err == ""


def test_rows_of_unknown_code_are_kept_and_that_is_said_once(load, capsys):
    ys(load(1).f)
    Path("r.npz.code.json").unlink()  # as an older psyflow has left it
    assert ys(load(2).f) == [0, 1]
    assert "its rows are made by unknown code, and are kept" in capsys.readouterr().err
    assert ys(load(2).f) == [0, 1] and capsys.readouterr().err == ""
    assert ys(load(3).f) == [0, 3] and len(asides()) == 1


def test_the_record_is_of_the_file_that_it_was_written_for(load, capsys):
    ys(load(1).f)
    os.utime("r.npz", (1, 1))  # as after a copy
    ys(load(1).f)
    assert capsys.readouterr().err == ""
    psyflow.store.NpzStore().save("r.npz", {"x": [0, 1, 2], "y": [7, 7, 7]})
    assert ys(load(1).f) == [7, 7, 7]
    assert "made by unknown code" in capsys.readouterr().err


@pytest.mark.parametrize("record", [b"", b"[]", b'{"code": {"f": 1}, "unwatched": []}'])
def test_a_damaged_record_tells_nothing(load, capsys, record):
    ys(load(1).f)
    Path("r.npz.code.json").write_bytes(record)
    assert ys(load(2).f) == [0, 1]
    assert "made by unknown code" in capsys.readouterr().err


class Killed(BaseException):
    """Ends a process in the middle."""


@pytest.mark.parametrize("step", ["put_aside", "begin", "rows", "end"])
def test_killed_at_any_step_no_rows_of_two_codes_are_mixed(load, monkeypatch, step):
    def die(*arguments: object, **options: object) -> None:
        raise Killed

    ys(load(1).f)
    where: Any = {"put_aside": (madeby, "move"), "rows": (Backing, "_take_up")}
    target, name = where.get(step, (madeby.CodeRecord, step))
    with monkeypatch.context() as patch:
        patch.setattr(target, name, die)
        with pytest.raises(Killed):
            ys(load(2).f)
    assert ys(load(2).f, 3) == [0, 2, 4]
    assert len(asides()) == 1 and list(psyflow.load(asides()[0])["y"]) == [0, 1]


def scaled(k: int, more: Any = None) -> Callable[..., Any]:
    def inner(x: int) -> dict[str, Any]:
        assert more is None or more
        return {"y": x * k}

    return inner


class Model:
    def __init__(self, k: int) -> None:
        self.k = k

    def __call__(self, x: int) -> dict[str, int]:
        return {"y": x * self.k}

    def f(self, x: int) -> dict[str, int]:
        return {"y": x * self.k}


def power(x: int, k: int) -> dict[str, int]:
    return {"y": x**k}


FUNCTIONS: dict[str, Callable[[int], Callable[..., Any]]] = {
    "closure": scaled,
    "lambda": lambda k: lambda x: {"y": x + k},
    "default": lambda k: lambda x, k=k: {"y": x + k},
    "partial": lambda k: functools.partial(power, k=k),
    "method": lambda k: Model(k).f,
    "instance": lambda k: Model(k),
    "cached": lambda k: functools.lru_cache(scaled(k)),
    "function in a closure": lambda k: (lambda f: lambda x: f(x))(scaled(k)),
}


@pytest.mark.parametrize("make", FUNCTIONS.values(), ids=list(FUNCTIONS))
def test_values_that_a_function_has_with_it_count(make):
    first, again, other = (code_of_function(make(k)) for k in (1, 1, 2))
    assert first.parts == again.parts != other.parts
    assert first.unwatched == []


def test_of_two_lambdas_in_a_line_each_is_itself():
    one, two = lambda x: {"y": x}, lambda x: {"y": -x}
    assert code_of_function(one).parts != code_of_function(two).parts


def test_what_cannot_be_compared_is_said_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lock = threading.Lock()
    ys(scaled(1, lock))
    assert "`inner.more` is not watched: nobody can compare values of type _thread.lock" in (
        capsys.readouterr().err
    )
    ys(scaled(1, lock), 3)
    assert capsys.readouterr().err == ""


def test_functions_without_source_are_compared_as_they_are_compiled(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def typed(n: int) -> Callable[..., Any]:
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(f"N = {n}\ndef g(x): return x * N\ndef f(x): return {{'y': g(x)}}", names)
        f: Callable[..., Any] = names["f"]
        return f

    assert ys(typed(1)) == [0, 1]
    assert "`f` has no source file, so its compiled code is compared" in capsys.readouterr().err
    assert ys(typed(1), 3) == [0, 1, 2] and capsys.readouterr().err == ""
    assert ys(typed(2)) == [0, 2]
    assert "N: line 2: `N = 1` -> `N = 2`" in capsys.readouterr().err


VALUES = {
    "a global of the script": ("", "lambda x: {'y': x * k}", ""),
    "an attribute of a module": ("import lib", "lambda x: {'y': x * lib.K}", "lib.K = k"),
    "what an own function reads": ("import lib", "lambda x: {'y': lib.g(x)}", "lib.K = k"),
    "an item": ("d = {}", "lambda x: {'y': x * d['k']}", "d['k'] = k"),
    "an array": ("import numpy\na = numpy.ones(1)", "lambda x: {'y': x * a[0]}", "a[:] = k"),
    "a large array": (
        "import numpy\na = numpy.ones((512, 512)).T",
        "lambda x: {'y': x * a[0, 1]}",
        "a[0, 1] = k",
    ),
    "a class": ("class C:\n    k = 0", "lambda x: {'y': x * C().k}", "C.k = k"),
    "a function of a package": (
        "import numpy",
        "lambda x: {'y': float(f(x))}",
        "f = getattr(numpy, {1: 'abs', 2: 'negative'}[k])",
    ),
    "an own function": (
        "def one(x): return x\ndef two(x): return -x",
        "lambda x: {'y': f(x)}",
        "f = {1: one, 2: two}[k]",
    ),
    "the second of a name": (
        "import lib\ndef f(x): return {'y': x}\ng = f\ndef f(x): return {'y': -x}\nh = f",
        "f",
        "f = {1: g, 2: h}[k]",
    ),
}


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Run a script as the program, as far as modules can tell; return its names."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib.py").write_text("K = 0\ndef g(x):\n    return x * K\n")

    def run(text: str, **names: Any) -> dict[str, Any]:
        path = tmp_path / "script.py"
        path.write_text(text)
        module = types.ModuleType("__main__")
        module.__file__ = str(path)
        vars(module).update(names)
        monkeypatch.setitem(sys.modules, "__main__", module)
        exec(compile(text, str(path), "exec"), vars(module))
        return vars(module)

    yield run
    sys.modules.pop("lib", None)


@pytest.mark.parametrize("before, function, step", VALUES.values(), ids=list(VALUES))
def test_the_values_that_a_function_reads_are_those_at_its_call(script, before, function, step):
    loop = f"{before}\nfound = []\nfor k in (1, 1, 2):\n    {step or 'pass'}\n"
    mapped = f"    found.append(code_of({function}))  # as map_pspace() would\n"
    names = script(loop + mapped, code_of=code_of_function)
    first, again, other = names["found"]
    assert first.values == again.values != other.values
    assert first.unwatched == []


def test_a_script_that_maps_in_a_loop_gets_rows_of_each_value(script, capsys):
    text = "for k in {}:\n    ys.append(list(psy.map_pspace_hdd_backed(\n"
    text += "        lambda x: {{'y': x * k}}, psy.Param(x=[1, 2]), 'r.pkl')['y']))\n"
    ys: list[list[int]] = []
    script(text.format((2, 3)), psy=psyflow, ys=ys)
    assert "script.k: script.py, line 3: `k = 2` -> `k = 3`" in capsys.readouterr().err
    script(text.format((3, 4)), psy=psyflow, ys=ys)
    assert ys == [[2, 4], [3, 6], [3, 6], [4, 8]] and len(list(Path().glob("r.2*.pkl"))) == 2


def test_values_are_compared_once_a_record_has_them(load, capsys):
    model = load()
    ys(model.f)
    record = json.loads(Path("r.npz.code.json").read_text())
    del record["values"]  # as an older psyflow has left it
    Path("r.npz.code.json").write_text(json.dumps(record))
    model.N = 5
    assert ys(model.f) == [0, 1] and capsys.readouterr().err == ""
    model.N = 6
    assert ys(model.f) == [0, 6]
    assert "model.N: model.py, line 3: `N = 5` -> `N = 6`" in capsys.readouterr().err


def test_what_a_function_reads_and_nobody_can_compare_is_said(load, capsys):
    model = load()
    model.N = threading.Lock()
    code = code_of_function(model.f)
    assert code.unwatched == [
        "`model.N` is not watched: nobody can compare values of type _thread.lock"
    ]


def test_a_path_beside_a_script_is_the_same_where_both_are_moved(script, tmp_path):
    text = "from pathlib import Path\nD = Path(__file__).parent / 'd'\n"
    code = code_of_function(script(text + "def f(x): return {'y': str(D)}\n")["f"])
    assert code.values["script.D"].source == "D = ('beside', 'd')"


SCRIPT = """
import numpy as np
import os.path
from psyflow import Param, map_pspace_hdd_backed
np.random.seed({seed})
os.path.join("{early}")

def f(x):
    return {{"y": x + np.int64({n})}}

data = map_pspace_hdd_backed(f, Param(x=range({size})), "r.npz")
np.savetxt("{late}", data["y"])
if __name__ == "__main__":
    print(list(data["y"].tolist()), "{late}")
"""


def test_what_a_script_maps_and_does_afterwards_is_not_its_functions(tmp_path):
    def run(**changed: object) -> tuple[str, int]:
        values = {"seed": 1, "early": "a", "n": 0, "size": 2, "late": "a"} | changed
        (tmp_path / "script.py").write_text(SCRIPT.format(**values))
        command = [sys.executable, "script.py"]
        shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
        return shown.stderr, len(list(tmp_path.glob("r.2*.npz")))

    assert run() == ("", 0)
    assert run(late="b", early="b", size=3) == ("", 0)
    error, n_asides = run(seed=2)
    assert n_asides == 1 and "`np.random.seed(1)` -> `np.random.seed(2)`" in error
    record = json.loads((tmp_path / "r.npz.code.json").read_text())
    assert sorted(record["code"]) == ["script.<module>", "script.f", "script.np"]
