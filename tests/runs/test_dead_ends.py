"""Whatever cannot be read is named and put aside, and the rest goes on."""

from __future__ import annotations

import shutil

import pytest

from tests.runs.test_places import square
from tests.support.study import Study

OBJECTS = """
exclude_from_result = ["x"]
import sys
sys.path.insert(0, str(Path(__file__).parent.parent / "lib"))
import {module}
pspace = Param(x=[{module}.Thing(n) for n in {numbers}])
def execute(x):
    note(x=x.n)
    assert x.n != 3
    return {{"y": {returned}}}
"""
THING = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Thing:
    n: int
"""


@pytest.fixture
def things(study: Study, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Give a study with a module outside of the task folder, as if it were installed."""
    (study.folder / "lib").mkdir()
    (study.folder / "lib" / "things.py").write_text(THING)
    monkeypatch.setenv("PYTHONPATH", str(study.folder / "lib"))
    monkeypatch.syspath_prepend(study.folder / "lib")
    return study


@pytest.mark.parametrize("gone", [["plan.json", "plans"], ["plan.json", "plans", "items.npz"]])
def test_an_empty_result_whose_plan_is_gone(study: Study, gone: list[str]) -> None:
    square(study, [1, 2], "1 // 0", "store = '.npz'")
    study.psy("run", code=1)
    for name in gone:
        path = study.folder / "psy-work/t" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "0 out of 2 rows completed" in study.psy("status").stdout
    square(study, [1, 2], settings="store = '.npz'")
    study.psy("run")
    assert study.rows() == [(1, 1), (2, 4)]


@pytest.mark.parametrize("returned", ["x.n", "x"])
def test_a_class_of_values_that_was_renamed(things: Study, returned: str) -> None:
    things.task(OBJECTS.format(module="things", numbers=[1, 2, 3], returned=returned))
    things.psy("run", code=1)
    assert len(things.load()["y"]) == 2
    (things.folder / "lib" / "things.py").rename(things.folder / "lib" / "objects.py")
    new = OBJECTS.format(module="objects", numbers=[1, 2, 4], returned="x.n")
    things.task(new)
    for command in (["status"], ["why"], ["failures"], ["log", "t", "0"]):
        assert "Traceback (most recent call last)" not in things.psy(*command).stderr
    things.calls()
    things.psy("run", "-c")
    assert things.calls() == ["[('x', 1)]", "[('x', 2)]", "[('x', 4)]"]
    assert list(things.load()["y"]) == [1, 2, 4]
    assert "up to date" in things.psy("status").stderr


def test_rows_that_cannot_be_read_run_again_and_the_others_stay(things: Study) -> None:
    body = OBJECTS.replace("[{module}.Thing(n) for n in {numbers}]", "{numbers}").replace(
        "x.n", "x"
    )
    mixed = "things.Thing(x) if x == 2 else x"
    things.task(body.format(module="things", numbers=[1, 2, 3, 4], returned=mixed))
    things.psy("run", code=1)
    (things.folder / "lib" / "things.py").rename(things.folder / "lib" / "objects.py")
    things.calls()
    fine = body.format(module="objects", numbers=[1, 2, 4], returned="x")
    things.task("store = '.npz'\n" + fine)
    shown = things.psy("run", "-c", code=1)
    assert "have to run again" in things.logs() + shown.stderr
    things.psy("run", "-c")
    assert list(things.load()["y"]) == [1, 2, 4]
    assert list(things.folder.glob("psy-work/t/archive/*/result.pkl"))


def test_keys_find_the_rows_of_a_space_whose_values_cannot_be_made_any_more(things: Study) -> None:
    body = """
exclude_from_result = ["x"]
{imports}
pspace = Param(x={values})
def execute(x):
    note(x=str(x))
    assert x != 3
    return {{"y": str(x)[:5]}}
"""
    old = "import things"
    things.task(body.format(imports=old, values="[things.Thing(1), 5, 6, 3]"))
    things.psy("run", code=1)
    assert sorted(things.load()["y"]) == ["5", "6", "Thing"]
    things.calls()
    (things.folder / "lib" / "things.py").unlink()
    things.task(body.format(imports="", values="[5, 6, 7]"))
    things.psy("run", "-c")
    assert things.calls() == ["[('x', '7')]"]
    assert sorted(things.load()["y"]) == ["5", "6", "7"]
