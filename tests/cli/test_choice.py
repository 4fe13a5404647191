"""``psy run --failed`` and ``--todo``, and ``psy accept``."""

from __future__ import annotations

import pytest

from tests.support.place import lines

from .test_run import COUNTING, calls

# Items above GOOD fail; the file says so, and not the code, which therefore does not change.
MOODY = COUNTING.replace(
    "    return", "    assert x <= int(GOOD.read_text()), 'not now'\n    return"
).replace("def execute", 'GOOD = Path(__file__).parent.parent / "good"\n\ndef execute')


@pytest.fixture
def moody(place):
    """Items 1 and 2 are done, 3 failed, and 4 and 5 are new."""
    (place.folder / "good").write_text("2")
    place.task("moody", MOODY)
    assert place.psy("run").returncode == 1
    place.task("moody", MOODY.replace("[1, 2, 3]", "[1, 2, 3, 4, 5]"))
    calls(place)
    return place


def test_failed_runs_only_what_failed(moody):
    (moody.folder / "good").write_text("9")
    shown = moody.psy("run", "--failed")
    assert (shown.returncode, shown.stdout) == (0, lines("moody"))
    assert calls(moody) == ["3"]
    assert shown.stderr == "moody: 2 of 5 items have not run. Run them: psy run moody\n"
    assert moody.result("moody")["x"] == [1, 2, 3]
    assert "not up to date: 2 of 5 items" in moody.psy("status").stderr
    assert moody.psy("run").returncode == 0
    assert calls(moody) == ["4", "5"]


def test_todo_runs_only_what_never_ran(moody):
    (moody.folder / "good").write_text("4")
    shown = moody.psy("run", "--todo")
    assert (shown.returncode, shown.stdout) == (1, lines("moody"))
    assert calls(moody) == ["4", "5"]
    assert shown.stderr.startswith("moody: 2 of 5 items failed; see them: psy failures moody.")
    assert moody.result("moody")["x"] == [1, 2, 4]


def test_nothing_chosen_is_said_and_changes_nothing(moody):
    (moody.folder / "good").write_text("9")
    moody.psy("run", "--todo")
    before = moody.snapshot()
    shown = moody.psy("run", "--todo")
    assert (shown.returncode, shown.stdout) == (0, lines("moody", "-- -- --"))
    assert shown.stderr == (
        "moody: no item is left that has not run, so nothing is run. "
        "1 of 5 items have no result; run them: psy run moody\n"
    )
    moody.psy("run", "--failed")
    assert moody.psy("run", "--failed").stderr == ""
    assert moody.snapshot() != before


def test_no_item_failed(place):
    place.task("count", COUNTING)
    shown = place.psy("run", "--failed")
    assert (shown.returncode, calls(place)) == (0, [])
    assert shown.stderr.startswith("count: no item failed, so nothing is run. 3 of 3 items have")
    assert not place.work.exists()


@pytest.mark.parametrize("option", ["--failed", "--todo"])
def test_changed_code_leaves_nothing_to_choose_from(moody, option):
    (moody.folder / "good").write_text("9")
    moody.task("moody", MOODY.replace("10 * x", "20 * x"))
    before = moody.work / "moody" / "result.pkl"
    content = before.read_bytes()
    shown = moody.psy("run", option)
    assert (shown.returncode, calls(moody)) == (2, [])
    assert shown.stderr.startswith('moody: Task "moody" has changed (execute: line ')
    assert f"psy run {option} -c moody" in shown.stderr
    assert before.read_bytes() == content
    assert not (moody.work / "moody" / "archive").exists()


def test_mended_code_runs_what_failed_and_keeps_the_rest(moody):
    moody.task("moody", MOODY.replace("assert", "x or"))
    assert moody.psy("run", "-c", "--failed").returncode == 0
    assert calls(moody) == ["3"]
    assert moody.result("moody")["y"] == [10, 20, 30]


def test_a_choice_is_counted_by_itself(moody):
    from psyflow.outcomes.states import State
    from psyflow.record.plan import Plan
    from psyflow.report.progress import Follower

    (moody.folder / "good").write_text("9")
    moody.psy("run", "--failed")
    plan = Plan.read(moody.work / "moody" / "plan.json")
    tally = Follower(plan, n_left_out=2).counts().tally
    assert (tally.n_items, tally[State.DONE], tally[State.FAILED]) == (3, 3, 0)


# -- accept --------------------------------------------------------------------------------------


@pytest.fixture
def changed(place):
    place.task("count", COUNTING)
    place.psy("run")
    calls(place)
    place.task("count", COUNTING.replace("10 * x", "x * 10"))
    return place


CHANGE = 'execute: line 11: `return {"y": 10 * x}` -> `return {"y": x * 10}`'


def test_accepted_results_are_up_to_date(changed):
    shown = changed.psy("accept", "count")
    assert (shown.returncode, shown.stdout) == (0, f"count: accepted {CHANGE}\n")
    assert changed.psy("run").stdout == lines("count", "-- -- --")
    assert calls(changed) == []
    again = changed.psy("accept", "count")
    assert (again.returncode, again.stdout) == (0, "")
    assert "nothing has changed" in again.stderr


def test_after_accepting_only_new_points_run(changed):
    changed.psy("accept", "count")
    source = COUNTING.replace("10 * x", "x * 10").replace("[1, 2, 3]", "[1, 2, 3, 4]")
    changed.task("count", source)
    assert changed.psy("run").stdout == lines("count")
    assert calls(changed) == ["4"]
    assert changed.result("count")["y"] == [10, 20, 30, 40]


def test_accept_in_a_dry_run_changes_nothing(changed):
    before = changed.snapshot()
    shown = changed.psy("accept", "-n", "count")
    assert (shown.returncode, shown.stdout) == (0, f"count: would accept {CHANGE}\n")
    assert shown.stderr == "count: nothing is accepted yet. Type: psy accept count\n"
    assert changed.snapshot() == before
    assert changed.psy("run").stdout == lines("count")
    assert calls(changed) == ["1", "2", "3"]


def test_accept_needs_names(changed):
    before = changed.snapshot()
    shown = changed.psy("accept")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "no task is named" in shown.stderr
    assert changed.snapshot() == before


@pytest.mark.parametrize("option", [[], ["-n"]])
def test_there_has_to_be_something_to_accept(place, option):
    place.task("count", COUNTING, taskdir="studies")
    shown = place.psy("accept", "--taskdir", "studies", *option, "count")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "has not been run. Type: psy run --taskdir studies count" in shown.stderr
