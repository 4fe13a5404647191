"""States of jobs in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from psyflow.scheduler.base import (
    CANCELLED,
    DONE,
    FAILED,
    HELD,
    QUEUED,
    RUNNING,
    UNKNOWN,
    ZOMBIE,
    JobStatus,
)

__all__ = ["STATE_WORDS", "in_words"]

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
    >>> in_words([JobStatus("9", "*Q", "t", "Dependency")])
    'waiting for other jobs'
    """
    states = Counter(map(_state, statuses))
    shown = [
        (f"{n} " if counts_one or len(statuses) > 1 else "")
        + word
        + (f" ({reason})" if reason else "")
        for (word, reason), n in states.items()
    ]
    return ", ".join(shown)


def _state(status: JobStatus) -> tuple[str, str]:
    if status.status == HELD and status.reason == "Dependency":
        return "waiting for other jobs", ""  # nobody holds it, and nobody has to do anything
    return STATE_WORDS[status.status], status.reason
