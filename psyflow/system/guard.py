"""What ends the processes that the user's function has started, if the supervisor cannot.

The kernel ends workers when their supervisor is killed, but not what these have started. So beside
each supervisor stands a process that does nothing but wait for its end.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from psyflow.system.ends import close_end, let_go, noting

__all__ = ["Groups", "Guard", "group_lives", "kill_marked", "signal_group"]

GROUP_SECONDS = 1.0
"""How long what a worker has started may take to end after SIGTERM."""
_NUMBER = struct.Struct("<q")
_N_SLOTS = 64
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


class Guard:
    """A process that outlives this one for a moment, and ends the process groups it was told of.

    It sees that this process has ended, however, by the end of the pipe between them.

    Parameters
    ----------
    fork : callable
        Forks, and returns the child's process number, or 0 in the child.
    mark : str
        What stands in the environment of processes that it ends besides, whatever group they are
        in, where the system tells that. If empty, there are none.
    """

    def __init__(self, fork: Callable[[], int], mark: str = "") -> None:
        # What stands in here is guarded as well: saying so wakes nobody up.
        self._memory = mmap.mmap(-1, _N_SLOTS * _NUMBER.size)
        self._free = [*range(_N_SLOTS)]
        self._slots: dict[int, int] = {}
        with noting() as note:
            reader, self._writer = os.pipe()
            note(self._writer)
        self._pid = fork()
        if self._pid == 0:
            let_go()
            _keep_guard(reader, self._memory, mark)
        os.close(reader)

    @property
    def pid(self) -> int:
        """Its process number; 0 if it was buried."""
        return self._pid

    def begun(self, group: int | None = None) -> None:
        """Guard a process group; the one that this process, a child, is about to lead if None.

        A child that can says so itself, before it does anything else: its parent may be killed
        too soon.
        """
        if group is None or not self._free:
            self._tell(f"+{group or os.getpid()}\n")
            return
        slot = self._slots[group] = self._free.pop()
        _NUMBER.pack_into(self._memory, slot * _NUMBER.size, group)

    def ended(self, group: int) -> None:
        """Guard a process group no longer: there is nobody in it."""
        slot = self._slots.pop(group, None)
        if slot is None:
            self._tell(f"-{group}\n")
            return
        _NUMBER.pack_into(self._memory, slot * _NUMBER.size, 0)
        self._free.append(slot)

    def _tell(self, line: str) -> None:
        # If somebody has ended it, it is as if there had never been one.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._writer, line.encode())

    def leave(self) -> None:
        """Let go of the pipe in a child of this process, whose life does not count."""
        close_end(self._writer)

    def bury(self) -> None:
        """Wait no longer for it if somebody has ended it."""
        if self._pid and os.waitpid(self._pid, os.WNOHANG)[0]:
            self._pid = 0

    def dismiss(self) -> None:
        """End it; what it guards is ended."""
        close_end(self._writer)
        if self._pid:
            os.waitpid(self._pid, 0)


class Groups:
    """Process groups whose leader has ended, until nobody is left in them.

    Parameters
    ----------
    guard : Guard
        Is told of those that are empty.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._deadlines: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._deadlines)

    def end(self, group: int, *, at_once: bool) -> None:
        """End a group; unless `at_once`, it gets a SIGTERM first."""
        if signal_group(group, signal.SIGKILL if at_once else signal.SIGTERM):
            self._deadlines[group] = time.monotonic() + GROUP_SECONDS
        else:
            self._guard.ended(group)

    def postpone(self, seconds: float) -> None:
        """Give those that are to end that much more time."""
        self._deadlines = {group: end + seconds for group, end in self._deadlines.items()}

    def pursue(self) -> None:
        """Kill what has not heeded SIGTERM."""
        for group, deadline in list(self._deadlines.items()):
            # While any of it is left, nobody else gets the number of the group.
            number = signal.SIGKILL if time.monotonic() > deadline else 0
            if not signal_group(group, number) or number:
                del self._deadlines[group]
                self._guard.ended(group)


def _keep_guard(reader: int, memory: mmap.mmap, mark: str) -> NoReturn:
    try:
        # Nothing but the end of the pipe ends it: no terminal, and no scheduler in a hurry.
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        with os.fdopen(reader) as lines:
            groups: set[int] = set()
            for line in lines:
                (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
        groups.update(group for (group,) in _NUMBER.iter_unpack(memory) if group)
        _end(groups)
        if mark:
            kill_marked(mark)
    finally:
        os._exit(0)


def _end(groups: set[int]) -> None:
    left = {group for group in groups if signal_group(group, signal.SIGTERM)}
    deadline = time.monotonic() + GROUP_SECONDS
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = {group for group in left if signal_group(group, 0)}
    for group in left:
        signal_group(group, signal.SIGKILL)


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group, and return whether there is such a group."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def group_lives(group: int) -> bool:
    """Tell whether there is anybody in a process group but those that only wait to be reaped."""
    if not signal_group(group, 0):
        return False
    states = [_state_in(path, group) for path in Path("/proc").glob("[0-9]*/stat")]
    return not states or any(state not in ("", "Z", "X") for state in states)


def _state_in(stat: Path, group: int) -> str:
    """Return the state of a process of a group; nothing if it is of another one."""
    try:
        # Its name, in parentheses, may have anything in it.
        state, _, found = stat.read_text(errors="replace").rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return ""
    return state if found == str(group) else ""


def kill_marked(mark: str) -> None:
    """Kill the processes that began with `mark` in their environment, where the system tells that.

    They may have left the group that they were started in.
    """
    for environment in Path("/proc").glob("[0-9]*/environ"):
        # Those of others cannot be read, and any may end meanwhile.
        with contextlib.suppress(OSError):
            if mark.encode() in environment.read_bytes():
                os.kill(int(environment.parent.name), signal.SIGKILL)
