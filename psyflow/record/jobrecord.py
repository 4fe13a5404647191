"""A line of the record of jobs, and whether a job that a scheduler knows is the one it is about.

Ids are numbers that every cluster gives away, and gives away again. A job is the recorded one if
it has the recorded mark in its name, on the cluster that the record names.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from psyflow.scheduler.base import JobStatus
from psyflow.scheduler.names import marked, to_name
from psyflow.system.owner import Owner

__all__ = ["OVER_STEP", "JobRecord"]

OVER_STEP = "over"
_LEAST_PART = 30
"""Letters of a name that a scheduler has cut by which it is known all the same."""


@dataclass(frozen=True)
class JobRecord:
    """A line of the record.

    Attributes
    ----------
    run_id : str
    step : str
        ``split``, ``process:<k>``, ``process:<first>-<last>`` for an array, or ``merge``; ``over``
        says that none of them is at work any more.
    jobid : str or None
        What the scheduler calls it; None for a job on this host that goes by its process, and for
        one that is about to be submitted.
    owner : Owner or None
        The process, for a job that runs where it was started.
    time : float
        Seconds since 1970.
    name : str or None
        What the job is called, without its mark.
    mark : str or None
        The random end of the name with which it was submitted; None if its scheduler tells no
        names.
    cluster : str or None
        What the scheduler called its cluster.
    host : str or None
        Where it was submitted. This and the three before it are None in records of old.
    ends : dict from str to list of str, or None
        Of ``over``: state, name and reason of each job that did not end well; None if that is
        not known.
    """

    run_id: str
    step: str
    jobid: str | None = None
    owner: Owner | None = None
    time: float = dataclasses.field(default_factory=time.time)
    name: str | None = None
    mark: str | None = None
    cluster: str | None = None
    host: str | None = None
    ends: Mapping[str, Sequence[str]] | None = None

    def to_line(self) -> str:
        """Return the record as its file holds it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str) -> JobRecord | None:
        """Read what `to_line` wrote, now, long ago or in a later version; None if it was cut."""
        try:
            told: dict[str, Any] = json.loads(line)
            fields = {name: told[name] for name in _FIELDS if name in told}
            if owner := fields.get("owner"):
                fields["owner"] = Owner.from_fields(owner)
            return cls(**fields)
        except (ValueError, TypeError):
            return None

    @property
    def first(self) -> int | None:
        """The number of the process job, of an array that of its first member; None for others."""
        step, _, numbers = self.step.partition(":")
        return int(numbers.partition("-")[0]) if step == "process" else None

    @property
    def member_ids(self) -> list[str]:
        """The ids of the members of an array; of a single job, its own."""
        assert self.jobid is not None
        first, _, last = self.step.removeprefix("process:").partition("-")
        if not last:
            return [self.jobid]
        return [f"{self.jobid}_{i}" for i in range(int(last) - int(first) + 1)]

    def name_of(self, member: str) -> str:
        """Return what a member is called, without the mark, by its id."""
        index = member.partition("_")[2]
        return f"{self.name}:{index}" if index else str(self.name)

    @property
    def place(self) -> str:
        """Where it was submitted, in a word."""
        return self.cluster or self.host or "another host"

    def is_elsewhere(self, cluster: str | None) -> bool:
        """Tell whether it was submitted to another cluster than the one that is asked here."""
        return None not in (cluster, self.cluster) and self.cluster != cluster

    def is_of_other_host(self) -> bool:
        """Tell whether it is known to have been submitted on another host."""
        return self.host not in (None, socket.gethostname())

    def is_in(self, status: JobStatus) -> bool:
        """Tell whether an answer shows the name of this job, or of a member of this array."""
        if self.mark is not None:
            return marked("", self.mark) in status.name
        name, told = to_name(self.name or ""), to_name(status.name)
        is_part = len(told) >= _LEAST_PART and name.startswith(told)
        return is_part or told == name or _is_member(told, name)

    def readable(self, status: JobStatus) -> JobStatus:
        """Return an answer with the name as `psy` calls the job."""
        if self.mark is None:
            return status
        name = status.name.replace(marked("", self.mark), "")
        return JobStatus(status.id, status.status, name, status.reason)


_FIELDS = [field.name for field in dataclasses.fields(JobRecord)]


def _is_member(told: str, name: str) -> bool:
    start, _, index = told.rpartition("=")
    return start == name and index.isdecimal()
