"""The folders in which psets keep things, each used by one evaluation at a time.

The folder of a pset is named by its key, so that a later evaluation finds what an earlier one
left. Psets that are repeated in a space have one each, by the number of the repetition. Besides,
a folder is locked while it is used: an evaluation whose job only seemed to have ended may be at
work in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psyflow.pspace import ParameterSpace
from psyflow.pspace.identity import identity_keys
from psyflow.pspace.keys import occurrences
from psyflow.system.identity import identity, identity_of

__all__ = ["Lock", "Repetitions", "enter", "folder_name", "note_item", "noted_items"]

_ITEM = ".item"


def folder_name(key: tuple[int, int], repetition: int = 0) -> str:
    """Return the name of a pset's folder.

    Examples
    --------
    >>> folder_name((1, 0xF)), folder_name((1, 0xF), 2)
    ('000000000000000f0000000000000001', '000000000000000f0000000000000001-2')
    """
    low, high = key
    return f"{high:016x}{low:016x}" + (f"-{repetition}" if repetition else "")


class Repetitions:
    """Tells of each item how many items before it have the same pset.

    Parameters
    ----------
    space : ParameterSpace
    defaults : mapping
        Values of parameters that do not count for what a pset is.

    Examples
    --------
    >>> from psyflow import Param
    >>> repetitions = Repetitions(Param(a=[1, 2, 1, 1]), {})
    >>> [repetitions.of(item) for item in range(4)]
    [0, 0, 1, 2]
    """

    def __init__(self, space: ParameterSpace, defaults: Mapping[str, Any]) -> None:
        numbers = occurrences(identity_keys(space, defaults))
        self._numbers = numbers if numbers.any() else None

    def of(self, item: int) -> int:
        """Return the number of an item's repetition, from 0."""
        return 0 if self._numbers is None else int(self._numbers[item])


class Lock:
    """What keeps other processes from a folder, until this one leaves it or ends.

    Parameters
    ----------
    path : Path
        The file that is locked; it is there as long as the lock is.
    fd : int
        Its descriptor.
    """

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd
        self._file = identity_of(fd)

    @classmethod
    def take(cls, path: Path) -> Lock | None:
        """Lock a file that is made for that; None if somebody else has locked it."""
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                # Not `flock`: children that outlive an evaluation must not have it, too.
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                os.close(fd)
                return None
            except OSError:
                pass  # a file system without locks: nobody can be asked
            if identity(path) == identity_of(fd):
                return cls(path, fd)
            os.close(fd)  # whoever had locked it has just removed it

    def leave(self) -> None:
        """Unlock it."""
        # The user's code may have closed it, and opened another file under its number.
        if identity_of(self._fd) == self._file:
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(self._fd)


def enter(root: Path, name: str) -> tuple[Path, Lock]:
    """Take a pset's folder, or the next one that is free, and return it with its lock.

    Parameters
    ----------
    root : Path
        The folder of the psets' folders.
    name : str
        See `folder_name`; a number, or a higher one, is added if another evaluation is at work
        in it.
    """
    number = int(name.partition(".")[2] or 0)
    while (lock := Lock.take(root / f".{name}.lock")) is None:
        number += 1
        name = f"{name.partition('.')[0]}.{number}"
    return root / name, lock


def note_item(root: Path, item: int, name: str) -> None:
    """Note whose folder it is, for who knows items and no keys.

    Parameters
    ----------
    root : Path
        The folder of the psets' folders.
    item : int
    name : str
        Of its folder.
    """
    link = root / f".{item}{_ITEM}"
    link.unlink(missing_ok=True)
    link.symlink_to(name)


def noted_items(root: Path) -> dict[int, Path]:
    """Return the notes of `note_item`, which lead to the folders, by the items."""
    notes = root.glob(f".*{_ITEM}")
    return {int(note.stem.removeprefix(".")): note for note in notes}
