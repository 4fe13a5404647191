"""What a job starts: ``python -m psyflow.job STEP PLAN [NUMBER [FIRST]]``."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psyflow.plan import Plan
    from psyflow.tasks import TaskDef

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Do one step of a run, and return the exit status.

    Parameters
    ----------
    arguments : list of str
        ``split``, ``process`` or ``merge``; the plan's file; for ``process`` the job's number, in
        an array that is not the first also the number that its index 0 stands for.
    """
    step, plan_file, *numbers = arguments
    _share_processors(Path(plan_file))
    from psyflow.exits import DISK_FULL
    from psyflow.files import is_full

    try:
        return _do(step, Path(plan_file), *numbers)
    except OSError as error:
        if not is_full(error):
            raise
        # The log may be on the same disk: the exit status has to say it.
        with contextlib.suppress(OSError):
            print(error, flush=True)
        return DISK_FULL


def _do(step: str, plan_file: Path, *numbers: str) -> int:
    from psyflow.plan import Plan

    plan = Plan.read(plan_file)
    if plan is None:
        print(f"{plan_file} is gone: a later psy run has replaced this plan.", flush=True)
        return 3
    job = sum(map(int, numbers))
    if len(numbers) > 1:
        _log_to(plan.layout.log(f"process:{job}"))
    print(plan.heading(f"process:{job}" if step == "process" else step), flush=True)
    if step == "process":
        from psyflow import processing

        return processing.process(plan, job)
    from psyflow import steps
    from psyflow.jobs import Jobs

    task = plan.load_task()
    if step == "split":
        steps.split(plan, task.backend(task))
        return 0
    try:
        return _merge_or_continue(plan, task)
    finally:
        # It runs after all others, so none of the plan's is at work now.
        Jobs(plan.layout).record_over(plan.run_id)


def _merge_or_continue(plan: Plan, task: TaskDef) -> int:
    from psyflow import steps

    if steps.merge(plan, task).is_settled:
        return 0
    from psyflow.run import Run

    return 0 if Run(task).continue_plan(plan) else 1


def _log_to(log: Path) -> None:
    """Print to `log` from now on: the scheduler can only number logs by the index in the array."""
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)


def _share_processors(plan_file: Path) -> None:
    from psyflow.limits import limit_loaded_libraries, share_processors

    try:
        plan = json.loads(plan_file.read_text())
    except FileNotFoundError:
        return  # said where the plan is read
    # NumPy's libraries read this when they are loaded, and in a fork they are.
    share_processors(plan.get("n_cpus"), plan["pool_size"], os.environ)
    if "numpy" in sys.modules:
        limit_loaded_libraries(os.environ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
