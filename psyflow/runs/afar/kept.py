"""What psets keep in their folders, on its way to where they are evaluated, and back.

A folder travels as an archive, in pieces: it may be large, and whoever has one piece on the disk
asks for the next.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from psyflow.exceptions import PsyflowError
from psyflow.record.layout import PSET
from psyflow.system.files import make_within
from psyflow.system.unpacking import extract
from psyflow.work.psetfolders import enter

__all__ = ["PIECE_BYTES", "Kept", "lay_out", "pieces_of", "remove_left"]

PIECE_BYTES = 8 << 20


@dataclass(frozen=True)
class Kept:
    """A piece of what is in the folder of a pset.

    Attributes
    ----------
    name : str
        Of the folder.
    journey : str
        What tells the pieces of one journey from those of others.
    data : bytes
    is_last : bool
    """

    name: str
    journey: str
    data: bytes = field(repr=False)
    is_last: bool


def pieces_of(folder: Path, name: str) -> Iterator[Kept]:
    """Yield what is in the folder of a pset; a last piece without anything if it is not there.

    Parameters
    ----------
    folder : Path
    name : str
        What it is called on both sides.

    Raises
    ------
    OSError
        Before the first piece, if anything of it cannot be read.
    """
    journey = os.urandom(8).hex()
    with tempfile.SpooledTemporaryFile(PIECE_BYTES) as file:
        if folder.is_dir():
            with tarfile.open(fileobj=file, mode="w") as archive:
                archive.add(folder, ".", filter=_if_it_can_be_kept)
        end = file.tell()
        file.seek(0)
        while True:
            data = file.read(PIECE_BYTES)
            is_last = file.tell() == end
            yield Kept(name, journey, data, is_last)
            if is_last:
                return


def _if_it_can_be_kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    # A pipe or a device is nothing without the process beside it.
    return entry if entry.isreg() or entry.isdir() or entry.issym() or entry.islnk() else None


def lay_out(kept: Kept, root: Path, translated: Callable[[str], str] = str) -> None:
    """Take a piece; with the last one, have in the folder just what was in it there.

    Parameters
    ----------
    kept : Kept
    root : Path
        The folder of the psets' folders.
    translated : callable
        Returns where a link is to lead here.
    """
    if not PSET.fullmatch(kept.name):
        raise PsyflowError(f"What a worker sends as the folder of a pset is {kept.name!r}.")
    make_within(root.parent, root.name)
    archive = root / f".{kept.name}.{kept.journey}.tar"
    with archive.open("ab") as file:
        file.write(kept.data)
    if not kept.is_last:
        return
    new = archive.with_suffix("")
    place, lock = enter(root, kept.name)
    try:
        if archive.stat().st_size:
            new.mkdir()
            _extract(archive, new, translated)
            _replace(place, new)
        elif place.is_dir():
            shutil.rmtree(place)
    finally:
        lock.leave()
        shutil.rmtree(new, ignore_errors=True)
        archive.unlink()


def _extract(archive: Path, folder: Path, translated: Callable[[str], str]) -> None:
    with tarfile.open(archive) as entries:
        # Links last, so that nothing is written through one.
        links = [entry for entry in entries if entry.issym()]
        others = [entry for entry in entries if not entry.issym()]
        extract(entries, folder, others)
        for link in links:
            path = Path(os.path.normpath(folder / link.name))
            if path.is_relative_to(folder):
                path.symlink_to(translated(link.linkname))


def _replace(place: Path, new: Path) -> None:
    """Have a folder in the place of another one, of which no file is missing meanwhile."""
    if not place.exists():
        new.rename(place)
        return
    there = {path.name: path for path in new.iterdir()}
    for path in place.iterdir():
        if path.name not in there or _is_folder(path) != _is_folder(there[path.name]):
            shutil.rmtree(path) if _is_folder(path) else path.unlink()
    for name, path in there.items():
        if _is_folder(path):
            _replace(place / name, path)
        else:
            path.replace(place / name)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def remove_left(root: Path) -> None:
    """Remove pieces of journeys that were interrupted.

    Parameters
    ----------
    root : Path
        The folder of the psets' folders, to which nothing is on its way.
    """
    for archive in root.glob(".*.tar"):
        name, _, _journey = archive.stem.removeprefix(".").rpartition(".")
        if PSET.fullmatch(name):
            shutil.rmtree(archive.with_suffix(""), ignore_errors=True)
            with contextlib.suppress(OSError):
                archive.unlink()
