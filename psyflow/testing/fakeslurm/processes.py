"""The processes of jobs, found by a mark in their environment, whoever their parents are."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["MARK", "marked", "signal_all"]

MARK = "FAKESLURM_JOB"
_PROC = Path("/proc")


def marked(mark: str) -> list[int]:
    """Return the living processes whose mark begins with `mark`.

    None where the system does not show environments, as on macOS.
    """
    return [pid for pid, variables in _environments() if _has(variables, mark)]


def signal_all(mark: str, number: int) -> list[int]:
    """Send a signal to every marked process, and return which those are."""
    pids = marked(mark)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
    return pids


def _environments() -> Iterator[tuple[int, bytes]]:
    for entry in _PROC.glob("[0-9]*"):
        # It may have ended, or be somebody else's.
        with contextlib.suppress(OSError):
            yield int(entry.name), (entry / "environ").read_bytes()


def _has(variables: bytes, mark: str) -> bool:
    return b"\0" + os.fsencode(f"{MARK}={mark}") in b"\0" + variables
