"""``psy run --where`` and ``--limit``: a part of the space."""

from __future__ import annotations

import json

import pytest

from psyflow.record.wanted import Wanted
from tests.support.place import lines

from .test_run import COUNTING, calls

SPACE = COUNTING.replace("Param(x=[1, 2, 3])", "Param(x=range(4)) * Param(mode=['a', 'b c'])")
PAIRS = SPACE.replace("execute(x)", "execute(x, mode)").replace("print(x,", "print(f'{x}{mode}',")


@pytest.fixture
def pairs(place):
    place.task("pairs", PAIRS)
    return place


def test_conditions_hold_together_and_the_rest_runs_later(pairs):
    shown = pairs.psy("run", "--where", "x>1", "--where", "mode=a")
    assert (shown.returncode, shown.stdout) == (0, lines("pairs"))
    assert calls(pairs) == ["2a", "3a"]
    assert "6 of 8 items have not run. Run them: psy run pairs" in shown.stderr
    assert pairs.result("pairs")["x"] == [2, 3]
    pairs.psy("run", "--limit", "1")
    assert calls(pairs) == ["0a"]
    pairs.psy("run", "--where", "mode=b c", "--limit", "2")
    assert calls(pairs) == ["0b", "1b", "c", "c"]
    assert pairs.psy("run").returncode == 0
    assert len(pairs.result("pairs")["x"]) == 8


def test_nothing_that_fits_is_said_and_changes_nothing(pairs):
    before = pairs.snapshot()
    shown = pairs.psy("run", "--where", "x>9", "--where", "mode=a")
    assert (shown.returncode, calls(pairs)) == (0, [])
    assert shown.stderr.startswith(
        "pairs: no item without a result fulfils x>9 and mode=a, so nothing is run. 8 of 8 items "
    )
    assert pairs.snapshot() == before


def test_results_of_other_code_make_way_only_if_something_runs(pairs):
    pairs.psy("run", "--where", "x=0")
    calls(pairs)
    pairs.task("pairs", PAIRS.replace("10 * x", "20 * x"))
    assert "nothing is run" in pairs.psy("run", "--where", "x=9").stderr
    assert pairs.result("pairs")["y"] == [0, 0]
    assert "1 of 8 items would run" in pairs.psy("run", "-n", "--limit", "1").stdout
    pairs.psy("run", "--where", "x=1", "--limit", "1")
    assert calls(pairs) == ["1a"]
    assert pairs.result("pairs") == {"x": [1], "mode": ["a"], "y": [20]}
    assert list(pairs.work.glob("pairs/archive/*/result.pkl"))


def test_an_unknown_parameter_is_a_mistake_with_a_hint(pairs):
    shown = pairs.psy("run", "--where", "mod=a")
    assert (shown.returncode, calls(pairs)) == (2, [])
    assert 'There is no parameter "mod". Did you mean "mode"?' in shown.stderr
    shown = pairs.psy("run", "--where", "mode")
    assert shown.returncode == 2
    assert "is no condition" in shown.stderr


@pytest.mark.parametrize("options", [(), ("-n",)])
def test_a_mistake_is_one_also_where_nothing_is_due(pairs, options):
    pairs.psy("run")
    shown = pairs.psy("run", *options, "--where", "mod=a")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert 'Did you mean "mode"?' in shown.stderr
    assert "is no condition" in pairs.psy("run", *options, "--where", "mode").stderr


def test_what_is_to_be_typed_for_the_rest_of_a_part():
    wanted = Wanted(where=["mode=b c"], limit=2, again=[range(3, 5)])
    assert wanted.options() == ["--where", "mode=b c", "--limit", "2"]
    assert wanted.all_options()[:2] == ["--again", "3-4"]


@pytest.fixture
def mixed(place):
    """Of pairs with x from 0 to 3: 1 is done, 2 and 3 failed, and 0 has not run."""
    place.task("pairs", PAIRS.replace("    return", "    assert x < 2, 'too much'\n    return"))
    assert place.psy("run", "--where", "x>0").returncode == 1
    return place


def test_status_tells_of_a_part(mixed):
    shown = mixed.psy("status", "--where", "mode=a", "--where", "x<3")
    assert "2 out of 8 rows completed." in shown.stdout
    assert (
        "1 of 3 items with mode=a and x<3 are done; 1 failed and 1 have not run." in shown.stdout
    )
    report = json.loads(mixed.psy("status", "--json", "--where", "x>1").stdout)
    assert report["pairs"]["part"] == {"n_items": 4, "n_done": 0, "n_failed": 4, "n_skipped": 0}
    assert json.loads(mixed.psy("status", "--json").stdout)["pairs"]["part"] is None


def test_failures_of_a_part(mixed):
    shown = mixed.psy("failures", "--where", "x=3")
    assert shown.stdout.startswith("pairs: 2 of 2 items failed.")
    assert "{'mode': 'a', 'x': 3}" in shown.stdout or "{'x': 3, 'mode': 'a'}" in shown.stdout
    assert mixed.psy("failures", "--where", "x=1").stderr == "pairs: no failures.\n"
    (group,) = json.loads(mixed.psy("failures", "--json", "--where", "x=2").stdout)["pairs"][
        "groups"
    ]
    assert group["n_failed"] == 2


def test_logs_of_a_part(mixed):
    shown = mixed.psy("log", "pairs", "--where", "mode=b c", "--where", "x<3")
    assert [line for line in shown.stdout.splitlines() if line.startswith("pairs: item")] == [
        "pairs: item 1: {'mode': 'b c', 'x': 0}",
        "pairs: item 3: {'mode': 'b c', 'x': 1}",
        "pairs: item 5: {'mode': 'b c', 'x': 2}",
    ]
    assert shown.stdout.count("too much") == 2


def test_the_first_of_a_part_is_tried_and_debugged(mixed):
    assert "x: 1" in mixed.psy("test", "--where", "x=1").stdout
    assert "x: 1" in mixed.psy("debug", "pairs", "--where", "x=1").stdout


@pytest.mark.parametrize("command", ["debug", "log"])
def test_an_item_is_named_in_one_way(mixed, command):
    shown = mixed.psy(command, "pairs", "1", "--where", "x=1")
    assert shown.returncode == 2
    assert "Name an item by its number or by --where, and not by both." in shown.stderr


def test_an_item_to_debug_is_asked_for(mixed):
    shown = mixed.psy("debug")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr == (
        "psy debug: Which item? Name it by its number or by --where, "
        "or type, for example: psy debug pairs first-failed\n"
    )


@pytest.mark.parametrize("command", ["log", "debug", "test"])
def test_a_part_without_items_is_a_mistake(mixed, command):
    shown = mixed.psy(command, "pairs", "--where", "x=9")
    assert shown.returncode == 2
    assert "fulfils x=9" in shown.stderr
