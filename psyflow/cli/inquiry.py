"""What ``psy status`` asks about one task. Writes nothing."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psyflow.exceptions import SchedulerError
from psyflow.pspace import Param, ParameterSpace
from psyflow.run import Run
from psyflow.scheduler.base import CANCELLED, FAILED, JobStatus
from psyflow.shard import Failure, pset_repr
from psyflow.tasks import TaskDef

__all__ = ["FailedItem", "Inquiry"]


@dataclass(frozen=True)
class FailedItem:
    """An item that failed, and has no result.

    Attributes
    ----------
    item : int
    pset : dict
    kind, exception : str
        As in `psyflow.shard.Failure`.
    """

    item: int
    pset: dict[str, Any]
    kind: str
    exception: str

    @property
    def texts(self) -> dict[str, str]:
        """The ``repr`` of each parameter."""
        return pset_repr(self.pset)


class Inquiry:
    """One look at a task, its results and its jobs.

    Parameters
    ----------
    task : TaskDef

    Attributes
    ----------
    name : str
    result : Path
        The result file, whether it exists or not.
    """

    def __init__(self, task: TaskDef) -> None:
        self.name = task.name
        self.result = task.resultfile
        self._run = Run(task)
        self._assessment = self._run.assess()

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
    def jobs(self) -> list[str]:
        """The jobs that are queued or running, or that nobody knows about, in words."""
        try:
            return self._run.alive()
        except SchedulerError as error:
            return [f"unknown ({error})"]

    @functools.cached_property
    def failed_jobs(self) -> list[str]:
        """The submitted jobs that failed or were cancelled, in words."""
        plan = self._assessment.plan
        if plan is None:
            return []
        try:
            statuses = self._run.jobs.statuses(plan.run_id, self._run.task.scheduler)
        except SchedulerError as error:
            return [f"unknown ({error})"]
        return [_in_words(s) for s in statuses.values() if s.status in (FAILED, CANCELLED)]

    def failures(self, most: int) -> Iterator[FailedItem]:
        """Yield the items that failed, at most so many, in item order."""
        recorded = self._recorded
        for item in self._assessment.failed[:most].tolist():
            pset = self._assessment.space[item]
            failure = recorded.get(_mark(pset_repr(pset)))
            if failure is None:
                yield FailedItem(item, pset, "error", "unknown")
            else:
                yield FailedItem(item, pset, failure.kind, failure.exception)

    @functools.cached_property
    def _recorded(self) -> dict[tuple[tuple[str, str], ...], Failure]:
        # Told apart by their psets: item numbers of an earlier plan may mean other items now.
        outcomes = self._assessment.recovered.outcomes
        failures = (reader.failure(frame) for reader, frame in outcomes.failures)
        return {_mark(failure.pset): failure for failure in failures}


def _mark(texts: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(texts.items()))


def _in_words(status: JobStatus) -> str:
    what = "failed" if status.status == FAILED else "was cancelled"
    return f"job {status.id} ({status.name}) {what}"
