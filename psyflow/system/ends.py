"""Ends of pipes that are for one process alone, though a fork has all that its parent has.

Whoever waits for the end of a pipe waits for every process that has the other one. In a process
with several threads, any may fork while another one keeps such a pipe: two maps side by side, or a
pool of the user's. So these ends are noted, and who is forked lets go of them.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Collection, Iterator
from typing import TypeVar

from psyflow.system.identity import FileId, identity_of

__all__ = ["close_end", "forked", "let_go", "noting"]

T = TypeVar("T")

_lock = threading.RLock()
_ends: dict[int, FileId | None] = {}
_is_ours = False
_heeds_forks = False


@contextlib.contextmanager
def noting() -> Iterator[Callable[[int], None]]:
    """Give what notes a descriptor that is made in the block; meanwhile, nobody forks."""
    global _heeds_forks
    with _lock:
        if not _heeds_forks:
            os.register_at_fork(
                before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_be_forked
            )
            _heeds_forks = True
        yield lambda fd: _ends.update({fd: identity_of(fd)})


def forked(fork: Callable[[], T]) -> T:
    """Fork a process that has the ends until it lets go of them, or runs another program.

    Parameters
    ----------
    fork : callable
        Forks, and returns what is returned.
    """
    global _is_ours
    with _lock:
        _is_ours = True
        try:
            return fork()
        finally:
            _is_ours = False


def _be_forked() -> None:
    # The child of somebody else, such as of a pool of the user's, has no use for any.
    try:
        if not _is_ours:
            let_go()
    finally:
        _lock.release()


def let_go(but: Collection[int] = ()) -> None:
    """Let go, in a fork, of all ends but some, which are this process's now."""
    others = {fd: end for fd, end in _ends.items() if fd not in but}
    for fd, end in others.items():
        # Somebody may have closed it, and opened something else by its number.
        if identity_of(fd) == end:
            _give_up(fd)
        del _ends[fd]


def _give_up(fd: int) -> None:
    os.close(fd)
    # Who still has the number is to close nothing else with it. As one was closed just now, there
    # may be another one, however many this process has.
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    if nothing != fd:
        os.dup2(nothing, fd, inheritable=False)
        os.close(nothing)


def close_end(fd: int, close: Callable[[], None] | None = None) -> None:
    """Close an end.

    Parameters
    ----------
    fd : int
    close : callable, optional
        Closes it.
    """
    with _lock:
        _ends.pop(fd, None)
        os.close(fd) if close is None else close()
