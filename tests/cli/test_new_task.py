from __future__ import annotations

import ast

import pytest

from tests.support.place import lines

CUSTOM = """
from psyflow.scheduler import ImmediateRun

class Mine(ImmediateRun):
    USER_DEFAULT_ARGS = {"queue": "it's long", "n": 3}
"""


def test_it_runs_as_it_is(place):
    shown = place.program("new-task", "circle")
    assert (shown.returncode, shown.stdout) == (0, "psy-tasks/task_circle.py\n")
    assert shown.stderr == "Edit it, then type: psy test circle\n"
    run = place.psy("run")
    assert (run.returncode, run.stdout, run.stderr) == (0, lines("circle"), "")
    result = place.result("circle", ".npz")
    assert len(result["area"]) == 20
    assert abs(float(result["area"][-1]) - 3.14) < 0.3  # type: ignore[arg-type]


def test_an_existing_file_stays(place):
    path = place.task("circle", "# mine\n")
    shown = place.psy("new-task", "circle")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "psy-tasks/task_circle.py exists already" in shown.stderr
    assert path.read_text() == "# mine\n"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["", "a b", "../a", "a/b", ".a", "a'b", "a\nb"])
def test_bad_names(place, name):
    shown = place.psy("new-task", name)
    assert shown.returncode == 2
    assert "cannot be the name of a task" in shown.stderr
    assert list(place.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("scheduler", "name", "option"),
    [
        ("slurm", "Slurm", "timelimit"),
        ("sqsub", "Sqsub", "memory"),
        ("hyperqueue", "HyperQueue", "n_cpus"),
        ("psyflow.scheduler.Slurm", "Slurm", "timelimit"),
        ("mine.Mine", "Mine", "queue"),
    ],
)
def test_arguments_of_a_scheduler_are_filled_in(place, scheduler, name, option):
    (place.folder / "psy-tasks").mkdir()
    (place.folder / "psy-tasks" / "mine.py").write_text(CUSTOM)
    shown = place.program("new-task", "--scheduler", scheduler, "far")
    assert shown.returncode == 0, shown.stderr
    source = (place.folder / "psy-tasks" / "task_far.py").read_text()
    assert f"scheduler = {name}()\n" in source
    (arguments,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "scheduler_args"
    )
    assert option in arguments
    test = place.psy("test", "far")
    assert (test.returncode, test.stdout[:4]) == (0, "far:"), test.stderr


def test_an_unknown_scheduler(place):
    shown = place.psy("new-task", "-s", "slrum", "far")
    assert shown.returncode == 2
    assert 'There is no scheduler "slrum". Did you mean "slurm"?' in shown.stderr
    assert list(place.folder.iterdir()) == []


def test_a_file_in_place_of_the_task_folder(place):
    (place.folder / "psy-tasks").touch()
    shown = place.psy("new-task", "circle")
    assert shown.returncode == 3
    assert shown.stderr.startswith("psy new-task: psy-tasks")
    assert "Traceback" not in shown.stderr
