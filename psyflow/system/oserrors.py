"""What errors of the system mean: full, failing, gone; and which file they are about."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

__all__ = ["is_failing", "is_full", "is_gone", "naming"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FAILING = {errno.EIO, errno.ESTALE, errno.EROFS, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT}


def is_full(error: BaseException) -> bool:
    """Tell whether `error` says that there was no room to write something.

    Examples
    --------
    >>> is_full(OSError(errno.ENOSPC, "No space left on device")), is_full(ValueError())
    (True, False)
    """
    return isinstance(error, OSError) and error.errno in _FULL


def is_failing(error: BaseException) -> bool:
    """Tell whether `error` says that a disk or a file server does not do its work.

    Examples
    --------
    >>> is_failing(OSError(errno.EIO, "Input/output error")), is_failing(FileNotFoundError())
    (True, False)
    """
    return isinstance(error, OSError) and error.errno in _FAILING


def is_gone(error: BaseException) -> bool:
    """Tell whether `error` says that a file is there no more, or no more what was opened."""
    is_stale = isinstance(error, OSError) and error.errno == errno.ESTALE
    return is_stale or isinstance(error, FileNotFoundError)


@contextlib.contextmanager
def naming(path: Path, alias: Path | None = None) -> Iterator[None]:
    """Have errors of the system, which know a file by its number at most, say which one it was.

    Parameters
    ----------
    path : Path
    alias : Path, optional
        A name that `path` has for now, and that nobody knows.

    Examples
    --------
    >>> import os
    >>> with naming(Path("result.npz")):
    ...     os.fsync(9999)
    Traceback (most recent call last):
        ...
    OSError: [Errno 9] Bad file descriptor: 'result.npz'
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise  # one of our own, which says what it is about
        if error.filename is None or (alias is not None and error.filename == str(alias)):
            error.filename = str(path)
        raise
