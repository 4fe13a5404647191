"""What a scheduler was asked about recorded jobs, and what it said."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from psyflow.exceptions import SchedulerError
from psyflow.record.jobrecord import JobRecord
from psyflow.scheduler.base import UNKNOWN, JobId, JobStatus, Scheduler

__all__ = ["LOOK_SECONDS", "Answers", "Question"]

LOOK_SECONDS = 30.0
"""For how long who only looks waits for a scheduler."""


@dataclass(frozen=True)
class Question:
    """What has to be asked to know of the jobs of one plan.

    Attributes
    ----------
    records : list of JobRecord
        The jobs whose ids are known.
    intents : dict from str to JobRecord
        By their marks, jobs whose ids are not known: they may have been accepted though nobody
        noted it.
    """

    records: Sequence[JobRecord] = ()
    intents: Mapping[str, JobRecord] = field(default_factory=dict)

    def accepted(self, found: Mapping[str, JobId]) -> list[JobRecord]:
        """Return the jobs that were found by their marks, with their ids."""
        intents = self.intents
        return [replace(intents[mark], jobid=i) for mark, i in found.items() if mark in intents]


@dataclass(frozen=True)
class Answers:
    """What a scheduler said, of the jobs of one plan or of many.

    Attributes
    ----------
    tells_names : bool
        As `Scheduler.tells_names`.
    cluster : str or None
        What the cluster that was asked calls itself.
    found : dict from str to str
        Ids by marks.
    told : mapping from str to JobStatus
    """

    tells_names: bool = False
    cluster: str | None = None
    found: Mapping[str, JobId] = field(default_factory=dict)
    told: Mapping[JobId, JobStatus] = field(default_factory=dict)

    @classmethod
    def of(cls, scheduler: Scheduler, questions: Iterable[Question]) -> Answers:
        """Ask a scheduler, in one query, whatever there is to be asked.

        Raises
        ------
        SchedulerError
            If it does not answer.
        """
        questions = list(questions)
        marks = [mark for question in questions for mark in question.intents]
        found = scheduler.find_marked(marks) if marks and scheduler.tells_names else {}
        records = [record for q in questions for record in (*q.records, *q.accepted(found))]
        has_names = any(record.cluster for record in records)
        cluster = scheduler.cluster_name() if has_names else None
        near = [record for record in records if not record.is_elsewhere(cluster)]
        # An array is asked about by its own id, too, which may be another job's that is no array.
        ids = dict.fromkeys(i for r in near for i in (*r.member_ids, str(r.jobid)))
        told = scheduler.get_statuses(ids) if ids else {}
        return cls(scheduler.tells_names, cluster, found, told)

    @classmethod
    def within(
        cls, seconds: float, scheduler: Scheduler, ask: Callable[[], Iterable[Question]]
    ) -> Answers:
        """Ask a scheduler as `of` does, but wait for so long only: some hang.

        Raises
        ------
        SchedulerError
            If it does not answer, or not in time.
        """
        found: list[Answers | Exception] = []

        def look() -> None:
            try:
                found.append(cls.of(scheduler, ask()))
            except Exception as error:
                found.append(error)

        # A daemon: whoever only looks can end while it waits.
        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        thread.join(seconds)
        kind = type(scheduler).__name__
        if not found:
            raise SchedulerError(f"{kind} has not answered within {seconds:g} s")
        if isinstance(found[0], SchedulerError):
            raise found[0]
        if isinstance(found[0], Exception):
            raise SchedulerError(f"{kind}: {found[0]!r}") from found[0]
        return found[0]

    def status(self, jobid: JobId) -> JobStatus:
        """Return what was said of a job, which is unknown if nothing was."""
        return self.told.get(jobid, JobStatus(jobid, UNKNOWN, ""))
