from __future__ import annotations

import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from tests.support.place import SQUARE, Place
from tests.support.processes import PATIENCE, eventually

FAILING = SQUARE.replace("return", "if x == 2:\n        raise ValueError('not two')\n    return")


@pytest.fixture
def failed(place):
    place.task("square", FAILING)
    place.psy("run")
    return place


def test_before_the_first_run(place):
    place.task("a")
    place.task("b")
    before = place.snapshot()
    shown = place.psy("status")
    assert shown.returncode == 0
    assert shown.stdout == (
        "a:\n  0 out of 4 rows completed.\n\nb:\n  0 out of 4 rows completed.\n\n"
    )
    assert "a: not up to date: 4 of 4 items have no result.\n" in shown.stderr
    assert place.snapshot() == before


def test_verbose_before_the_first_run(place):
    place.task("square")
    assert place.psy("status", "-v", "square").stdout == (
        "square:\n"
        "  0 out of 4 rows completed.\n"
        "  Missing parameter sets:\n"
        "    {'x': 0}\n"
        "    {'x': 1}\n"
        "    {'x': 2}\n"
        "    {'x': 3}\n"
        "  No failed jobs.\n"
        "\n"
    )


def test_with_all_done(place):
    place.task("square")
    place.psy("run")
    before = place.snapshot()
    shown = place.psy("status", "-v")
    assert shown.stdout == "square:\n  4 out of 4 rows completed.\n  No failed jobs.\n\n"
    assert shown.stderr == "square: up to date.\n"
    assert place.snapshot() == before


def test_verbose_with_failures(failed):
    before = failed.snapshot()
    shown = failed.psy("status", "-v")
    assert shown.returncode == 0
    assert shown.stdout == (
        "square:\n"
        "  3 out of 4 rows completed.\n"
        "  1 of 4 items failed.\n"
        "  Missing parameter sets:\n"
        "    {'x': 2}\n"
        "  Failed parameter sets:\n"
        "    {'x': 2}: ValueError: not two\n"
        "  No failed jobs.\n"
        "\n"
    )
    assert shown.stderr.startswith("square: not up to date: 1 of 4 items have no result, of whi")
    assert shown.stderr.endswith("square: see what failed: psy failures square\n")
    assert failed.snapshot() == before


def test_failures_are_matched_by_pset_when_the_space_has_changed(failed):
    failed.task("square", FAILING.replace("range(4)", "[9, 2]"))
    shown = failed.psy("status", "-v").stdout
    assert "  0 out of 2 rows completed.\n" in shown
    assert "    {'x': 2}: ValueError: not two\n" in shown


def test_json(failed):
    report = json.loads(failed.psy("status", "--json").stdout)
    assert list(report) == ["square"]
    square = report["square"]
    assert (square["n_items"], square["n_done"], square["n_failed"]) == (4, 3, 1)
    assert square["states"] == {
        "todo": 0,
        "queued": 0,
        "running": 0,
        "done": 3,
        "failed": 1,
        "skipped": 0,
    }
    assert square["up_to_date"] is False
    assert square["reasons"]
    assert square["jobs"] == []
    assert square["result"].endswith("psy-work/square/result.pkl")
    (failure,) = square["failed"]
    assert failure == {
        "item": 2,
        "pset": {"x": "2"},
        "kind": "error",
        "exception": "ValueError: not two",
    }
    assert "missing" not in square
    verbose = json.loads(failed.psy("status", "--json", "-v").stdout)
    assert verbose["square"]["missing"] == [{"x": "2"}]


def test_changed_code_is_a_reason(place):
    place.task("square")
    place.psy("run")
    place.task("square", SQUARE.replace("x**2", "x**3"))
    shown = place.psy("status")
    assert "4 out of 4 rows completed." in shown.stdout
    assert "square: not up to date: " in shown.stderr
    assert "execute" in shown.stderr


def test_long_lists_are_cut(place):
    place.task("square", SQUARE.replace("range(4)", "range(1000)"))
    shown = place.psy("status", "-v").stdout
    assert "    {'x': 99}\n    … and 900 more\n" in shown
    assert "{'x': 100}" not in shown


def test_numpy_values_are_shown_as_plain_numbers(place):
    place.task("square", "import numpy as np\n" + SQUARE.replace("range(4)", "np.arange(2) / 2"))
    assert "    {'x': 0.0}\n    {'x': 0.5}\n" in place.psy("status", "-v").stdout


def test_modules_beside_task_files_are_not_compiled(place):
    place.task("square", "import helper\n" + SQUARE)
    (place.folder / "psy-tasks" / "helper.py").write_text("a = 1\n")
    before = place.snapshot()
    assert place.program("status", env={"PYTHONDONTWRITEBYTECODE": ""}).returncode == 0
    assert place.snapshot() == before


def test_a_broken_task_does_not_hide_the_others(place):
    place.task("broken", "1 / 0")
    place.task("square")
    shown = place.psy("status")
    assert shown.returncode == 3
    assert shown.stdout == "square:\n  0 out of 4 rows completed.\n\n"
    assert "ZeroDivisionError" in shown.stderr


def test_a_task_goes_by_its_file_and_by_the_folder_of_its_run_as_well(place):
    place.task("square")
    place.psy("run")
    for word in ("square", "psy-tasks/task_square.py", "psy-work/square/", "sq*"):
        assert place.psy("status", word).stdout.startswith("square:\n  4 out of 4 rows")
    other = place.task("other", taskdir="more")
    shown = place.psy("status", str(other))
    assert (shown.returncode, shown.stdout) == (2, "")
    assert f"--taskdir {other.parent} other" in shown.stderr


def test_an_empty_space_is_said(place):
    place.task("square", SQUARE.replace("range(4)", "[]"))
    for command in ("status", "run"):
        assert "square: the parameter space is empty" in place.psy(command).stderr


def test_of_many_names_the_closest_three_are_shown(place):
    for number in range(30):
        place.task(f"square_{number}")
    shown = place.psy("status", "square_")
    assert shown.stderr.count("square_") == 4
    assert "Did you mean" in shown.stderr


HANGS = """
import time
from pathlib import Path
from psyflow import Param
pspace = Param(x=range(4))
pool_size = 2
def execute(x):
    while x == 1 and not Path("gate").exists():
        time.sleep(0.05)
    return {"y": x}
"""


def test_an_item_that_hangs_is_seen_and_named_wherever_one_looks(place, tmp_path_factory):
    path = place.task("hang", HANGS)
    psy = place.start("run")
    work = place.work / "hang"
    eventually(lambda: [*work.glob("plans/*/leases/.running-*")])
    told = place.psy("status", "hang").stderr
    assert re.search(r"running: item 1 for \d+ s on \S+, \{'x': 1\}", told)
    assert "half of the items that are done took less than" in told
    (item,) = json.loads(place.psy("status", "--json", "hang").stdout)["hang"]["running_items"]
    assert (item["item"], item["pset"]) == (1, {"x": "1"}) and item["seconds"] > 1
    copy = Place(tmp_path_factory.mktemp("copies") / "copy")
    shutil.copytree(place.folder, copy.folder)
    assert json.loads(copy.psy("status", "--json", "hang").stdout)["hang"]["running_items"] == []
    (path.parent / "gate").touch()
    assert psy.wait(PATIENCE) == 0
    assert "running" not in place.psy("status", "hang").stderr
    assert not [*work.glob("plans/*/leases/.running-*")]


def test_what_a_killed_job_was_at_is_not_said_to_be_running(place):
    place.task("hang", HANGS)
    psy = place.start("run")
    (file,) = eventually(lambda: [*place.work.glob("hang/plans/*/leases/.running-*")])
    job = json.loads(file.read_text())["owner"]["pid"]
    psy.kill()
    os.kill(job, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{job}").exists())
    assert "running: item" not in place.psy("status", "hang").stderr
