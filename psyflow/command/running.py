"""Running one program to its end, and ending whatever it has started.

A program runs in a session of its own: no terminal reaches it, and it has a process group by which
all of it can be ended. Beside the process that runs programs stands a guard, which ends them if
that process is killed.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psyflow.exceptions import CommandFailedError
from psyflow.system.guard import Guard, group_lives, kill_marked, signal_group
from psyflow.system.processes import adopt_orphans, children, fork, oom_kills

__all__ = ["Ended", "Streams", "anyone_left", "run_program", "watch"]

GRACE_SECONDS = 5.0
"""How long a program may take to end after SIGTERM."""
KILL_SECONDS = 5.0
"""How long one that is killed may take: it may hang in a file server."""
_MARK = "PSYFLOW_PROGRAM_OF"
_LONGEST_FIRST_LINE = 256
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Ended:
    """How a program ended, and what it took.

    Attributes
    ----------
    command : list of str
    exit_code : int or None
        None if a signal ended it.
    signal : int or None
        The number of that.
    duration, cpu : float
        Seconds: on the clock, and of all its processes that it has waited for.
    peak_memory : int or None
        Bytes of its largest process; None if that had less than the process that started it, for
        then the system does not tell.
    is_oom : bool
        Whether it was killed because the memory ran out.
    """

    command: list[str]
    exit_code: int | None
    signal: int | None
    duration: float
    cpu: float
    peak_memory: int | None
    is_oom: bool = False


@dataclass(frozen=True)
class Streams:
    """Descriptors of the standard streams of a program."""

    stdin: int
    stdout: int
    stderr: int


class _Keeper:
    """What sees to it that no program outlives this process, or its own end.

    Attributes
    ----------
    pid : int
        The process that it is for: a child that is forked needs one of its own.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._id = f"{self.pid}.{os.urandom(8).hex()}"
        self._numbers = itertools.count()
        self._oom_kills = oom_kills()
        self.guard = Guard(fork, f"{_MARK}={self._id}.")
        self._adopts = adopt_orphans()
        self._known = children() if self._adopts else None
        self._left: set[int] = set()

    def mark(self) -> str:
        """Return what is to stand in the environment of one program, and of no other."""
        return f"{self._id}.{next(self._numbers)}."

    def anyone_left(self) -> bool:
        """Tell whether a program has left a process that this was not told of before."""
        present = None if self._known is None else children()
        if present is None or self._known is None:
            return True  # nobody can tell
        self._left -= {pid for pid in self._left if _has_ended(pid)}
        new = {pid for pid in present - self._known - self._left if not _has_ended(pid)}
        self._left |= new
        return bool(new)

    def is_oom(self, code: int) -> bool:
        """Tell whether a program that ended so was killed because the memory ran out."""
        if code != -signal.SIGKILL:
            return False
        before, self._oom_kills = self._oom_kills, oom_kills()
        return self._oom_kills > before


_keepers: dict[int, _Keeper] = {}


def _keeper() -> _Keeper:
    pid = os.getpid()
    if pid not in _keepers:
        _leave_those_of_parents()
        _keepers[pid] = _Keeper()
    return _keepers[pid]


def watch() -> None:
    """See to it that programs do not outlive this process; it is done before the first one, too.

    What is open by then stays so in the process that watches.
    """
    _keeper()


def anyone_left() -> bool:
    """Tell whether programs that have ended left processes behind, in sessions of their own.

    Those are told of once. They are ended with this process.
    """
    return _keeper().anyone_left()


def _has_ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _leave_those_of_parents() -> None:
    for keeper in _keepers.values():
        with contextlib.suppress(OSError):
            keeper.guard.leave()
    _keepers.clear()


def run_program(
    command: Sequence[str], cwd: str, environment: Mapping[bytes, bytes], streams: Streams
) -> Ended:
    """Run a program to its end; whatever else ends this, nothing of it is left running.

    Raises
    ------
    CommandFailedError
        If it cannot be started.
    """
    keeper = _keeper()
    mark = keeper.mark()
    begin = time.monotonic()
    pid = 0
    try:
        pid = _started(command, cwd, {**environment, _MARK.encode(): mark.encode()}, streams)
        keeper.guard.begun(pid)
        _, status, used = os.wait4(pid, 0)
    except CommandFailedError:
        raise
    except BaseException:
        # It is asked to stop. Between its start and here, its number may have been lost.
        _end_group(pid, is_reaped=False)
        kill_marked(f"{_MARK}={mark}")
        raise
    duration = time.monotonic() - begin
    _end_group(pid, is_reaped=True)
    keeper.guard.ended(pid)
    code = os.waitstatus_to_exitcode(status)
    return _ended([*command], code, duration, used, is_oom=keeper.is_oom(code))


def _started(
    command: Sequence[str], cwd: str, environment: Mapping[bytes, bytes], streams: Streams
) -> int:
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=streams.stdin,
            stdout=streams.stdout,
            stderr=streams.stderr,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailedError(_not_started(command, cwd, error)) from error
    # It is waited for here, with what it took.
    process.returncode = 0
    return process.pid


def _not_started(command: Sequence[str], cwd: str, error: OSError) -> str:
    program = command[0]
    if not os.path.isdir(cwd):  # noqa: PTH112
        return f"`cwd` is no folder here: {cwd}"
    path = os.path.join(cwd, program)  # noqa: PTH118
    if os.sep in program and os.path.isdir(path):  # noqa: PTH112
        return f"{program} is a folder."
    if error.errno == errno.ENOENT and os.sep in program and _has_crlf(path):
        return (
            f"The first line of {program} ends as on Windows, so the system looks for an "
            f"interpreter of another name. Perhaps: sed -i 's/\\r$//' {program}"
        )
    if error.errno == errno.ENOENT:
        return f"There is no program {program} here, or not the interpreter that it asks for."
    if error.errno == errno.EACCES:
        return f"{program} may not be run here. Perhaps: chmod +x {program}"
    if error.errno == errno.ENOEXEC:
        return (
            f"{program} is no program for this machine, or lacks a first line such as #!/bin/sh."
        )
    if error.errno == errno.E2BIG:
        return f"The arguments of {program}, or one of them, are longer than the system takes."
    return f"{program} cannot be started: {error.strerror}."


def _has_crlf(path: str) -> bool:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.readline(_LONGEST_FIRST_LINE).endswith(b"\r\n")
    except OSError:
        return False


def _end_group(pid: int, *, is_reaped: bool) -> None:
    """End a program, and what it has started; SIGTERM first, and SIGKILL if that is not heeded."""
    if not pid:
        return
    for number, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        if not signal_group(pid, number) or _is_over(pid, seconds, is_reaped=is_reaped):
            break


def _is_over(pid: int, seconds: float, *, is_reaped: bool) -> bool:
    """Wait until nobody of a group is left, or for some time; return whether nobody is."""
    deadline = time.monotonic() + seconds
    pause = 0.001
    while True:
        if not is_reaped:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if not group_lives(pid):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(0.05, pause * 2)


def _ended(command: list[str], code: int, duration: float, used: Any, *, is_oom: bool) -> Ended:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Until a child has its own program, its memory is that of the process that started it.
    peak = used.ru_maxrss * _RSS_UNIT if used.ru_maxrss > own else None
    cpu = used.ru_utime + used.ru_stime
    if code < 0:
        return Ended(command, None, -code, duration, cpu, peak, is_oom)
    return Ended(command, code, None, duration, cpu, peak, is_oom)
