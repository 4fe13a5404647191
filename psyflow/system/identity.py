"""Which file it is, whatever its name."""

from __future__ import annotations

import os
from os import fstat
from pathlib import Path
from typing import TypeAlias

__all__ = ["FileId", "OpenFolder", "identity", "identity_of"]

FileId: TypeAlias = tuple[int, int]


def identity(path: Path) -> FileId | None:
    """Return what tells a file or folder from all others; None if nothing has that name."""
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return stat.st_dev, stat.st_ino


def identity_of(fd: int) -> FileId | None:
    """Return the same of the file that a number stands for; None if it stands for none."""
    # Not by way of `os`, in which the user's code may have replaced it.
    try:
        stat = fstat(fd)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


class OpenFolder:
    """A folder that is known wherever it is moved.

    Parameters
    ----------
    path : Path

    Raises
    ------
    FileNotFoundError
        If it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        self._id = identity_of(self._fd)

    def fd(self) -> int:
        """Return its descriptor."""
        # The user's code may have closed it, and opened another file under its number.
        if identity_of(self._fd) != self._id:
            self._fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
            self._id = identity_of(self._fd)
        return self._fd

    def close(self) -> None:
        """Let go of it."""
        if identity_of(self._fd) == self._id:
            os.close(self._fd)
