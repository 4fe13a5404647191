"""Descriptors of files that the user's code is to leave alone."""

from __future__ import annotations

import fcntl
import os

__all__ = ["moved_up"]

_HIGH = 200
"""Numbers above this are hardly ever closed by the user's code, or given to other files."""


def moved_up(fd: int) -> int:
    """Return a descriptor of a high number, if there is one, in place of `fd`, which is closed.

    Examples
    --------
    >>> fd = moved_up(os.open(".", os.O_RDONLY))
    >>> fd >= 200
    True
    >>> os.close(fd)
    """
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError:
        return os.dup(fd)
    finally:
        os.close(fd)
