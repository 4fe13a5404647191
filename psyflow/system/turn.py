"""Taking turns with other processes of this host, as a courtesy: nothing may depend on it.

Where many want what only one can have, all others work in vain. A lock of the kernel on the
folder that they share puts them in line, without a file that could be left over. It ends with its
process; but one that was stopped may have it for long, so nobody waits for more than a moment.
File servers know nothing of locks on folders, so those of other hosts are in no line.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

__all__ = ["turn"]

PATIENCE_SECONDS = 0.1
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EACCES)


class _TooLong(BaseException):
    """The one whose turn it is does not come to an end."""


@contextlib.contextmanager
def turn(folder: Path) -> Iterator[bool]:
    """Wait until no other process of this host has its turn at `folder`, but not for long.

    Yields
    ------
    bool
        Whether it is this one's turn; else it need not wait, or cannot.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, turn(Path(folder)) as is_ours:
    ...     is_ours
    True
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield _is_locked(fd)
    finally:
        os.close(fd)


def _is_locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _can_wait() and _is_locked_in_time(fd)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True


def _can_wait() -> bool:
    """Tell whether a wait can be ended: by an alarm, which nobody else here may have set."""
    is_main = threading.current_thread() is threading.main_thread()
    return (
        is_main
        and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
        and signal.getsignal(signal.SIGALRM) == signal.SIG_DFL
    )


def _is_locked_in_time(fd: int) -> bool:
    is_waiting = True

    def end(number: int, frame: FrameType | None) -> None:
        if is_waiting:
            raise _TooLong

    signal.signal(signal.SIGALRM, end)
    # Again and again: the first alarm may come just before the wait begins.
    signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS, PATIENCE_SECONDS)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        is_waiting = False
    except _TooLong:
        return False
    finally:
        is_waiting = False
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    return True
