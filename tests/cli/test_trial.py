from __future__ import annotations

from tests.support.place import SKIPS_ZERO, SQUARE


def run_trial(place, *words: str):
    """Run ``psy test``, and check that it left nothing."""
    temporary = place.folder / "tmp"
    temporary.mkdir()
    shown = place.program("test", *words, env={"TMPDIR": str(temporary)})
    assert list(temporary.iterdir()) == []
    assert not place.work.exists()
    return shown


def test_the_first_row_of_each_task_is_printed(place):
    place.task("square", SQUARE.replace("range(4)", "[7, 8]"))
    place.task("text", SQUARE.replace("x**2", "'é' * (x + 3)"))
    shown = run_trial(place)
    assert shown.returncode == 0
    assert shown.stdout == "square:\n  x: 7\n  y: 49\ntext:\n  x: 0\n  y: 'ééé'\n"
    assert shown.stderr == ""


def test_it_is_evaluated_in_a_worker_with_setup(place):
    source = (
        "import os\n" + SQUARE.replace("(x)", "(x, device)").replace("x**2", "device")
        + f"def setup(proc_id):\n    return {{'device': (proc_id, os.getpid() != {0})}}\n"
        + "pool_size = 4\n"
    )  # fmt: skip
    place.task("gpu", source)
    assert run_trial(place, "gpu").stdout == "gpu:\n  x: 0\n  y: (0, True)\n"


def test_the_scheduler_of_the_task_is_left_alone(place):
    source = SQUARE + "from psyflow import Slurm\nscheduler = Slurm()\n"
    place.task("far", source + "scheduler_args = {'timelimit': '1m'}\n")
    assert run_trial(place).stdout == "far:\n  x: 0\n  y: 0\n"


def test_what_it_prints_is_shown_on_stderr(place):
    place.task("loud", SQUARE.replace("return", "print('hello')\n    return"))
    shown = run_trial(place)
    assert shown.stderr == "hello\n"


def test_a_failure_is_shown_with_its_traceback(place):
    place.task("bad", SQUARE.replace("x**2", "1 / x"))
    place.task("square")
    shown = run_trial(place)
    assert (shown.returncode, shown.stdout) == (1, "square:\n  x: 0\n  y: 0\n")
    assert shown.stderr.count("ZeroDivisionError: division by zero") == 2  # said, and traced
    # A line of the file itself: the copy that ran is gone by now.
    assert f'File "{place.folder / "psy-tasks" / "task_bad.py"}", line' in shown.stderr
    assert "/plans/" not in shown.stderr and "/psyflow/" not in shown.stderr
    assert shown.stderr.endswith("bad: the first parameter set failed.\n")


def test_a_setup_that_fails(place):
    place.task("bad", SQUARE + "def setup(proc_id):\n    raise OSError('no GPU')\n")
    shown = run_trial(place)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "OSError: no GPU" in shown.stderr


def test_a_crash(place):
    place.task("bad", "import os\n" + SQUARE.replace("x**2", "os._exit(9)"))
    shown = run_trial(place)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "exited with code 9" in shown.stderr


def test_a_row_that_the_store_cannot_hold(place):
    place.task("bad", SQUARE.replace("x**2", "object()") + "store = '.h5'\n")
    shown = run_trial(place)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert '"y"' in shown.stderr


def test_an_empty_space(place):
    place.task("empty", SQUARE.replace("range(4)", "[]"))
    shown = run_trial(place)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr == "empty: The parameter space is empty, so there is nothing to try.\n"


def test_a_skip_is_no_failure(place):
    place.task("square", SKIPS_ZERO)
    shown = run_trial(place)
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "Item 0 is skipped: dull" in shown.stderr
    assert "the first parameter set was skipped, so there is no row." in shown.stderr
    assert "failed" not in shown.stderr
