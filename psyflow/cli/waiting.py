"""Waiting for jobs that run elsewhere, without having a part in them."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator

from psyflow.cli.output import FAILED, INTERRUPTED, OK, TROUBLE, describe, say
from psyflow.cli.progress import Progress
from psyflow.cli.selection import suggestion
from psyflow.cli.telling import tell_undeclared
from psyflow.exceptions import SchedulerError
from psyflow.record.plan import Plan
from psyflow.run.run import Run
from psyflow.tasks import TaskDef

__all__ = ["pauses", "wait_for"]

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
FORGOTTEN_SECONDS = 120.0
"""For how long a scheduler has to know nothing of any job before nobody waits any more."""


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
        The exit code: `OK` if every item has a result, `FAILED` if some failed, `TROUBLE` if jobs
        did not get to some, `INTERRUPTED` if the waiting was: the jobs go on.
    """
    run, patience = Run(task), _Patience()
    try:
        while (plan := Plan.present(run.layout)) and _is_at_work(run, patience):
            # A merge job may have continued the plan with another one.
            _follow(run, plan, patience)
    except KeyboardInterrupt:
        command = suggestion(arguments, task.name, command="watch")
        say(f"{task.name}: not waiting any more; the jobs go on. Follow with: {command}")
        return INTERRUPTED
    if patience.is_over:
        command = suggestion(arguments, task.name, command="kill")
        say(
            f"{task.name}: the scheduler knows nothing of its jobs any more, so nobody waits. "
            f"If you are sure that they are not at work, end them with: {command}"
        )
    return _verdict(run, arguments)


class _Patience:
    """For how long the scheduler has known nothing of the jobs."""

    def __init__(self) -> None:
        self._since: float | None = None

    def heed(self, *, is_forgotten: bool) -> None:
        """Take note of what a look has told."""
        if not is_forgotten:
            self._since = None
        elif self._since is None:
            self._since = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether it has been too long."""
        return self._since is not None and time.monotonic() - self._since > FORGOTTEN_SECONDS


def _follow(run: Run, plan: Plan, patience: _Patience) -> None:
    with Progress(plan, only_looks=True):
        for pause in pauses():
            time.sleep(pause)
            if not _is_at_work(run, patience) or _is_replaced(run, plan):
                return


def _is_replaced(run: Run, plan: Plan) -> bool:
    present = Plan.present(run.layout)
    return present is None or present.run_id != plan.run_id


def _is_at_work(run: Run, patience: _Patience) -> bool:
    plan = Plan.present(run.layout)
    if plan is None:
        return False
    try:
        members = run.jobs.members(plan.run_id, run.task.scheduler)
        patience.heed(is_forgotten=run.jobs.are_forgotten(members))
        return bool(run.jobs.alive_among(members)) and not patience.is_over
    except SchedulerError as error:
        # That it does not answer says nothing about the jobs.
        say(f"{run.task.name}: {describe(error)}")
        return True


def _verdict(run: Run, arguments: Namespace) -> int:
    assessment = run.assess()
    tell_undeclared(assessment)
    if not assessment.reasons():
        say(f"{run.task.name}: up to date.")
        return OK
    command = suggestion(arguments, run.task.name, command="status")
    say(f"{run.task.name}: {'; '.join(assessment.reasons())}. See: {command}")
    if len(assessment.failed):
        return FAILED
    return OK if assessment.tally.is_settled and not assessment.dirt else TROUBLE
