"""What a new user may try: a clear message, no traceback of psyflow's, nothing lost."""

from __future__ import annotations

import pytest

from tests.support.place import SQUARE, lines


def test_empty_space(place):
    place.task("empty", SQUARE.replace("range(4)", "[]"))
    shown = place.psy("run")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == lines("empty", "-- -- .")
    assert place.result("empty") == {"x": []}
    assert place.psy("run").stdout == lines("empty", "-- -- --")
    assert place.psy("status").stdout == "empty:\n  0 out of 0 rows completed.\n\n"


def test_space_of_one(place):
    place.task("one", SQUARE.replace("range(4)", "7"))
    assert place.psy("run").returncode == 0
    assert place.result("one") == {"x": [7], "y": [49]}


def test_space_without_parameters(place):
    place.task("none", SQUARE.replace("Param(x=range(4))", "Param()").replace("(x)", "()"))
    shown = place.psy("run")
    assert shown.returncode == 0, shown.stderr


def test_result_that_is_no_dict(place):
    place.task("number", SQUARE.replace('{"y": x**2}', "x**2"))
    shown = place.psy("run")
    assert shown.returncode == 1
    assert "stopped early, because none of the first results can be kept" in shown.stderr
    assert "3 of 4 items failed and 1 have not run" in shown.stderr
    log = (place.work / "number" / "number:process:0.log").read_text()
    assert "It has to return a dict" in log


def test_result_key_that_equals_a_parameter(place):
    place.task("shift", SQUARE.replace('{"y": x**2}', '{"x": x + 100}'))
    assert place.psy("run").returncode == 1
    assert 'returned 100 as "x", which is a parameter' in place.psy("failures").stdout
    place.task("shift", SQUARE.replace('{"y": x**2}', '{"x": x, "y": x + 100}'))
    assert place.psy("run").returncode == 0
    assert place.result("shift") == {"x": [0, 1, 2, 3], "y": [100, 101, 102, 103]}
    assert place.psy("run").stdout == lines("shift", "-- -- --")


def test_lambda_as_execute(place):
    source = "from psyflow import Param\npspace = Param(x=range(3))\n"
    place.task("anonymous", source + "execute = lambda x: {'y': -x}\n")
    assert place.psy("run").returncode == 0
    assert place.result("anonymous") == {"x": [0, 1, 2], "y": [0, -1, -2]}


def test_values_that_the_store_cannot_hold(place):
    source = SQUARE.replace("x**2", "object() if x == 2 else x") + 'store = ".h5"\n'
    place.task("objects", source)
    shown = place.psy("run")
    assert shown.returncode == 1
    assert "1 of 4 items failed" in shown.stderr
    assert place.result("objects", ".h5")["y"] == [0, 1, 3]


def test_parameters_that_the_store_cannot_hold(place):
    source = SQUARE.replace("range(4)", "[{1: 2}, {}]").replace("x**2", "len(x)")
    place.task("dicts", source + 'store = ".h5"\n')
    for command in ("run", "test"):
        shown = place.psy(command)
        assert (shown.returncode, shown.stdout) == (3, "")
        assert 'dicts: Column "x" holds a value of type dict' in shown.stderr
    assert not place.work.exists()
    place.task("dicts", source + 'store = ".h5"\nexclude_from_result = ["x"]\n')
    assert place.psy("run").returncode == 0


def test_missing_pspace(place):
    place.task("half", "def execute(x):\n    return {}\n")
    shown = place.psy("run")
    assert shown.returncode == 3
    assert "`pspace` is not set" in shown.stderr


def test_a_space_that_fails_when_it_is_used(place):
    place.task("late", SQUARE.replace("range(4))", "range(4)).where(lambda x: 1 / x)"))
    place.task("square")
    shown = place.psy("run")
    assert (shown.returncode, shown.stdout) == (3, lines("square"))
    assert "ZeroDivisionError" in shown.stderr


def test_file_in_place_of_the_work_folder(place):
    place.task("square")
    place.work.write_text("in the way")
    shown = place.psy("run")
    assert shown.returncode == 3
    assert "psy-work" in shown.stderr
    assert "Traceback" not in shown.stderr
    assert place.work.read_text() == "in the way"


def test_folder_in_place_of_a_log(place):
    place.task("square")
    (place.work / "square" / "square:process:0.log").mkdir(parents=True)
    shown = place.psy("run")
    assert shown.returncode == 3
    assert "square:process:0.log" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_work_folder_that_nobody_may_write(place):
    place.task("square", SQUARE + "workdir = '/proc/psyflow'\n")
    shown = place.psy("run")
    assert shown.returncode == 3
    assert shown.stderr.startswith("square: /proc")
    assert "Traceback" not in shown.stderr


def test_python_that_does_not_exist(place):
    place.task("square", SQUARE + "python = '/no/such/python'\n")
    shown = place.psy("run")
    assert shown.returncode == 3
    assert "/no/such/python" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_damaged_plan(place):
    place.task("square")
    place.psy("run")
    (place.work / "square" / "plan.json").write_text("{")
    shown = place.psy("run")
    assert shown.returncode == 0
    assert "plan.json is damaged" in shown.stderr
    assert "-- square:process" in shown.stdout
    assert "Traceback" not in shown.stderr


def test_conf_that_does_not_load(place):
    place.task("square")
    (place.folder / "psy-tasks" / "psy-conf.py").write_text("1 / 0\n")
    shown = place.psy("run")
    assert (shown.returncode, shown.stdout) == (3, "")
    assert "psy-conf.py" in shown.stderr
    assert "ZeroDivisionError" in shown.stderr
    assert "psyflow/cli" not in shown.stderr


@pytest.mark.parametrize(
    ("body", "advice"),
    [
        ("Point(x, 0.5)", "such as dataclasses.asdict(point)."),
        ("Pair(x, 0.5)", "such as pair._asdict()."),
        ("None", 'such as {"y": ...}; does it come to its end without a `return`?'),
        ("wait()", "such as what `asyncio.run(...)` gives of this coroutine."),
        ("(x for x in [x])", "not to `yield` them one by one."),
    ],
)
def test_other_things_that_are_returned(place, body, advice):
    head = """\
import dataclasses
from typing import NamedTuple

@dataclasses.dataclass
class Point:
    y: int
    z: float

class Pair(NamedTuple):
    y: int
    z: float

async def wait():
    return {"y": 1}

"""
    place.task("other", head + SQUARE.replace('{"y": x**2}', body))
    shown = place.psy("run")
    assert shown.returncode == 1
    assert f"It has to return a dict of names and values, {advice}" in shown.stderr


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (SQUARE.replace("def execute", "async def execute"), "asyncio.run(evaluate(...))"),
        (SQUARE.replace("return", "yield"), "`execute` has a `yield`"),
    ],
)
def test_execute_that_returns_nothing_when_it_is_called(place, source, said):
    place.task("later", source)
    shown = place.psy("run")
    assert shown.returncode == 3
    assert said in shown.stderr
    assert not (place.work / "later").exists()


def test_data_frame_that_is_returned(place):
    pytest.importorskip("pandas")
    frame = "pandas.DataFrame({'y': [x, x]})"
    place.task("frame", "import pandas\n" + SQUARE.replace('{"y": x**2}', frame))
    shown = place.psy("run")
    assert shown.returncode == 1
    said = (
        "TypeError: execute returned a DataFrame. It has to return a dict of names and values, "
        'such as frame.to_dict("list").'
    )
    assert said in shown.stderr
    # All of them are one group: what is said does not depend on what was in the frame.
    assert f"3 × {said}" in place.psy("failures").stdout
