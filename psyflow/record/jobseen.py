"""What is believed of a recorded job: the scheduler may know another job by its id, or none."""

from __future__ import annotations

from dataclasses import dataclass

from psyflow.record.answers import Answers
from psyflow.record.jobrecord import JobRecord
from psyflow.scheduler.base import DONE, OVER, UNKNOWN, JobStatus

__all__ = ["Seen", "far", "is_forgotten", "near"]


@dataclass(frozen=True)
class Seen:
    """A recorded job, as it is seen from here.

    Attributes
    ----------
    record : JobRecord
    members : list of JobStatus
        What is believed: of an array the members, one by one.
    other : str
        The name of somebody else's job that has its id now, if there is one.
    out_of_reach : str
        Why it may not be killed from here; empty if it may.
    """

    record: JobRecord
    members: list[JobStatus]
    other: str = ""
    out_of_reach: str = ""

    @property
    def jobid(self) -> str:
        """The id that the scheduler gave it."""
        assert self.record.jobid is not None
        return self.record.jobid

    @property
    def is_over(self) -> bool:
        """Whether all of it has ended."""
        return all(status.status in OVER for status in self.members)


def far(record: JobRecord, here: str | None, *, is_over: bool) -> Seen:
    """Say what can be said of a job of another cluster than `here`."""
    state = DONE if is_over else UNKNOWN
    reason = "" if is_over else f"submitted on {record.cluster}"
    members = [JobStatus(i, state, record.name_of(i), reason) for i in record.member_ids]
    return Seen(record, members, out_of_reach=f"was submitted on {record.cluster}, not on {here}")


def near(
    record: JobRecord,
    answers: Answers,
    *,
    is_over: bool,
) -> Seen:
    """Say what is believed of an answer."""
    ids, tells_names = record.member_ids, answers.tells_names
    told = [
        status for i in (*ids, str(record.jobid)) if not is_forgotten(status := answers.status(i))
    ]
    strangers = [status for status in told if tells_names and not record.is_in(status)]
    if strangers:
        members = [JobStatus(i, UNKNOWN, "") for i in ids]
    else:
        members = [record.readable(answers.status(i)) for i in ids]
    if is_over:
        members = [_over_if_forgotten(status) for status in members]
    if strangers:
        return Seen(record, members, other=strangers[0].name or "?")
    # An id that nothing else confirms is only a number.
    is_sure = (record.cluster and answers.cluster) or (tells_names and told)
    if is_sure or not record.is_of_other_host():
        return Seen(record, members)
    reason = f"was submitted on {record.host}, and here its id may be another job's"
    return Seen(record, members, out_of_reach=reason)


def is_forgotten(status: JobStatus) -> bool:
    """Tell whether the scheduler knows nothing of a job, not even that its state is odd."""
    return status.status == UNKNOWN and not (status.name or status.reason)


def _over_if_forgotten(status: JobStatus) -> JobStatus:
    return JobStatus(status.id, DONE, status.name) if is_forgotten(status) else status
