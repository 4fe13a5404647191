"""``psy run --again``: finished items are computed anew, and old rows go to the archive."""

from __future__ import annotations

import pickle

import pytest

import psyflow
from psyflow.record.wanted import Wanted
from psyflow.runs.begin import begin
from psyflow.runs.run import Run
from psyflow.tasks import Config, TaskDef
from tests.support.place import lines

from .test_run import COUNTING, calls

# What it gives is in a file, not in the code, which therefore does not change.
FACTOR = COUNTING.replace("10 * x", "int(FACTOR.read_text()) * x").replace(
    "def execute", 'FACTOR = Path(__file__).parent.parent / "factor"\n\ndef execute'
)
DOUBLED = FACTOR.replace("pspace = Param(x=[1, 2, 3])", "pspace = Param(x=[0, 3, 2, 1])")


@pytest.fixture
def study(place):
    """All three items are done, and would give other results from now on."""
    (place.folder / "factor").write_text("10")
    place.task("count", FACTOR)
    assert place.psy("run").returncode == 0
    assert calls(place) == ["1", "2", "3"]
    (place.folder / "factor").write_text("70")
    return place


def begun(study, wanted):
    """Plan a run as `psy run` does, and die before anything is evaluated."""
    task = TaskDef(study.folder / "psy-tasks" / "task_count.py", Config(), study.folder)
    run = Run(task)
    assert begin(run, wanted=wanted) is not None
    run.release()


def archived(study):
    files = sorted(study.work.glob("count/archive/*/result.pkl"))
    return [pickle.loads(file.read_bytes())["y"] for file in files]


def test_chosen_items_are_computed_anew_and_the_old_rows_are_archived(study):
    shown = study.psy("run", "count", "--again", "1")
    assert (shown.returncode, shown.stdout) == (0, lines("count"))
    assert calls(study) == ["2"]
    assert study.result("count") == {"x": [1, 2, 3], "y": [10, 140, 30]}
    assert archived(study) == [[10, 20, 30]]
    assert study.psy("run").stdout == lines("count", "-- -- --")
    assert study.psy("status").stderr == "count: up to date.\n"


def test_ranges_conditions_and_a_limit(study):
    study.psy("run", "count", "--again", "0", "1-2", "--where", "x>1", "--limit", "1")
    assert calls(study) == ["2"]
    study.psy("run", "count", "--again", "--where", "x!=2")
    assert calls(study) == ["1", "3"]
    study.psy("run", "count", "--again")
    assert calls(study) == ["1", "2", "3"]


def test_a_dry_run_says_so_and_changes_nothing(study):
    before = study.snapshot()
    shown = study.psy("run", "count", "-n", "--again", "1-2")
    assert shown.returncode == 0
    assert "2 of 3 items would run" in shown.stdout
    assert "to the archive psy-work/count/archive/" in shown.stdout
    assert study.snapshot() == before


def test_what_dies_before_the_evaluation_leaves_the_old_result_and_the_wish(study):
    begun(study, Wanted(again=[range(1, 2)]))
    assert study.result("count")["y"] == [10, 20, 30]
    assert "not up to date: 1 of 3 items have no result" in study.psy("status").stderr
    assert list(psyflow.load(study.work / "count")["x"]) == [1, 3]
    # Another run in between that leaves it alone forgets nothing.
    study.psy("run", "--where", "x=7")
    study.psy("run")
    assert calls(study) == ["2"]
    assert study.result("count")["y"] == [10, 140, 30]


def test_the_wish_outlives_an_extension_and_another_order(study):
    begun(study, Wanted(again=[range(1, 2)]))
    study.task("count", DOUBLED)
    study.psy("run", "--where", "x=0")
    assert calls(study) == ["0"]
    study.psy("run")
    assert calls(study) == ["2"]
    assert study.result("count") == {"x": [0, 3, 2, 1], "y": [0, 30, 140, 10]}


def test_an_item_that_fails_then_has_no_result_until_it_runs_again(study):
    (study.folder / "factor").write_text("none")
    shown = study.psy("run", "count", "--again", "1")
    assert shown.returncode == 1
    assert study.result("count")["x"] == [1, 3]
    calls(study)
    # The archive has more rows of the same code now, but the old row is not wanted back.
    assert study.psy("run").returncode == 1
    assert calls(study) == ["2"]
    (study.folder / "factor").write_text("70")
    assert study.psy("run").returncode == 0
    assert study.result("count")["y"] == [10, 140, 30]


def test_old_results_come_back_by_name_and_may_be_renewed_otherwise(study):
    study.psy("run", "count", "--again", "1")
    old = next(study.work.glob("count/archive/*")).name
    assert study.psy("restore", "count", old).returncode == 0
    assert study.result("count")["y"] == [10, 20, 30]
    calls(study)
    study.psy("run", "count", "--again", "1-2")
    # That item 1 had been computed anew before, too, is no reason to take it from there.
    assert calls(study) == ["2", "3"]
    assert study.result("count")["y"] == [10, 140, 210]


def test_only_these_items_run_of_those_without_a_result(study):
    study.task("count", DOUBLED)
    study.psy("run", "--again", "1", "--taskdir", "psy-tasks")
    assert calls(study) == ["3"]
    assert study.result("count")["x"] == [3, 2, 1]


def test_changed_code_leaves_nothing_to_be_computed_anew(study):
    study.task("count", FACTOR.replace(" * x", " * x + 1"))
    shown = study.psy("run", "count", "--again", "1")
    assert (shown.returncode, calls(study)) == (2, [])
    assert "--again 1 has nothing to choose from" in shown.stderr
    assert study.psy("run", "--again", "1", "-c", "count").returncode == 0
    assert study.result("count")["y"] == [10, 141, 30]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["count", "--again", "3"], 'There is no item "3"; the items are 0 to 2.'),
        (["count", "--again", "1-3"], 'There is no item "1-3"'),
        (["--again", "1", "count"], "names of tasks go before this option"),
        (["--again", "2-1"], "the first item comes first"),
        (["--again", "--where", "z=1"], 'There is no parameter "z". Known: x.'),
        (["--limit", "0"], "1 or more"),
    ],
)
def test_what_makes_no_sense_changes_nothing(study, words, said):
    before = study.snapshot()
    shown = study.psy("run", *words)
    assert shown.returncode == 2
    assert said in shown.stderr
    assert study.snapshot() == before


def test_an_earlier_psyflow_refuses_the_plan(study):
    study.psy("run", "count", "--again", "1")
    assert '"format": 3' in (study.work / "count" / "plan.json").read_text()
    study.psy("clean", "-y", "count")
    study.psy("run", "count")
    assert '"format": 2' in (study.work / "count" / "plan.json").read_text()
