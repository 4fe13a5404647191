"""A folder that is one pset's after the other, where what programs leave goes into packs.

To make a folder with two files, and to remove it, keeps a file system a hundred times as busy as
to give it another name.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from psyflow.command.removal import despite_rights
from psyflow.system.files import rename

__all__ = ["Spare", "empty"]


class Spare:
    """The folder, as long as it is no pset's.

    Parameters
    ----------
    path : Path
        Its name then, which nobody else uses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_there = path.is_dir()
        self._is_shared = False

    def become(self, folder: Path) -> bool:
        """Let it be a pset's; tell whether it is.

        It is not if there is something by that name.
        """
        if not self._is_there or not rename(self.path, folder):
            return False
        self._is_there = False
        return True

    def leave_next(self) -> None:
        """Keep not the next folder that could be taken: somebody may still be at work in it."""
        self._is_shared = True

    def take(self, folder: Path, streams: Mapping[str, int]) -> None:
        """Empty the folder of a pset, and keep it.

        Parameters
        ----------
        folder : Path
        streams : mapping from str to int
            Files in it that stay, empty, and their descriptors.
        """
        if self._is_shared:
            self._is_shared = False
            self._put_aside(folder)
            return
        if not self._is_there:
            empty(folder, streams)
            self._is_there = rename(folder, self.path)
        if folder.is_dir():
            empty(folder)
            folder.rmdir()

    def _put_aside(self, folder: Path) -> None:
        """Remove what goes while somebody is at work there; the rest goes with the spare ones."""
        aside = self.path.with_stem(f"{self.path.stem}-{os.urandom(4).hex()}")
        if rename(folder, aside):
            shutil.rmtree(aside, ignore_errors=True)


def empty(folder: Path, streams: Mapping[str, int] | None = None) -> None:
    """Remove what is in a folder.

    Parameters
    ----------
    folder : Path
    streams : mapping from str to int, optional
        Files in it that stay, empty, and their descriptors.
    """
    despite_rights(folder, lambda: _empty(folder, streams or {}))


def _empty(folder: Path, streams: Mapping[str, int]) -> None:
    with os.scandir(folder) as entries:
        listed = list(entries)
    for entry in listed:
        fd = streams.get(entry.name)
        stat = None if fd is None else os.fstat(fd)
        if fd is not None and stat is not None and stat.st_ino == entry.inode():
            if stat.st_size:
                os.ftruncate(fd, 0)
        elif entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)  # noqa: PTH108
