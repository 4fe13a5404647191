"""The jobs of a run: a record that is on disk before the next one is submitted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from psyflow.claims import Owner
from psyflow.files import append_line, make_folder
from psyflow.layout import Layout
from psyflow.lease import is_over, owner_of
from psyflow.scheduler.base import (
    CANCELLED,
    DONE,
    FAILED,
    HELD,
    OVER,
    QUEUED,
    RUNNING,
    UNKNOWN,
    ZOMBIE,
    JobStatus,
    Scheduler,
    combine,
)

__all__ = ["STATE_WORDS", "JobRecord", "Jobs", "in_words"]

STATE_WORDS = {
    QUEUED: "queued",
    HELD: "held",
    RUNNING: "running",
    ZOMBIE: "zombie",
    UNKNOWN: "unknown",
    DONE: "done",
    FAILED: "failed",
    CANCELLED: "cancelled",
}
OVER_STEP = "over"


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
        What the scheduler calls it; None for a job on this host that goes by its process.
    owner : Owner or None
        The process, for a job that runs where it was started.
    time : float
        Seconds since 1970.
    """

    run_id: str
    step: str
    jobid: str | None
    owner: Owner | None
    time: float


class Jobs:
    """The record of a run's jobs, and what can be asked about them.

    Only recorded jobs are ever asked about or ended.

    Parameters
    ----------
    layout : Layout
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def record_submitted(self, run_id: str, step: str, jobid: str) -> None:
        """Note a job that the scheduler has accepted."""
        self._append(JobRecord(run_id, step, jobid, None, time.time()))

    def record_process(self, run_id: str, step: str) -> None:
        """Note the calling process as a job."""
        self._append(JobRecord(run_id, step, None, Owner.here(), time.time()))

    def records(self) -> list[JobRecord]:
        """Return every recorded job, oldest first; a line that was cut off is passed over."""
        try:
            lines = self._layout.jobs_file.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [record for line in lines if (record := _parse(line)) is not None]

    def record_over(self, run_id: str) -> None:
        """Note that no job of a plan is at work any more, whatever the scheduler remembers."""
        self._append(JobRecord(run_id, OVER_STEP, None, None, time.time()))

    def members(self, run_id: str, scheduler: Scheduler) -> dict[str, list[JobStatus]]:
        """Ask `scheduler`, in one query, about the jobs of one plan, members of arrays one by one.

        A job that it has forgotten is unknown. It counts as done if the plan's jobs are known to
        be over, because its merge job or `psy kill` noted so.

        Returns
        -------
        dict from str to list of JobStatus
            By the ids of jobs and of arrays, in the order of their submission.
        """
        records = [r for r in self.records() if r.run_id == run_id]
        ids = {r.jobid: _member_ids(r) for r in records if r.jobid is not None}
        told = scheduler.get_statuses([i for some in ids.values() for i in some]) if ids else {}
        if any(record.step == OVER_STEP for record in records):
            told = {i: _over_if_forgotten(status) for i, status in told.items()}
        return {jobid: [told[i] for i in some] for jobid, some in ids.items()}

    def statuses(self, run_id: str, scheduler: Scheduler) -> dict[str, JobStatus]:
        """Ask `scheduler`, in one query, about the jobs of one plan; an array is one job."""
        members = self.members(run_id, scheduler)
        return {
            jobid: some[0] if some[0].id == jobid else combine(jobid, some)
            for jobid, some in members.items()
        }

    def processes(self) -> list[Owner]:
        """Return the recorded processes on this host that are alive."""
        owners = [r.owner for r in self.records() if r.owner is not None]
        return [owner for owner in owners if owner.is_dead() is False]

    def elsewhere(self) -> list[Owner]:
        """Return the processes on other hosts that renew their leases."""
        leases = self._layout.plans.glob("*/leases/[!.]*")
        owners = [owner_of(lease) for lease in leases if not is_over(lease, time.time())]
        return [owner for owner in owners if owner is not None and owner.is_dead() is None]

    def owners(self) -> list[Owner]:
        """Return the processes of the run's jobs that are seen to be alive, here or elsewhere."""
        return [*self.processes(), *self.elsewhere()]

    def alive(self, run_id: str, scheduler: Scheduler) -> list[str]:
        """Return what is queued, running, or in a state that nobody knows, in words."""
        return self.alive_among(self.members(run_id, scheduler))

    def alive_among(self, members: Mapping[str, Sequence[JobStatus]]) -> list[str]:
        """Return the same as `alive`, if what the scheduler says is known."""
        jobs = {
            jobid: [status for status in some if status.status not in OVER]
            for jobid, some in members.items()
        }
        submitted = [f"job {jobid}: {in_words(some)}" for jobid, some in jobs.items() if some]
        # Where there are jobs of a scheduler, these are their processes.
        return submitted or [str(owner) for owner in self.owners()]

    def are_forgotten(self, members: Mapping[str, Sequence[JobStatus]]) -> bool:
        """Tell whether the scheduler knows of no job that is alive, and no process shows one."""
        alive = [s for some in members.values() for s in some if s.status not in OVER]
        return bool(alive) and all(map(_is_forgotten, alive)) and not self.owners()

    def kill(self, run_id: str, scheduler: Scheduler) -> list[str]:
        """End the recorded jobs of a plan that are alive, and return them in words."""
        alive = [s.id for s in self.statuses(run_id, scheduler).values() if s.status not in OVER]
        # The last first: the merge job would start when those before it have ended.
        scheduler.kill_jobs(reversed(alive))
        killed = [f"job {jobid}" for jobid in alive]
        for owner in self.processes():
            # The first asks to end after the running items, the second to end at once.
            with contextlib.suppress(ProcessLookupError):
                os.kill(owner.pid, signal.SIGTERM)
                if not wait_until_dead([owner], 0.2):
                    os.kill(owner.pid, signal.SIGTERM)
            killed.append(str(owner))
        return killed

    def lingering(self, run_id: str, scheduler: Scheduler) -> list[str]:
        """Return what is still there after `kill`, in words.

        A job that the scheduler, asked right after it was told to kill it, does not know is gone.
        """
        members = {
            jobid: [status for status in some if not _is_forgotten(status)]
            for jobid, some in self.members(run_id, scheduler).items()
        }
        return self.alive_among(members)

    def _append(self, record: JobRecord) -> None:
        make_folder(self._layout.root)
        append_line(self._layout.jobs_file, json.dumps(asdict(record)))


def in_words(statuses: Sequence[JobStatus], *, counts_one: bool = False) -> str:
    """Say how many jobs are in each state, and why, if the scheduler says so.

    Parameters
    ----------
    statuses : sequence of JobStatus
    counts_one : bool
        Whether a single job is said to be one.

    Examples
    --------
    >>> in_words([JobStatus("7_0", "R", "t"), JobStatus("7_1", "Q", "t", "Resources")])
    '1 running, 1 queued (Resources)'
    >>> in_words([JobStatus("8", "*Q", "t")])
    'held'
    """
    states = Counter((STATE_WORDS[status.status], status.reason) for status in statuses)
    shown = [
        (f"{n} " if counts_one or len(statuses) > 1 else "")
        + word
        + (f" ({reason})" if reason else "")
        for (word, reason), n in states.items()
    ]
    return ", ".join(shown)


def _member_ids(record: JobRecord) -> list[str]:
    assert record.jobid is not None
    first, _, last = record.step.removeprefix("process:").partition("-")
    if not last:
        return [record.jobid]
    return [f"{record.jobid}_{i}" for i in range(int(last) - int(first) + 1)]


def _is_forgotten(status: JobStatus) -> bool:
    """Tell whether the scheduler knows nothing of a job, not even that its state is odd."""
    return status.status == UNKNOWN and not (status.name or status.reason)


def _over_if_forgotten(status: JobStatus) -> JobStatus:
    return JobStatus(status.id, DONE, status.name) if _is_forgotten(status) else status


def _parse(line: str) -> JobRecord | None:
    try:
        fields: dict[str, Any] = json.loads(line)
    except ValueError:
        return None
    owner = fields.pop("owner")
    return JobRecord(**fields, owner=Owner(**owner) if owner else None)


def wait_until_dead(owners: Sequence[Owner], seconds: float) -> bool:
    """Wait at most `seconds` for processes on this host to end, and tell whether they did."""
    deadline = time.monotonic() + seconds
    while any(owner.is_dead() is False for owner in owners):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
