"""Processes, named so that nobody else is ever taken for them."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Owner"]


@functools.cache
def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _birth_mark(pid: int) -> str | None:
    """Return what tells process `pid` from an earlier or later one of the same number.

    None if there is no such process; empty if there is one that we may not look at.
    """
    if not Path("/proc/self/stat").exists():
        return _birth_mark_by_ps(pid)
    try:
        # Bytes, for a process may call itself anything.
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return "" if _exists(pid) else None
    # The command name may hold spaces and brackets; what follows the last one is fixed.
    fields = stat.rpartition(b")")[2].decode().split()
    if fields[0] in "ZX" and not _has_threads_left(pid):
        return None
    return f"{_boot_id()}:{fields[19]}"


def _has_threads_left(pid: int) -> bool:
    """Tell whether threads outlive the first one of a process: until they end, so does not it."""
    try:
        return len(os.listdir(f"/proc/{pid}/task")) > 1  # noqa: PTH208 (no need for paths)
    except OSError:
        return False


def _birth_mark_by_ps(pid: int) -> str | None:
    # Dates are written as the locale and the time zone want it, which differ between callers.
    fixed = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    ps = subprocess.run(command, capture_output=True, text=True, env=fixed)
    state, _, birth = ps.stdout.strip().partition(" ")
    return None if state[:1] in ("", "Z") else birth.strip()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # Somebody else's, on a host that hides the processes of others.
        return True
    return True


@dataclass(frozen=True)
class Owner:
    """A process, named so that nobody else is ever taken for it.

    Attributes
    ----------
    host : str
    pid : int
    birth : str
        When the process began, as its host's kernel tells it; guards against reused numbers.
    """

    host: str
    pid: int
    birth: str

    @classmethod
    def here(cls) -> Owner:
        """Return the calling process."""
        return cls(socket.gethostname(), os.getpid(), _birth_mark(os.getpid()) or "")

    def is_dead(self) -> bool | None:
        """Tell whether the process has ended; None if that cannot be seen from here."""
        if self.host != socket.gethostname():
            return None
        mark = _birth_mark(self.pid)
        return None if mark == "" else mark != self.birth

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"
