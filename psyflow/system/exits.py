"""The exit statuses of workers and of process jobs."""

from __future__ import annotations

__all__ = [
    "BROKEN",
    "ALL_WOULD_FAIL",
    "DISK_FULL",
    "ENDED_EARLY",
    "GIVES_UP",
    "LOST",
    "NOTHING_KEPT",
    "OUT_OF_TIME",
    "RECYCLED",
    "SETUP_FAILED",
    "STOPPED",
    "TOO_MANY_FAILURES",
]

SETUP_FAILED = 3
"""The user's code does not load, ``setup`` raised, or workers die before they get to work."""

DISK_FULL = 4
"""An outcome could not be written."""

TOO_MANY_FAILURES = 5
"""As many items failed as ``max_failures`` allows."""

LOST = 6
"""The folder of the run was moved or removed, or others have taken the job for dead."""

NOTHING_KEPT = 7
"""None of the first results can be kept."""

ALL_WOULD_FAIL = 8
"""The first items have failed in a way that no other one can escape, at least on this machine."""

GIVES_UP = (TOO_MANY_FAILURES, NOTHING_KEPT)
"""Nobody takes over what was not done. What fails on one machine may well be done on another."""

ENDED_EARLY = (*GIVES_UP, ALL_WOULD_FAIL)
"""What there is gets merged."""

STOPPED = 130
"""Somebody asked it to stop."""

RECYCLED = 131
"""A worker has done ``max_tasks_per_child`` evaluations, and another one is to take its place."""

BROKEN = 133
"""An item has left its process unfit for others, and another worker is to take its place."""

OUT_OF_TIME = 132
"""A worker claims no more, because the job is ended before the next items would be done."""
