"""Waiting for jobs that run elsewhere, without having a part in them."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator

from psyflow.cli.output import FAILED, INTERRUPTED, OK, describe, say
from psyflow.cli.progress import Progress
from psyflow.cli.selection import suggestion
from psyflow.exceptions import SchedulerError
from psyflow.plan import Plan
from psyflow.run import Run
from psyflow.tasks import TaskDef

__all__ = ["pauses", "wait_for"]

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0


def pauses(first: float = FIRST_PAUSE, longest: float = LONGEST_PAUSE) -> Iterator[float]:
    """Yield for how long to wait before the cluster is asked again: longer and longer."""
    pause = first
    while True:
        yield pause
        pause = min(1.5 * pause, longest)


def wait_for(task: TaskDef, arguments: Namespace) -> int:
    """Wait until no job of a task is at work, show how far it is, and say how it went.

    Returns
    -------
    int
        The exit code: `OK` if every item has a result, `FAILED` if not, `INTERRUPTED` if the
        waiting was: the jobs go on.
    """
    run = Run(task)
    try:
        while (plan := Plan.present(run.layout)) and _is_at_work(run):
            # A merge job may have continued the plan with another one.
            _follow(run, plan)
    except KeyboardInterrupt:
        command = suggestion(arguments, task.name, command="watch")
        say(f"{task.name}: not waiting any more; the jobs go on. Follow with: {command}")
        return INTERRUPTED
    return _verdict(run, arguments)


def _follow(run: Run, plan: Plan) -> None:
    with Progress(plan, only_looks=True):
        for pause in pauses():
            time.sleep(pause)
            if not _is_at_work(run) or _is_replaced(run, plan):
                return


def _is_replaced(run: Run, plan: Plan) -> bool:
    present = Plan.present(run.layout)
    return present is None or present.run_id != plan.run_id


def _is_at_work(run: Run) -> bool:
    try:
        return bool(run.alive())
    except SchedulerError as error:
        # That it does not answer says nothing about the jobs.
        say(f"{run.task.name}: {describe(error)}")
        return True


def _verdict(run: Run, arguments: Namespace) -> int:
    assessment = run.assess()
    if not assessment.reasons():
        say(f"{run.task.name}: up to date.")
        return OK
    command = suggestion(arguments, run.task.name, command="status")
    say(f"{run.task.name}: {'; '.join(assessment.reasons())}. See: {command}")
    return FAILED
