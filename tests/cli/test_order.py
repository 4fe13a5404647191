"""Tasks run in the order in which they need each other's results."""

from __future__ import annotations

import pytest

from tests.support.place import SQUARE

HIGHEST = """
import psyflow
from psyflow import Param

file_dep = [%s]
pspace = Param(n=[1])


def execute(n):
    return {"highest": max(psyflow.load("../psy-work/squares/result.pkl")["y"])}
"""


@pytest.mark.parametrize(
    "dep",
    ["../psy-work/squares/result.pkl", "../psy-work/squares", "../psy-work/squares/*.pkl"],
)
@pytest.mark.parametrize("names", [[], ["highest", "squares"]])
def test_a_task_runs_after_the_one_whose_result_it_needs(place, dep, names):
    place.task("squares", SQUARE)
    place.task("highest", HIGHEST % repr(dep))
    shown = place.psy("run", *names)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.split()[1::2] == [
        *(f"squares:{step}" for step in ("split", "process", "merge")),
        *(f"highest:{step}" for step in ("split", "process", "merge")),
    ]
    # What is extended makes the other one run again, in the same call.
    place.task("squares", SQUARE.replace("range(4)", "range(9)"))
    assert "-- highest" not in place.psy("run").stdout
    assert place.psy("run").stdout.count("--") == 6


def test_a_chain_of_needs(place):
    for name, needed in (("a", "b"), ("b", "c")):
        dep = f"../psy-work/{needed}/result.pkl"
        place.task(name, f"file_dep = ['{dep}']\n{SQUARE}")
    place.task("c", SQUARE)
    assert place.psy("run").stdout.split()[1::6] == ["c:split", "b:split", "a:split"]


def test_folders_around_the_results_set_no_order(place):
    for name in "ab":
        place.task(name, f"file_dep = ['..']\n{SQUARE}")
    shown = place.psy("run")
    assert shown.stdout.split()[1::6] == ["a:split", "b:split"]
    assert "need" not in shown.stderr


def test_a_circle_is_told_and_stops_nobody_else(place):
    place.task("a", f"file_dep = ['../psy-work/b/result.pkl']\n{SQUARE}")
    place.task("b", f"file_dep = ['../psy-work/a/result.pkl']\n{SQUARE}")
    place.task("c", SQUARE)
    shown = place.psy("run")
    assert "a needs b needs a, by `file_dep`" in shown.stderr
    assert len(place.result("c")["x"]) == 4
