from __future__ import annotations

import json
import os

import pytest

from tests.support.place import SQUARE, lines

COUNTING = """
from pathlib import Path
from psyflow import Param

pspace = Param(x=[1, 2, 3])
CALLS = Path(__file__).parent.parent / "calls"

def execute(x):
    with CALLS.open("a") as file:
        print(x, file=file)
    return {"y": 10 * x}
"""


def calls(place) -> list[str]:
    path = place.folder / "calls"
    found = sorted(path.read_text().split()) if path.exists() else []
    path.unlink(missing_ok=True)
    return found


def test_a_task_is_run_and_then_up_to_date(place):
    place.task("square")
    first = place.program("run")
    assert (first.returncode, first.stdout, first.stderr) == (0, lines("square"), "")
    assert place.result("square") == {"x": [0, 1, 2, 3], "y": [0, 1, 4, 9]}
    before = place.snapshot()
    second = place.program("run")
    assert (second.returncode, second.stdout) == (0, lines("square", "-- -- --"))
    assert second.stderr == ""
    assert place.snapshot() == before


def test_nothing_of_doit_is_left_or_listened_to(place):
    place.task("square")
    (place.folder / "pyproject.toml").write_text(
        '[tool.doit]\nverbosity = "nonsense"\nreporter = "json"\n'
        '[tool.doit.plugins.reporter]\nnone = "no.such:thing"\n'
    )
    (place.folder / "doit.cfg").write_text("[GLOBAL]\nreporter = zero\n")
    assert place.program("run").stdout == lines("square")
    names = {path.name for path in place.folder.iterdir()}
    assert names == {"psy-tasks", "psy-work", "pyproject.toml", "doit.cfg"}


def test_what_looks_like_a_variable_of_doit_is_a_task_name(place):
    place.task("square")
    shown = place.program("run", "a=1")
    assert shown.returncode == 2
    assert 'There is no task "a=1"' in shown.stderr


def test_tasks_run_in_the_order_they_are_named(place):
    for name in ("a", "fit_1", "fit_2", "z"):
        place.task(name)
    shown = place.program("run", "z", "fit_*")
    assert shown.stdout == lines("z") + lines("fit_1") + lines("fit_2")
    assert not (place.work / "a").exists()


def test_all_tasks_run_in_the_order_of_their_names(place):
    for name in ("b", "_a", "c"):
        place.task(name)
    assert place.program("run").stdout == lines("_a") + lines("b") + lines("c")


def test_only_added_psets_run(place):
    place.task("count", COUNTING)
    place.program("run")
    assert calls(place) == ["1", "2", "3"]
    place.task("count", COUNTING.replace("[1, 2, 3]", "[0, 1, 2, 3, 4]"))
    assert place.program("run").stdout == lines("count")
    assert calls(place) == ["0", "4"]
    assert place.result("count") == {"x": [0, 1, 2, 3, 4], "y": [0, 10, 20, 30, 40]}


def test_changed_code_computes_anew_and_archives(place):
    place.task("count", COUNTING)
    place.program("run")
    place.task("count", COUNTING.replace("10 * x", "20 * x"))
    shown = place.program("run")
    assert shown.stdout == lines("count")
    assert "execute" in shown.stderr
    assert "archive" in shown.stderr
    assert calls(place) == ["1", "1", "2", "2", "3", "3"]
    assert place.result("count")["y"] == [20, 40, 60]
    assert list(place.work.glob("count/archive/*/result.pkl"))


def test_continue_keeps_results_of_older_code(place):
    place.task("count", COUNTING)
    place.program("run")
    calls(place)
    changed = COUNTING.replace("10 * x", "20 * x").replace("[1, 2, 3]", "[1, 2, 3, 4]")
    place.task("count", changed)
    assert place.program("run", "--continue").stdout == lines("count")
    assert calls(place) == ["4"]
    assert place.result("count")["y"] == [10, 20, 30, 80]
    assert place.program("run").stdout == lines("count", "-- -- --")


def test_continue_accepts_complete_results_of_older_code(place):
    place.task("count", COUNTING)
    place.program("run")
    calls(place)
    place.task("count", COUNTING.replace("10 * x", "20 * x"))
    assert place.program("run", "-c").stdout == lines("count", "-- -- .")
    assert calls(place) == []
    assert place.program("run").stdout == lines("count", "-- -- --")


def test_a_result_of_another_form_is_only_merged(place):
    place.task("count", COUNTING)
    place.program("run")
    calls(place)
    place.task("count", COUNTING + 'store = ".npz"\n')
    shown = place.program("run")
    assert (shown.returncode, shown.stdout) == (0, lines("count", "-- -- ."))
    assert calls(place) == []
    assert place.result("count", ".npz")["y"] == [10, 20, 30]


def test_failed_items_are_reported_and_run_again(place):
    source = SQUARE.replace("return", "assert x != 2 or OKAY, 'not two'\n    return")
    place.task("square", "OKAY = False\n" + source)
    shown = place.program("run")
    assert (shown.returncode, shown.stdout) == (1, lines("square"))
    assert shown.stderr == (
        "square: 1 of 4 items failed; see them: psy failures square. "
        "Run them again: psy run square\n"
    )
    assert place.result("square")["x"] == [0, 1, 3]
    assert "not two" in (place.work / "square" / "square:process:0.log").read_text()
    again = place.program("run")
    assert (again.returncode, again.stdout) == (1, lines("square"))
    place.task("square", "OKAY = True\n" + source)
    mended = place.program("run", "-c")
    assert (mended.returncode, mended.stderr) == (0, "")
    assert place.result("square")["x"] == [0, 1, 2, 3]


def test_messages_name_the_task_folder_to_type(place):
    place.task("bad", SQUARE.replace("x**2", "1 / x"), taskdir="my studies")
    shown = place.program("run", "--taskdir", "my studies")
    assert shown.stderr.endswith("Run them again: psy run --taskdir 'my studies' bad\n")


@pytest.mark.parametrize(
    ("number", "expected"), [("3", 3), ("auto", len(os.sched_getaffinity(0)))]
)
def test_workers_per_job_can_be_chosen(place, number, expected):
    place.task("square", SQUARE + "pool_size = 7\n")
    place.program("run", "-j", number)
    plan = json.loads((place.work / "square" / "plan.json").read_text())
    assert plan["pool_size"] == expected


def test_what_tasks_print_goes_to_their_logs(place):
    place.task("loud", SQUARE.replace("return", "print('I am', x)\n    return"))
    shown = place.program("run")
    assert (shown.stdout, shown.stderr) == (lines("loud"), "")
    assert "I am 3" in (place.work / "loud" / "loud:process:0.worker-0.log").read_text()


def test_a_broken_task_file_does_not_stop_the_others(place):
    place.task("a_broken", "import psyflow\nundefined_name\n")
    place.task("square")
    shown = place.program("run")
    assert (shown.returncode, shown.stdout) == (3, lines("square"))
    assert shown.stderr.startswith('Error: Task "a_broken" could not be loaded.')
    assert "task_a_broken.py" in shown.stderr
    assert "NameError: name 'undefined_name' is not defined" in shown.stderr
    assert "psyflow/tasks" not in shown.stderr


def test_only_broken_tasks(place):
    place.task("broken", "undefined_name")
    shown = place.program("run", "broken")
    assert (shown.returncode, shown.stdout) == (3, "")


def test_a_setup_that_fails_is_shown_with_its_traceback_and_log(place):
    place.task("a", SQUARE + "def setup(proc_id):\n    raise OSError('no such GPU')\n")
    place.task("square")
    shown = place.program("run")
    assert shown.returncode == 3
    assert shown.stdout == ".  a:split\n.  a:process\n" + lines("square")
    assert shown.stderr.startswith("a: the workers gave up (exit status 3); see psy-work/a/a:pro")
    assert shown.stderr.count("Traceback") == 1
    assert shown.stderr.endswith("OSError: no such GPU\n")
    assert "psyflow/worker.py" not in shown.stderr
    place.task("a", SQUARE + "def setup(proc_id):\n    return {}\n")
    assert place.program("run").returncode == 0
    assert place.result("a")["y"] == [0, 1, 4, 9]


def test_misspelt_settings_are_pointed_out_in_a_clean_line(place):
    place.task("square", SQUARE + "schedular_args = {}\n")
    shown = place.program("run")
    assert shown.returncode == 0
    assert shown.stderr.startswith("Warning: ")
    assert shown.stderr.count("\n") == 1
    assert "schedular_args" in shown.stderr
    assert "scheduler_args" in shown.stderr


def test_other_warnings_of_task_files_say_where_they_are_from(place):
    place.task("square", "import warnings\nwarnings.warn('old format')\n" + SQUARE)
    shown = place.program("run")
    assert shown.stderr.startswith("Warning: old format (UserWarning at ")
    assert "task_square.py:2)" in shown.stderr


def test_results_that_must_not_be_replaced(place):
    place.task("square", SQUARE + "overwrite_dirty = False\n")
    assert place.program("run").returncode == 0
    place.task("square", SQUARE.replace("x**2", "x**3") + "overwrite_dirty = False\n")
    shown = place.program("run")
    assert (shown.returncode, shown.stdout) == (3, "")
    assert shown.stderr.startswith('Warning: Task "square" has results of other code')
    assert place.result("square")["y"] == [0, 1, 4, 9]
    # Nothing is held any more.
    assert place.program("run", "-c").returncode == 0


def test_a_task_named_twice_runs_once(place):
    place.task("square")
    assert place.program("run", "square", "sq*").stdout == lines("square")


@pytest.mark.parametrize("order", [["a", "b"], ["b", "a"]])
def test_a_task_that_cannot_begin_does_not_stop_the_others(place, order):
    place.task("a", SQUARE.replace("(x)", "(z)"))
    place.task("b")
    shown = place.program("run", *order)
    assert (shown.returncode, shown.stdout) == (3, lines("b"))
    assert shown.stderr.startswith("a: ")
    assert "`x`" in shown.stderr
    assert "Traceback" not in shown.stderr
    assert not (place.work / "a").exists()
