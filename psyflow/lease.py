"""Leases: files that say who is at work, for processes on other hosts to see.

On one host the process table tells whether a process is alive. Another host sees only files: a
living owner renews its lease, and one that was not renewed for long is over. The clock is the file
server's, which stamps the renewals, wherever that clock can be asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict
from pathlib import Path

from psyflow.owner import Owner

__all__ = [
    "LEASE_SECONDS",
    "RENEW_SECONDS",
    "Lease",
    "is_over",
    "is_stale",
    "owner_of",
    "renew",
    "server_time",
]

RENEW_SECONDS = 10.0
LEASE_SECONDS = 120.0
"""Much longer than it takes NFS to show a renewal to other hosts, which cache attributes."""


class Lease:
    """A file that its owner renews as long as it lives.

    Parameters
    ----------
    path : Path
        In a folder that exists.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> lease = Lease(Path(folder.name) / "lease")
    >>> lease.take()
    >>> is_over(lease.path, server_time(lease.path.parent))
    False
    >>> lease.give_up()
    >>> is_over(lease.path, time.time())
    True
    >>> lease.release()
    >>> folder.cleanup()
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._renewed = 0.0

    def take(self) -> None:
        """Begin: say who has it."""
        self.path.write_text(json.dumps(asdict(Owner.here())))
        self._renewed = time.monotonic()

    def renew(self) -> None:
        """Say that the owner is alive, unless that was just said."""
        if time.monotonic() - self._renewed > RENEW_SECONDS:
            self._renewed = time.monotonic()
            renew(self.path)

    def give_up(self) -> None:
        """End with something undone, which others may take up at once."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.path, (0, 0))

    def release(self) -> None:
        """End with everything done."""
        self.path.unlink(missing_ok=True)


def renew(path: Path) -> None:
    """Give a file the file server's present time."""
    # Whoever removed it has seen to it that nobody asks.
    with contextlib.suppress(FileNotFoundError):
        os.utime(path)


def is_over(path: Path, now: float) -> bool:
    """Tell whether the owner of a lease has ended, with or without saying so.

    Parameters
    ----------
    path : Path
    now : float
        The file server's time, see `server_time`.
    """
    try:
        renewed = path.stat().st_mtime
    except FileNotFoundError:
        return True
    if renewed == 0:
        return True
    owner = owner_of(path)
    is_dead = owner.is_dead() if owner is not None else None
    return is_dead if is_dead is not None else is_stale(renewed, now)


def owner_of(path: Path) -> Owner | None:
    """Return who has a lease; None if that cannot be read: only time can tell about it."""
    try:
        return Owner(**json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError):
        # Just released or being written, or emptied by a power loss.
        return None


def is_stale(renewed: float, now: float) -> bool:
    """Tell whether a file of that time of change was not renewed for so long that nobody lives.

    Examples
    --------
    >>> is_stale(1000.0, 1060.0), is_stale(1000.0, 2000.0)
    (False, True)
    """
    return now - renewed > LEASE_SECONDS


def server_time(folder: Path) -> float:
    """Return the time (seconds since 1970) by the clock that stamps the files in `folder`."""
    probe = folder / f".now-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)
