"""A task whose file is renamed: its results are found under the name that it had."""

from __future__ import annotations

import shutil

import pytest

from tests.support.place import SQUARE, Place

MOVE = "take up its results with: mv psy-work/old psy-work/new"


@pytest.fixture
def renamed(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A study in which the file of a task that has run has another name since."""
    monkeypatch.chdir(place.folder)
    place.task("old")
    assert place.psy("run").returncode == 0
    (place.tasks / "task_old.py").rename(place.tasks / "task_new.py")
    return place


@pytest.mark.parametrize("command", [["status"], ["why"], ["run", "-n"]])
def test_looking_tells_of_the_results_under_the_old_name(
    renamed: Place, command: list[str]
) -> None:
    shown = renamed.psy(*command)
    assert MOVE in shown.stdout + shown.stderr


def test_what_is_advised_takes_the_results_up(renamed: Place) -> None:
    (renamed.work / "old").rename(renamed.work / "new")
    shown = renamed.psy("run")
    assert shown.returncode == 0
    assert ".  new:process" not in shown.stdout
    assert renamed.result("new")["x"] == [0, 1, 2, 3]


def test_a_run_says_it_before_it_computes_them_anew(renamed: Place) -> None:
    shown = renamed.psy("run")
    assert f"{MOVE}. Stop this before" in shown.stderr
    assert renamed.result("new")["x"] == [0, 1, 2, 3]
    assert renamed.result_exists("old")


@pytest.mark.parametrize(
    "change",
    [
        lambda place: place.task("new", SQUARE.replace("x**2", "x**3")),  # other code
        lambda place: place.task("old"),  # not renamed, but copied
        lambda place: (place.work / "old" / "plan.json").write_text("{"),
        lambda place: shutil.copytree(place.work / "old", place.work / "new"),
    ],
)
def test_other_folders_are_not_taken_for_it(renamed: Place, change) -> None:
    change(renamed)
    shown = renamed.psy("status", "new")
    assert "mv " not in shown.stdout + shown.stderr


def test_a_copy_of_a_folder_is_not_offered(renamed: Place) -> None:
    shutil.copytree(renamed.work / "old", renamed.work / "backup")
    assert MOVE in renamed.psy("status", "new").stderr
    shutil.rmtree(renamed.work / "old")
    assert "mv " not in renamed.psy("status", "new").stderr
