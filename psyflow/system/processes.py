"""Child processes: made, heard of, and how they ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from psyflow.system.ends import forked
from psyflow.system.exits import SETUP_FAILED

__all__ = [
    "HANDLED",
    "WARNINGS",
    "Signals",
    "adopt_orphans",
    "bury_orphans",
    "children",
    "cause_of_death",
    "die_with_parent",
    "flush_standard_streams",
    "fork",
    "oom_kills",
    "received",
    "signal_name",
    "signals_blocked",
]

WARNINGS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
"""What schedulers send some time before they end a job, if asked to; and a terminal at its end."""

HANDLED = (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, *WARNINGS)
"""The signals that a supervisor handles."""

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


class Signals:
    """Counts requests to stop, and ends a wait when a child ends or a request comes.

    Attributes
    ----------
    stop_requests : int
    is_to_pause : bool
        Whether a terminal has asked to stand still, as Ctrl-Z does; whoever does so takes it back.
    """

    def __init__(self) -> None:
        self.stop_requests = 0
        self.is_to_pause = False

    def __enter__(self) -> Signals:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._old: dict[int, Any] = {}
        if threading.current_thread() is not threading.main_thread():
            return self  # only the main thread is told of signals
        # With `nohup`, the end of the terminal is to be ignored.
        is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        heeded = [number for number in HANDLED if number != signal.SIGHUP or not is_ignored]
        if signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL:  # a shell without job control
            heeded.append(signal.SIGTSTP)
        self._old = {number: signal.signal(number, self._handle) for number in heeded}
        self._old_fd = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._old:
            signal.set_wakeup_fd(self._old_fd)
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self._receiver.close()
        self._sender.close()

    @property
    def are_heard(self) -> bool:
        """Whether this thread is told of signals."""
        return bool(self._old)

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or when something happened."""
        if select.select([self._receiver], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                self._receiver.recv(4096)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number in WARNINGS:
            # A warning asks to stop, but never to hurry.
            self.stop_requests = max(self.stop_requests, 1)
        elif number == signal.SIGTSTP:
            self.is_to_pause = True
        elif number != signal.SIGCHLD:
            self.stop_requests += 1


def oom_kills() -> int:
    """Return how many processes the kernel has killed because the memory ran out; 0 if unknown."""
    try:
        text = Path("/proc/vmstat").read_text()
    except OSError:
        return 0
    counts = dict(line.split() for line in text.splitlines())
    return int(counts.get("oom_kill", 0))


def cause_of_death(exit_code: int) -> str:
    """Say what an exit code, negative for a signal, tells of the end of a process.

    Examples
    --------
    >>> cause_of_death(-11), cause_of_death(5)
    ('was killed by SIGSEGV', 'exited with code 5')
    """
    if exit_code >= 0:
        return f"exited with code {exit_code}"
    return f"was killed by {signal_name(-exit_code)}"


def signal_name(number: int) -> str:
    """Return what a signal is called.

    Examples
    --------
    >>> signal_name(9), signal_name(63)
    ('SIGKILL', 'signal 63')
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def flush_standard_streams() -> None:
    """Write out what is buffered, as far as possible."""
    # What is buffered would be written by the child, too. A stream that is closed has nothing.
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()


def fork() -> int:
    """Fork, and return the child's process number, or 0 in the child."""
    with warnings.catch_warnings():
        # BLAS libraries keep threads of their own, and handle a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        return forked(os.fork)


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Hold signals back: one between a fork and the child's own handlers would run ours there."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def die_with_parent(parent: int) -> None:
    """Have the kernel, where it can, kill this process when its parent is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(SETUP_FAILED)


def adopt_orphans() -> bool:
    """Be the parent of descendants whose own has ended; return whether the kernel can do that."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def children() -> set[int] | None:
    """Return the children of this process, the adopted ones among them; None if nobody tells."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:  # noqa: PTH123
            return {int(pid) for pid in file.read().split()}
    except OSError:
        return None


def bury_orphans(own: Collection[int]) -> None:
    """Let go of adopted processes that have ended; those in `own` are waited for elsewhere."""
    with contextlib.suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in own:
                return
            os.waitpid(ended.si_pid, 0)


def received(source: socket.socket, n_bytes: int) -> bytes:
    """Return the next bytes of another process; raise EOFError if there will be no more."""
    data = bytearray()
    while len(data) < n_bytes:
        part = source.recv(n_bytes - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)
