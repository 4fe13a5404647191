"""The jobs of a run: a record that is on disk before the next one is submitted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from psyflow.claims import Owner
from psyflow.files import append_line, make_folder
from psyflow.layout import Layout
from psyflow.scheduler.base import OVER, JobStatus, Scheduler

__all__ = ["JobRecord", "Jobs"]


@dataclass(frozen=True)
class JobRecord:
    """A line of the record.

    Attributes
    ----------
    run_id : str
    step : str
        ``split``, ``process:<k>``, ``process:<first>-<last>`` for an array, or ``merge``.
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

    def statuses(self, run_id: str, scheduler: Scheduler) -> dict[str, JobStatus]:
        """Ask `scheduler`, in one query, about the jobs of one plan."""
        ids = [r.jobid for r in self.records() if r.run_id == run_id and r.jobid is not None]
        return scheduler.get_statuses(ids) if ids else {}

    def processes(self) -> list[Owner]:
        """Return the recorded processes on this host that are alive."""
        owners = [r.owner for r in self.records() if r.owner is not None]
        return [owner for owner in owners if owner.is_dead() is False]

    def alive(self, run_id: str, scheduler: Scheduler) -> list[str]:
        """Return what is queued, running, or in a state that nobody knows, in words."""
        return self.alive_among(self.statuses(run_id, scheduler))

    def alive_among(self, statuses: Mapping[str, JobStatus]) -> list[str]:
        """Return the same as `alive`, if what the scheduler says is known."""
        submitted = [
            f"job {status.id} ({status.status})"
            for status in statuses.values()
            if status.status not in OVER
        ]
        return submitted + [str(owner) for owner in self.processes()]

    def kill(self, run_id: str, scheduler: Scheduler) -> list[str]:
        """End the recorded jobs of a plan that are alive, and return them in words."""
        killed = []
        for status in self.statuses(run_id, scheduler).values():
            if status.status not in OVER:
                scheduler.kill(status.id)
                killed.append(f"job {status.id}")
        for owner in self.processes():
            # The first asks to end after the running items, the second to end at once.
            with contextlib.suppress(ProcessLookupError):
                os.kill(owner.pid, signal.SIGTERM)
                if not wait_until_dead([owner], 0.2):
                    os.kill(owner.pid, signal.SIGTERM)
            killed.append(str(owner))
        return killed

    def _append(self, record: JobRecord) -> None:
        make_folder(self._layout.root)
        append_line(self._layout.jobs_file, json.dumps(asdict(record)))


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
