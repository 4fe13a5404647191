"""Folders, told from their copies.

A study is copied, moved, linked to and synchronised, and its records travel with it. What a record
says of places and processes is true only in the folder that it was written in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psyflow.system.files import link_new
from psyflow.system.reading import ask_again

__all__ = ["Place", "absolute", "is_same_file"]

_ID_FILE = "folder.id"


@dataclass(frozen=True)
class Place:
    """A folder as a record names it, to be told from every copy of it.

    A folder keeps its inode when it is renamed or moved, and a copy has one of its own. Numbers of
    devices differ between hosts, and on network file systems between one mount and the next; where
    they do, an equal inode may be chance, so something else has to be equal, too: the path, or the
    time at which the file with the folder's id was made, which no copy can have.

    Attributes
    ----------
    path : str
        Where the folder was, links resolved.
    device, inode : int
    id : str
        Random; the folder keeps it in a file. Empty if it has none.
    made : int
        When that file was made or its rights were changed (ns since 1970); 0 without a file.
    """

    path: str
    device: int
    inode: int
    id: str = ""
    made: int = 0

    @classmethod
    def of(cls, folder: Path) -> Place | None:
        """Return what `folder` is now; None if there is no such folder."""
        try:
            stat = folder.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        name, made = _id_of(folder)
        return cls(os.path.realpath(folder), stat.st_dev, stat.st_ino, name, made)

    @classmethod
    def marked(cls, folder: Path) -> Place:
        """Return what `folder` is, having given it an id if it has none."""
        # Whoever else does so at the same time may be first, and both see the same id.
        if not (folder / _ID_FILE).exists():
            link_new(folder / _ID_FILE, os.urandom(16).hex().encode())
        place = cls.of(folder)
        if place is None:
            raise FileNotFoundError(f"{folder} is gone.")
        return place

    @classmethod
    def from_json(cls, fields: Mapping[str, Any] | None) -> Place | None:
        """Return what a record says; None if it says nothing, as those of old do."""
        if fields is None:
            return None
        known = {name: fields[name] for name in cls.__dataclass_fields__ if name in fields}
        return cls(**known)

    def is_here(self, folder: Path) -> bool:
        """Tell whether `folder` is the folder that this names, and no copy of it.

        Examples
        --------
        >>> import shutil, tempfile
        >>> with tempfile.TemporaryDirectory() as top:
        ...     study = Path(top, "study")
        ...     study.mkdir()
        ...     place = Place.marked(study)
        ...     copy = Path(shutil.copytree(study, Path(top, "copy")))
        ...     moved = study.rename(Path(top, "moved"))
        ...     place.is_here(copy), place.is_here(moved)
        (False, True)
        """
        here = Place.of(folder)
        if here is None or here.inode != self.inode or (self.id and here.id != self.id):
            return False
        return (
            here.device == self.device
            or here.path == self.path
            or (self.made != 0 and here.made == self.made)
        )


def _id_of(folder: Path) -> tuple[str, int]:
    try:
        file = folder / _ID_FILE
        return ask_again(file.read_text, file), file.stat().st_ctime_ns
    except (FileNotFoundError, UnicodeDecodeError):
        return "", 0


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path; links are not followed: things are where their user sees them."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def is_same_file(a: Path, b: Path) -> bool:
    """Tell whether two paths lead to the same file or folder, which need not exist yet.

    Examples
    --------
    >>> is_same_file(Path("/usr/bin"), Path("/usr/lib/../bin"))
    True
    """
    if absolute(a) == absolute(b):
        return True
    try:
        return a.samefile(b)
    except (FileNotFoundError, NotADirectoryError):
        if a.exists() or b.exists() or a.name != b.name or a.parent == a:
            return False
        return is_same_file(a.parent, b.parent)
