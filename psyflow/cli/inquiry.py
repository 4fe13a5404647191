"""What ``psy status`` asks about one task. Writes nothing."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from psyflow.exceptions import SchedulerError
from psyflow.failures import FailedItem, failed_items
from psyflow.plan import Plan
from psyflow.pspace import Param, ParameterSpace
from psyflow.run import Run
from psyflow.scheduler.base import CANCELLED, FAILED, JobStatus
from psyflow.states import count_states
from psyflow.tasks import TaskDef

__all__ = ["Inquiry", "Members", "ask"]

Members: TypeAlias = Mapping[str, Sequence[JobStatus]]


class Inquiry:
    """One look at a task, its results and its jobs.

    Parameters
    ----------
    task : TaskDef
    members : mapping or SchedulerError, optional
        What the scheduler said a short while ago, so that it need not be asked again.

    Attributes
    ----------
    name : str
    result : Path
        The result file, whether it exists or not.
    """

    def __init__(self, task: TaskDef, members: Members | SchedulerError | None = None) -> None:
        if members is not None:
            self.members = members
        self.name = task.name
        self.result = task.resultfile
        self._run = Run(task)
        self._assessment = self._run.assess()

    @property
    def space(self) -> ParameterSpace:
        """The parameter space."""
        return self._assessment.space

    @property
    def n_items(self) -> int:
        """Number of psets."""
        return self._assessment.n_items

    @property
    def n_done(self) -> int:
        """Number of psets with a result."""
        return self._assessment.n_done

    @property
    def n_failed(self) -> int:
        """Number of psets that failed and have no result."""
        return len(self._assessment.failed)

    @property
    def n_skipped(self) -> int:
        """Number of psets that were skipped and have no result."""
        return len(self._assessment.skipped)

    @functools.cached_property
    def reasons(self) -> list[str]:
        """Why the task is not up to date; empty if it is."""
        return self._assessment.reasons()

    @functools.cached_property
    def missing(self) -> ParameterSpace:
        """The psets without a result."""
        return self._assessment.missing()

    @property
    def queued(self) -> ParameterSpace:
        """The psets without a result that jobs will still come to, as far as one can tell."""
        return self.missing if self.jobs else Param()

    @functools.cached_property
    def states(self) -> dict[str, int]:
        """How many items are in each state."""
        return count_states(self._assessment, is_at_work=bool(self.jobs))

    @functools.cached_property
    def members(self) -> Members | SchedulerError:
        """What the scheduler says of the jobs, which is asked once, or why it does not."""
        return ask(self._run, self._assessment.plan)

    @functools.cached_property
    def jobs(self) -> list[str]:
        """The jobs that are queued or running, or that nobody knows about, in words."""
        if isinstance(self.members, SchedulerError):
            return [f"unknown ({self.members})"]
        return self._run.jobs.alive_among(self.members)

    @functools.cached_property
    def job_statuses(self) -> list[JobStatus]:
        """The status of each job, members of arrays one by one; none if that is not known."""
        if isinstance(self.members, SchedulerError):
            return []
        return [status for some in self.members.values() for status in some]

    @functools.cached_property
    def failed_jobs(self) -> list[str]:
        """The submitted jobs that failed or were cancelled, in words."""
        if isinstance(self.members, SchedulerError):
            return [f"unknown ({self.members})"]
        ended = (FAILED, CANCELLED)
        return [_in_words(s) for s in self.job_statuses if s.status in ended]

    def failures(self) -> list[FailedItem]:
        """Return the latest failure of each item that has no result, in item order."""
        return failed_items(self._assessment)


def ask(run: Run, plan: Plan | None) -> Members | SchedulerError:
    """Ask the scheduler about the jobs of a plan; return why, if it does not answer."""
    if plan is None:
        return {}
    try:
        return run.jobs.members(plan.run_id, run.task.scheduler)
    except SchedulerError as error:
        return error


def _in_words(status: JobStatus) -> str:
    what = "failed" if status.status == FAILED else "was cancelled"
    why = f" ({status.reason})" if status.reason else ""
    return f"job {status.id} ({status.name}) {what}{why}"
