"""``psy debug``, with commands for the debugger on its standard input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.place import SKIPS_ZERO, SQUARE
from tests.support.processes import PATIENCE

BAD = SQUARE.replace("return", "y = 10 * x\n    assert x != 2, 'not two'\n    return")


def debug(place, *words: str, commands: str = ""):
    """Call ``psy debug``, and check that it made nothing in the folder of the task."""
    before = place.snapshot() if place.work.exists() else None
    shown = subprocess.run(
        place.command("debug", *words),
        cwd=place.folder,
        input=commands,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    if before is None:
        assert not place.work.exists()
    else:
        after = place.snapshot()
        assert {path: after[path] for path in before if str(place.work) in path} == {
            path: stat for path, stat in before.items() if str(place.work) in path
        }
    return shown


def test_a_row_that_succeeds_is_printed(place):
    place.task("square", BAD)
    shown = debug(place, "square", "3")
    assert (shown.returncode, shown.stdout) == (0, "square:\n  x: 3\n  y: 9\n")
    assert shown.stderr == "square: item 3: {'x': 3}\n"


def test_an_exception_opens_the_debugger_where_it_was_raised(place):
    place.task("square", BAD)
    shown = debug(place, "square", "2", commands="p ('y is', y)\nq\n")
    assert shown.returncode == 1
    assert "task_square.py(8)execute()" in shown.stdout
    assert "('y is', 20)" in shown.stdout
    assert "AssertionError: not two\n" in shown.stderr
    assert "psyflow" not in shown.stderr


def test_the_first_that_failed(place):
    place.task("square", BAD)
    place.psy("run")
    shown = debug(place, "square", "first-failed", commands="p x\n")
    assert (shown.returncode, "(Pdb) 2\n" in shown.stdout) == (1, True)
    assert shown.stderr.startswith("square: item 2: {'x': 2}\n")


def test_stepping_through_from_the_first_line(place):
    place.task("square", BAD)
    shown = debug(place, "--pdb", "square", "3", commands="n\nn\np ('y is', y)\nc\n")
    assert shown.returncode == 0, shown.stderr
    assert "-> y = 10 * x" in shown.stdout
    assert "('y is', 30)" in shown.stdout
    assert shown.stdout.endswith("square:\n  x: 3\n  y: 9\n")
    left = debug(place, "--pdb", "square", "3", commands="q\n")
    assert left.returncode == 1
    assert left.stderr.endswith("square: the debugger was left, so item 3 has no result.\n")


def test_setup_and_working_folder_are_those_of_a_worker(place):
    source = "import os\n" + SQUARE.replace("(x)", "(x, device)").replace(
        "x**2", "(device, os.path.basename(os.getcwd()))"
    )
    place.task("gpu", source + "def setup(proc_id):\n    return {'device': f'gpu{proc_id}'}\n")
    shown = debug(place, "gpu", "1")
    assert shown.stdout == "gpu:\n  x: 1\n  y: ('gpu0', 'psy-tasks')\n"


def test_ctx_has_what_the_item_left_and_changes_none_of_it(place):
    place.task(
        "long",
        """
from psyflow import Param
pspace = Param(x=range(2))
def execute(x, ctx):
    state = ctx.dir / "state"
    n = int(state.read_text()) + 1 if state.exists() else 0
    state.write_text(str(n))
    if x == 1:
        ctx.stop() if n > 1 else 1 / 0
    return {"n": n, "attempt": ctx.attempt, "job": ctx.job, "stop": ctx.should_stop()}
""",
    )
    printed = "long:\n  x: 0\n  n: {}\n  attempt: 1\n  job: 'process:0'\n  stop: False\n"
    assert debug(place, "long", "0").stdout == printed.format(0)
    place.psy("run")
    for _ in range(2):
        assert debug(place, "long", "0").stdout == printed.format(1)
    shown = debug(place, "long", "first-failed", commands="p state.read_text()\n")
    assert (shown.returncode, "'1'\n" in shown.stdout) == (1, True)
    place.psy("run")
    shown = debug(place, "long", "1")
    assert shown.returncode == 1
    assert shown.stderr.endswith("long: item 1 called ctx.stop(), so it has no result.\n")


def test_a_setup_that_fails_is_debugged_too(place):
    place.task("gpu", SQUARE + "def setup(proc_id):\n    raise OSError('no GPU')\n")
    shown = debug(place, "gpu", "1", commands="p proc_id\n")
    assert (shown.returncode, "(Pdb) 0\n" in shown.stdout) == (1, True)
    assert "OSError: no GPU" in shown.stderr


def test_what_is_no_result(place):
    place.task("square", SQUARE.replace('{"y": x**2}', "x"))
    place.task("object", SQUARE.replace("x**2", "object()") + "store = '.h5'\n")
    shown = debug(place, "square", "1")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "square: item 1 failed: TypeError: execute returned 1, of type int" in shown.stderr
    assert "Traceback" not in shown.stderr
    shown = debug(place, "object", "1")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert '"y"' in shown.stderr
    assert "Traceback" not in shown.stderr


def test_random_numbers_are_those_of_the_run(place):
    source = SQUARE.replace("(x)", "(x, rng)").replace("x**2", "rng.random()")
    place.task("chance", source + "seed = 5\n")
    place.psy("run")
    expected = place.result("chance")["y"][2]
    assert debug(place, "chance", "2").stdout == f"chance:\n  x: 2\n  y: {expected!r}\n"


def test_names_that_are_left_out_of_the_result(place):
    place.task("square", SQUARE + "exclude_from_result = ['x']\n")
    assert debug(place, "square", "3").stdout == "square:\n  y: 9\n"


def test_the_callers_folder_and_path_come_back(place):
    place.task("square")
    before = Path.cwd(), list(sys.path)
    assert place.psy("debug", "square", "3").returncode == 0
    assert (Path.cwd(), sys.path) == before


def test_another_python_is_pointed_out(place):
    place.task("square", SQUARE + "python = '/usr/bin/python-of-the-cluster'\n")
    shown = debug(place, "square", "3")
    assert shown.returncode == 0
    assert "where jobs would run in /usr/bin/python-of-the-cluster." in shown.stderr


def test_a_skip_opens_no_debugger(place):
    place.task("square", SKIPS_ZERO)
    shown = debug(place, "square", "0")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert shown.stderr == "square: item 0: {'x': 0}\nsquare: item 0 is skipped: dull\n"
