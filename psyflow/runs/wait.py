"""Waiting for the jobs of a run that are at work elsewhere, without having a part in them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

from psyflow.exceptions import SchedulerError
from psyflow.record.plan import Plan
from psyflow.record.remedies import remedies_of
from psyflow.runs.run import Run
from psyflow.scheduler.remedies import Remedy

__all__ = ["pauses", "wait"]

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


def wait(
    run: Run,
    follow: Callable[[Plan], AbstractContextManager[object]],
    tell: Callable[[SchedulerError], object],
    tell_remedies: Callable[[Mapping[str, Remedy]], object] = lambda remedies: None,
) -> bool:
    """Wait until no job of a run is at work.

    Parameters
    ----------
    run : Run
    follow : callable
        Makes what is entered while the jobs of a plan are at work.
    tell : callable
        Told each time that the scheduler does not answer, which says nothing about the jobs.
    tell_remedies : callable
        Told what somebody has to do so that jobs go on, whenever that has changed.

    Returns
    -------
    bool
        Whether they are over; False if the scheduler knows nothing of them any more, and has not
        for so long that nobody waits.
    """
    waiting = _Waiting(run, tell, tell_remedies)
    while (plan := Plan.present(run.layout)) and waiting.is_at_work():
        # A merge job may have continued the plan with another one.
        with follow(plan):
            for pause in pauses():
                time.sleep(pause)
                if not waiting.is_at_work() or _is_replaced(run, plan):
                    break
    return not waiting.has_lost_patience


def _is_replaced(run: Run, plan: Plan) -> bool:
    present = Plan.present(run.layout)
    return present is None or present.run_id != plan.run_id


class _Waiting:
    """Whether jobs are at work, and for how long the scheduler has known nothing of them."""

    def __init__(
        self,
        run: Run,
        tell: Callable[[SchedulerError], object],
        tell_remedies: Callable[[Mapping[str, Remedy]], object],
    ) -> None:
        self._run = run
        self._tell = tell
        self._tell_remedies = tell_remedies
        self._told: Mapping[str, Remedy] = {}
        self._forgotten_since: float | None = None

    def is_at_work(self) -> bool:
        """Ask the scheduler whether any job is at work."""
        run, plan = self._run, Plan.present(self._run.layout)
        if plan is None:
            return False
        try:
            members = run.jobs.members(plan.run_id, run.task.scheduler)
            self._heed(is_forgotten=run.jobs.are_forgotten(members))
            remedies = remedies_of(run.task.scheduler, members)
            if remedies != self._told:
                self._told = remedies
                self._tell_remedies(remedies)
            return bool(run.jobs.alive_among(members)) and not self.has_lost_patience
        except SchedulerError as error:
            self._tell(error)
            return True

    def _heed(self, *, is_forgotten: bool) -> None:
        if not is_forgotten:
            self._forgotten_since = None
        elif self._forgotten_since is None:
            self._forgotten_since = time.monotonic()

    @property
    def has_lost_patience(self) -> bool:
        """Whether it has been too long."""
        since = self._forgotten_since
        return since is not None and time.monotonic() - since > FORGOTTEN_SECONDS
