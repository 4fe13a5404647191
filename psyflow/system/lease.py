"""Leases: files that say who is at work, for processes on other hosts to see.

On one host the process table tells whether a process is alive. Another host sees only files: a
living owner renews its lease, and one that was not renewed for long is over. The clock is the file
server's, which stamps the renewals, wherever that clock can be asked.

That a renewal fails is no end: a file server may be away for a while. It is tried again soon,
until the file is gone. An owner that could not renew for long, or was stopped, may be taken for
dead: it learns that with its next renewal.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from psyflow.system.files import link_new
from psyflow.system.owner import Owner
from psyflow.system.reading import ask_again, read_whole

__all__ = [
    "LEASE_SECONDS",
    "PROBE_MARK",
    "RENEW_SECONDS",
    "Lease",
    "is_over",
    "is_stale",
    "owner_of",
    "server_time",
]

PROBE_MARK = ".now-"
"""What names of files begin with that are made to ask the file server for its time."""

RENEW_SECONDS = 10.0
RETRY_SECONDS = 1.0
LEASE_SECONDS = 120.0
"""Much longer than it takes NFS to show a renewal to other hosts, which cache attributes."""


def _print(text: str) -> None:
    # The log may be on the disk that fails.
    with contextlib.suppress(OSError, ValueError):
        print(text, flush=True)


class Lease:
    """A file that its owner renews as long as it lives.

    Parameters
    ----------
    path : Path
        In a folder that exists.
    say : callable
        Told what is wrong with it, if anything is.
    pause : float
        After how many seconds it is renewed, if that is more than `RENEW_SECONDS`.

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

    def __init__(
        self, path: Path, say: Callable[[str], object] = _print, pause: float = 0.0
    ) -> None:
        self.path = path
        self._pause = pause
        self._say = say
        self._tried = float("-inf")
        self._is_failing = False
        self._has_lapsed = False
        self._file: tuple[int, int] | None = None

    def take(self) -> None:
        """Begin: say who has it.

        Raises
        ------
        OSError
            If that cannot be said, because somebody has it, for example.
        """
        if not link_new(self.path, json.dumps(asdict(Owner.here())).encode(), durable=False):
            raise FileExistsError(f"{self.path} is somebody's already.")
        self.renew()

    def renew(self) -> bool:
        """Say that the owner is alive, unless that was just said.

        Returns
        -------
        bool
            False if the lease is lost: there is no such file, or it is another one.
        """
        pause = RETRY_SECONDS if self._is_failing else max(RENEW_SECONDS, self._pause)
        if time.monotonic() - self._tried <= pause:
            return True
        self._tried = time.monotonic()
        try:
            return self._renew()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if not self._is_failing:
                self._say(f"{self.path} cannot be renewed, which is tried again: {error}")
            self._is_failing = True
            return True

    def _renew(self) -> bool:
        before = self.path.stat()
        if not self._is_own(before):
            return False
        os.utime(self.path)
        self._has_lapsed |= is_stale(before.st_mtime, self.path.stat().st_mtime)
        self._file, self._is_failing = (before.st_dev, before.st_ino), False
        return True

    def _is_own(self, found: os.stat_result) -> bool:
        """Tell whether it is not of a copy that has taken the place of what was moved away."""
        file = found.st_dev, found.st_ino
        return file == (self._file or file)

    def has_lapsed(self) -> bool:
        """Tell whether, since this was last asked, others may have taken the owner for dead."""
        has_lapsed, self._has_lapsed = self._has_lapsed, False
        return has_lapsed

    def give_up(self) -> None:
        """End with something undone, which others may take up at once."""
        self._end(lambda: os.utime(self.path, (0, 0)))

    def release(self) -> None:
        """End with everything done."""
        self._end(self.path.unlink)

    def _end(self, how: Callable[[], object]) -> None:
        try:
            if self._is_own(self.path.stat()):
                how()
        except FileNotFoundError:
            pass  # whoever removed it has seen to it that nobody asks
        except OSError as error:
            # It runs out by itself, and what ended the owner is more important.
            self._say(f"{self.path} cannot be given back, and runs out by itself: {error}")


def is_over(path: Path, now: float) -> bool:
    """Tell whether the owner of a lease has ended, with or without saying so.

    Parameters
    ----------
    path : Path
    now : float
        The file server's time, see `server_time`.
    """
    try:
        renewed = ask_again(path.stat, path).st_mtime
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
        return Owner.from_fields(json.loads(read_whole(path)))
    except (FileNotFoundError, ValueError):
        # Just released, or emptied by a power loss.
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
    probe = folder / f"{PROBE_MARK}{os.getpid()}-{os.urandom(4).hex()}"
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)
