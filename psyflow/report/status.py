"""What ``psy status`` asks about one task. Writes nothing."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.exceptions import SchedulerError
from psyflow.outcomes.states import State, Tally
from psyflow.pspace import ParameterSpace
from psyflow.pspace.space import Selection
from psyflow.record import refusals
from psyflow.record.archived import Archive, Archived
from psyflow.record.assess import Assessment
from psyflow.record.attempts import FailedItem
from psyflow.record.joblogs import Stillborn
from psyflow.record.jobs import Jobs
from psyflow.record.remedies import remedies_of
from psyflow.record.wanted import Wanted
from psyflow.report.asking import Asker, Members
from psyflow.report.failures import failed_items
from psyflow.report.longrunning import LongRunner, long_runners, median_duration
from psyflow.report.states import count_states, states_of
from psyflow.report.stillborn import stillborn_of
from psyflow.report.undeclared import about_undeclared, undeclared
from psyflow.scheduler.base import CANCELLED, FAILED, JobStatus
from psyflow.scheduler.remedies import Remedy
from psyflow.tasks import TaskDef

__all__ = ["Inquiry", "Members"]


class Inquiry:
    """One look at a task, its results and its jobs.

    Parameters
    ----------
    task : TaskDef
    members : mapping or SchedulerError, optional
        What the scheduler said a short while ago, so that it need not be asked again.
    asker : Asker, optional
        Asks about the jobs of other tasks at the same time.

    Attributes
    ----------
    name : str
    result : Path
        The result file, whether it exists or not.
    """

    def __init__(
        self,
        task: TaskDef,
        members: Members | SchedulerError | None = None,
        asker: Asker | None = None,
    ) -> None:
        self._asker = asker or Asker([task])
        if members is not None:
            self.members = members
        self.name = task.name
        self.result = task.resultfile
        self._assessment = Assessment(task)
        self._jobs = Jobs(self._assessment.layout)

    @property
    def space(self) -> ParameterSpace:
        """The parameter space."""
        return self._assessment.space

    @property
    def tally(self) -> Tally:
        """How many psets have a result, and how the others ended; no scheduler is asked."""
        return self._assessment.tally

    def part(self, wanted: Wanted) -> Tally:
        """Return how many of some items have a result, and how the others ended."""
        assessment, items = self._assessment, wanted.of_all(self._assessment)
        n_missing = len(np.intersect1d(items, assessment.pending()))
        ended = {
            state: len(np.intersect1d(items, found)) for state, found in assessment.ended.items()
        }
        return Tally(len(items), {State.DONE: len(items) - n_missing, **ended})

    @functools.cached_property
    def reasons(self) -> list[str]:
        """Why the task is not up to date; empty if it is."""
        return self._assessment.reasons()

    @functools.cached_property
    def doubt(self) -> str:
        """Why a result that is up to date may be that of other code; empty if it is not."""
        dirt = [] if self.reasons else self._assessment.dirt
        return refusals.unknown_code(self._assessment.task, dirt) if dirt else ""

    @functools.cached_property
    def undeclared(self) -> list[str]:
        """Which files were read that do not count, in words; none if somebody was told."""
        return about_undeclared(self._assessment, undeclared(self._assessment))

    @functools.cached_property
    def archived(self) -> Archived | None:
        """The run in the archive that `psy run` would take up, if there is one."""
        return Archive(self._assessment).best if self.reasons else None

    @functools.cached_property
    def missing(self) -> ParameterSpace:
        """The psets without a result."""
        return self._assessment.missing()

    def in_state(self, state: State) -> ParameterSpace:
        """Return the psets that are in a state, as a space."""
        return Selection(self.space, np.flatnonzero(self._states == state.number))

    @functools.cached_property
    def _states(self) -> npt.NDArray[np.int8]:
        return states_of(self._assessment, is_at_work=bool(self.jobs))

    @functools.cached_property
    def states(self) -> Tally:
        """How many psets are in each state; the scheduler is asked which jobs are alive."""
        return count_states(self._assessment, is_at_work=bool(self.jobs))

    @functools.cached_property
    def long_runners(self) -> list[tuple[LongRunner, Mapping[str, Any]]]:
        """The items that have been running for some seconds, the longest first; with psets."""
        plan = self._assessment.plan
        # In a copy of the folder, what its files tell of is at work elsewhere.
        if plan is None or not self.jobs:
            return []
        runners = long_runners(plan)
        space = plan.load_space().space if runners else None
        return [(runner, space[runner.item]) for runner in runners] if space is not None else []

    @functools.cached_property
    def median_duration(self) -> float | None:
        """The median of how long items took, in seconds, judging by some; None if none is done."""
        return median_duration(self._assessment.recovered.table.pieces)

    @functools.cached_property
    def members(self) -> Members | SchedulerError:
        """What the scheduler says of the jobs, which is asked once, or why it does not."""
        return self._asker.members(self._assessment.task, is_complete=not self.reasons)

    @functools.cached_property
    def jobs(self) -> list[str]:
        """The jobs that are queued or running, or that nobody knows about, in words."""
        if isinstance(self.members, SchedulerError):
            return [f"unknown ({self.members})"]
        return self._jobs.alive_among(self.members)

    @functools.cached_property
    def job_statuses(self) -> list[JobStatus]:
        """The status of each job, members of arrays one by one; none if that is not known."""
        if isinstance(self.members, SchedulerError):
            return []
        return [status for some in self.members.values() for status in some]

    @functools.cached_property
    def remedies(self) -> dict[str, Remedy]:
        """What somebody has to do so that jobs go on, by their ids."""
        if isinstance(self.members, SchedulerError):
            return {}
        return remedies_of(self._assessment.task.scheduler, self.members)

    @functools.cached_property
    def failed_jobs(self) -> list[str]:
        """The submitted jobs that failed or were cancelled, in words."""
        if isinstance(self.members, SchedulerError):
            return [f"unknown ({self.members})"]
        ended = (FAILED, CANCELLED)
        return [_in_words(s) for s in self.job_statuses if s.status in ended]

    @functools.cached_property
    def stillborn(self) -> list[Stillborn]:
        """The jobs that ended before their first item; none while others are at work."""
        return stillborn_of(self._assessment) if self.reasons and not self.jobs else []

    def failures(self) -> list[FailedItem]:
        """Return the latest failure of each item that has no result, in item order."""
        return failed_items(self._assessment)


def _in_words(status: JobStatus) -> str:
    what = "failed" if status.status == FAILED else "was cancelled"
    why = f" ({status.reason})" if status.reason else ""
    return f"job {status.id} ({status.name}) {what}{why}"
