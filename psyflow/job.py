"""What a job starts: ``python -m psyflow.job STEP PLAN [NUMBER]``."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

__all__ = ["main"]

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def main(arguments: list[str]) -> int:
    """Do one step of a run, and return the exit status.

    Parameters
    ----------
    arguments : list of str
        ``split``, ``process`` or ``merge``; the plan's file; for ``process`` the job's number.
    """
    step, plan_file, *numbers = arguments
    _share_processors(Path(plan_file))
    # NumPy's libraries read these variables when they are loaded.
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
    print(plan.heading(":".join((step, *numbers))), flush=True)
    from psyflow import processing

    if step == "process":
        return processing.process(plan, int(numbers[0]))
    from psyflow import steps

    task = processing.load_task(plan)
    if step == "split":
        steps.split(plan, task.backend(task))
        return 0
    merged = steps.merge(plan, task)
    return 0 if merged.n_rows == merged.n_items else 1


def _share_processors(plan_file: Path) -> None:
    """Let the workers' numerical libraries share the processors, unless the user decided."""
    pool_size = json.loads(plan_file.read_text())["pool_size"]
    n_threads = max(1, len(os.sched_getaffinity(0)) // pool_size)
    for variable in THREAD_VARIABLES:
        os.environ.setdefault(variable, str(n_threads))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
