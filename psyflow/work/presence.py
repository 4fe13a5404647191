"""What a job shows of its life, and how it learns that it has no business any more.

A job is over when its folder is moved or removed: it must make no new one in its place. And it may
have been taken for dead, if it was stopped or cut off for long: then others go on with its items.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

from psyflow.system.lease import Lease
from psyflow.work.capture import say
from psyflow.work.claims import ClaimLog
from psyflow.work.crowd import lease_pause, presence_pause
from psyflow.work.takeover import lease_name
from psyflow.work.worker import Work

__all__ = ["Presence", "Trouble"]


@dataclass(frozen=True)
class Trouble:
    """Why a job has to end.

    Attributes
    ----------
    text : str
    is_urgent : bool
        Whether the running items may not even come to their end.
    """

    text: str
    is_urgent: bool = False


class Presence:
    """A job among the others that share its claim log.

    Parameters
    ----------
    job : Work
    name : str
        What the names of its shards begin with; its lease has this name.
    """

    def __init__(self, job: Work, name: str) -> None:
        self._job = job
        self._name = name
        pause = lease_pause(job.n_jobs) if job.n_jobs > 1 else 0.0
        self._lease = Lease(job.leases / name, say, pause) if job.leases is not None else None
        self._pause = presence_pause(job.n_jobs)
        self._looked = float("-inf")
        self._is_gone = False
        self._is_told = False

    def begin(self) -> None:
        """Say that the job lives."""
        if self._lease is not None:
            self._lease.take()

    def end(self, *, is_finished: bool) -> bool:
        """Say that the job ends, and whether others have nothing to take up.

        Returns
        -------
        bool
            Whether the folder of the job is where it was.
        """
        self._looked = float("-inf")
        if trouble := self.trouble():
            say(trouble.text)
        if self._lease is not None and not self._is_gone:
            (self._lease.release if is_finished else self._lease.give_up)()
        return not self._is_gone

    def trouble(self) -> Trouble | None:
        """Say that the job lives; return, once, why it has to end, if it has to."""
        trouble = None
        if not self._is_told and time.monotonic() - self._looked >= self._pause:
            self._looked = time.monotonic()
            # A file server that is away for a while comes back.
            with contextlib.suppress(OSError):
                trouble = self._look()
            self._is_told = trouble is not None
        return trouble

    def _look(self) -> Trouble | None:
        if self._job.is_gone() or not (self._lease is None or self._lease.renew()):
            self._is_gone = True
            # What is running goes to shards that are open, wherever they are now.
            return Trouble(self._whereabouts())
        if self._lease is not None and self._lease.has_lapsed() and self._is_replaced():
            # The items that run are others' now, with their folders.
            text = "Others took this job for dead, and go on with its items: stopping."
            return Trouble(text, is_urgent=True)
        return None

    def _whereabouts(self) -> str:
        if self._job.out.is_dir():
            return "Another run has taken the place of this one: stopping."
        return (
            f"{self._job.out.parent} is gone: stopping. "
            f"If it was moved, what is done is where it is now."
        )

    def _is_replaced(self) -> bool:
        """Tell whether somebody has taken over a claim of this job."""
        log = ClaimLog(self._job.claims, len(self._job.items))
        taken = [claim for claim in log.taken_over() if lease_name(claim.shard) != self._name]
        before = [log.before(claim) for claim in taken]
        return any(claim and lease_name(claim.shard) == self._name for claim in before)
