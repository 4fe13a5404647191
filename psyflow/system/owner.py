"""Processes, named so that nobody else is ever taken for them.

A process number means something within one process table only: that of a PID namespace, of a boot,
of a machine. (The number of a namespace that is gone is given away again, but in that nobody is
alive.) Names of hosts do not tell these apart: two containers may have one name, and so may
two machines. So an owner says which table its number is of, and where that is not ours for sure,
nobody here can tell whether the process lives.
"""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Owner"]


@functools.cache
def _boot_id() -> str:
    return _text_of("/proc/sys/kernel/random/boot_id")


def _text_of(path: str) -> str:
    """Return what a file of one line says; nothing if it is not there."""
    try:
        # Any process may call itself anything, and its status says so.
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""


def _process_table() -> str:
    """Name the process table that our numbers are of; empty if it cannot be told."""
    return _table_of(os.getpid())


@functools.cache
def _table_of(pid: int) -> str:
    # By number, because a fork may be in another namespace than its parent.
    if sys.platform != "linux":
        return sys.platform  # there are no namespaces: the name of the host has to do
    if not _boot_id() or not _is_proc_ours():
        return ""
    numbers = _namespace("pid")
    # /proc counts the births of processes by the clock of whoever reads it.
    names = (_text_of("/etc/machine-id"), _boot_id(), numbers, _namespace("time"))
    return " ".join(names) if numbers else ""


def _namespace(kind: str) -> str:
    """Name our namespace of a kind; empty if that cannot be told, or there are none of it."""
    try:
        return str(Path(f"/proc/self/ns/{kind}").readlink())
    except OSError:
        return ""


def _is_proc_ours() -> bool:
    """Tell whether /proc shows our namespace: it may have been mounted in an outer one."""
    status = _text_of("/proc/self/status").splitlines()
    numbers = next((line.split()[1:] for line in status if line.startswith("NSpid:")), None)
    if numbers is None:  # an old kernel
        return os.path.realpath("/proc/self") == f"/proc/{os.getpid()}"
    return len(numbers) == 1


def _birth_mark(pid: int) -> str | None:
    """Return what tells process `pid` from an earlier or later one of the same number.

    None if there is no such process; empty if there is one that we may not look at.
    """
    if sys.platform != "linux":
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


@functools.cache
def _own_birth() -> str | None:
    return _birth_mark(os.getpid())


# A fork of it is another process, whatever number it has.
os.register_at_fork(after_in_child=_own_birth.cache_clear)


@dataclass(frozen=True)
class Owner:
    """A process, named so that nobody else is ever taken for it.

    Attributes
    ----------
    host : str
    pid : int
    birth : str
        When the process began, as its host's kernel tells it; guards against reused numbers.
    table : str
        The process table that `pid` is of: machine, boot and PID namespace. Empty if nobody could
        tell, and for owners that an earlier psyflow has recorded.
    """

    host: str
    pid: int
    birth: str
    table: str = ""

    @classmethod
    def here(cls) -> Owner:
        """Return the calling process."""
        pid, table = os.getpid(), _process_table()
        birth = _own_birth() if table else None
        return cls(socket.gethostname(), pid, birth or "", table)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Owner:
        """Return the owner of which `fields` is what ``asdict`` gave, in this psyflow or another.

        Raises
        ------
        ValueError
            If it is none.
        """
        try:
            host, pid, birth = fields["host"], fields["pid"], fields["birth"]
            return cls(str(host), int(pid), str(birth), str(fields.get("table", "")))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{fields!r:.80} names no process.") from error

    def is_dead(self) -> bool | None:
        """Tell whether the process has ended; None if that cannot be seen from here.

        Not even a restart of the host is a proof, for machines may share all that names them. It
        lasts about as long as a lease, which decides then.
        """
        table = _process_table()
        if not table or self.host != socket.gethostname() or self.table not in ("", table):
            return None
        mark = _birth_mark(self.pid)
        if mark and mark == self.birth:
            return False
        # Of which namespace a number is that an earlier psyflow recorded, nobody knows.
        return None if mark == "" or not self.table else True

    @property
    def is_namesake(self) -> bool:
        """Whether it is of a host that has this one's name, and is not this one."""
        is_here = self.table in ("", _process_table())
        return self.host == socket.gethostname() and not is_here

    def __str__(self) -> str:
        place = f"{self.host} (another container or boot)" if self.is_namesake else self.host
        return f"process {self.pid} on {place}"
