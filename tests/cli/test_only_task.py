"""Commands about one task, where none is named."""

from __future__ import annotations

import pytest

from tests.support.place import Place

FAILING = """
from psyflow import Param
pspace = Param(x=[0, 1, 2])
def execute(x):
    return {"y": 6 // x}
"""


@pytest.fixture
def alone(place: Place) -> Place:
    """Give a study of one task, of whose items the first fails."""
    place.task("ratio", FAILING)
    assert place.psy("run").returncode == 1
    return place


@pytest.mark.parametrize(
    "words", ["show", "show --where x=1", "log", "log 0", "log first-failed", "restore"]
)
def test_it_is_the_only_one(alone: Place, words: str) -> None:
    command, *others = words.split()
    told, asked = alone.psy(command, *others), alone.psy(command, "ratio", *others)
    assert (told.returncode, told.stdout, told.stderr) == (0, asked.stdout, asked.stderr)


def test_the_only_one_is_drawn_by_the_roles_that_are_given(alone: Place) -> None:
    shown = alone.psy("plot", "y=y", "x=x", "--json")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == alone.psy("plot", "ratio", "y=y", "x=x", "--json").stdout
    assert "hu" in alone.psy("plot", "hu=x").stderr


@pytest.mark.parametrize(
    ("words", "example"),
    [
        ("show", "psy show other"),
        ("plot x=x", "psy plot other x=x"),
        ("log 1", "psy log other 1"),
        ("debug first-failed", "psy debug other first-failed"),
        ("restore", "psy restore other"),
    ],
)
def test_which_of_several_is_asked(alone: Place, words: str, example: str) -> None:
    alone.task("other", FAILING)
    shown = alone.psy(*words.split())
    assert (shown.returncode, shown.stdout) == (2, "")
    told = f"Which task? There are: other, ratio. Type, for example: {example}\n"
    assert shown.stderr == f"psy {words.split()[0]}: {told}"


def test_a_task_may_have_the_name_of_an_item(alone: Place) -> None:
    alone.task("1", FAILING)
    assert alone.psy("log", "1").stderr == "1: has no logs.\n"


@pytest.mark.parametrize("command", ["show", "log", "restore", "accept", "clean", "kill"])
def test_that_there_is_none_is_said(place: Place, command: str) -> None:
    shown = place.psy(command)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert 'folder "psy-tasks" does not exist. Type psy new-task NAME' in shown.stderr


@pytest.mark.parametrize("command", ["accept", "clean", "kill"])
def test_what_is_done_to_named_tasks_only_names_them(alone: Place, command: str) -> None:
    for number in range(12):
        alone.task(f"t{number:02}", FAILING)
    shown = alone.psy(command)
    assert (shown.returncode, shown.stdout) == (0, "")
    several = ", ".join(["ratio", *(f"t{number:02}" for number in range(9))])
    told = f"no task is named, so nothing is done. There are: {several} and 3 more."
    assert shown.stderr == f"psy {command}: {told} Type: psy {command} NAME\n"


def test_the_only_one_is_exported_and_a_file_has_to_be_named(alone: Place) -> None:
    told = alone.psy("export", "out.csv", "--where", "x>0")
    assert told.returncode == 0, told.stderr
    assert (alone.folder / "out.csv").read_text().splitlines() == ["x,y", "1,6", "2,3"]
    for words, hint in (
        (["ratio"], "Type, for example: psy export ratio ratio.csv"),
        ([], "Type, for example: psy export TASK TASK.csv"),
        (["out.xyz"], 'There is no format of a file ".xyz"'),
    ):
        asked = alone.psy("export", *words)
        assert (asked.returncode, asked.stdout) == (2, "")
        assert hint in asked.stderr
    # It may be meant as what is exported.
    (alone.folder / "copy.pkl").write_bytes((alone.work / "ratio/result.pkl").read_bytes())
    before = alone.snapshot()
    asked = alone.psy("export", "copy.pkl")
    assert asked.returncode == 2
    assert "Name both: psy export TASK copy.pkl" in asked.stderr
    assert alone.snapshot() == before
    alone.task("other", FAILING)
    asked = alone.psy("export", "out.csv")
    assert "Type, for example: psy export other out.csv" in asked.stderr
