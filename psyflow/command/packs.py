"""Small outputs of many psets, in a few files instead of one folder each.

Each process that runs programs appends to a pack of its own. A record is the head of a folder, one
line of JSON, and then the content of its files, one after the other. A record that was cut off, by
a process that was killed, is at the end of its pack, and is none.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psyflow.command.files import is_inside
from psyflow.command.small import small_files
from psyflow.command.spare import Spare, empty
from psyflow.exceptions import DamagedFileError
from psyflow.system.files import write_all

__all__ = ["FOLDER", "Packs", "Unpacked", "Writer", "has_packs", "outputs", "pack_left", "packer"]

FOLDER = "packs"
_SUFFIX = ".pack"
_SPARE_SUFFIX = ".spare"


@dataclass(frozen=True)
class _Record:
    """Where the files of a folder are: the pack, and where each begins and how long it is.

    Of several of one folder, the latest counts.
    """

    pack: Path
    time: int
    files: tuple[tuple[str, int, int], ...]


class Writer:
    """Puts folders into a pack, which nobody else appends to meanwhile.

    Parameters
    ----------
    root : Path
        The folder of the psets' folders.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER
        # Whether there may be records of earlier evaluations.
        self._has_earlier = self.folder.is_dir()
        self.folder.mkdir(exist_ok=True)
        taken = self._taken()
        self._fd, pack = self._made() if taken is None else taken
        self._forgettable: set[str] = set()
        self.spare = Spare(pack.with_suffix(_SPARE_SUFFIX))

    def close(self) -> None:
        """Let others append to it; the end of the process does so, too."""
        os.close(self._fd)

    def put(
        self,
        folder: Path,
        more: Mapping[str, bytes] | None = None,
        streams: Mapping[str, int] | None = None,
    ) -> bool:
        """Take in a folder, unless there is too much in it; tell whether it was.

        Parameters
        ----------
        folder : Path
            It is gone then.
        more : mapping from str to bytes, optional
            Further files, by their names, for those that are not in the folder.
        streams : mapping from str to int, optional
            Files in it that are open, and their descriptors.
        """
        files = small_files(folder, streams or {})
        if files is None:
            return False
        self._append(folder.name, {**(more or {}), **files})
        self._forgettable.add(folder.name)
        self.spare.take(folder, streams or {})
        return True

    def drop(self, folder: Path, streams: Mapping[str, int] | None = None) -> None:
        """Keep nothing of a folder, nor of what was packed of the same pset."""
        self.spare.take(folder, streams or {})
        self.forget(folder.name)

    def forget(self, name: str) -> None:
        """Note that what may be packed of an earlier evaluation is that of none any more."""
        if self._has_earlier or name in self._forgettable:
            self._append(name, {})

    def _append(self, name: str, files: dict[str, bytes]) -> None:
        sizes = [[file, len(content)] for file, content in files.items()]
        head = json.dumps({"folder": name, "time": time.time_ns(), "files": sizes})
        # In one piece: a pack that is read meanwhile has all of it, or an end that is cut off.
        end = os.lseek(self._fd, 0, os.SEEK_END)
        try:
            write_all(self._fd, b"".join([head.encode(), b"\n", *files.values()]))
        except OSError:
            # The disk may be full. What follows has to follow a whole record.
            os.ftruncate(self._fd, end)
            raise

    def _taken(self) -> tuple[int, Path] | None:
        """Take a pack whose writer has ended; what it was writing then is cut off."""
        for pack in self.folder.glob(f"*{_SUFFIX}"):
            fd = os.open(pack, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(fd, _whole_length(pack))
            # What follows damage may be whole, so such a pack stays as it is.
            except (OSError, DamagedFileError):
                os.close(fd)
                continue
            return fd, pack
        return None

    def _made(self) -> tuple[int, Path]:
        pack = self.folder / f"{os.getpid()}-{os.urandom(4).hex()}{_SUFFIX}"
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(pack, flags, 0o666)
        # On a file system without locks, whoever comes next makes its own.
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return fd, pack


_writers: dict[tuple[int, Path], Writer] = {}


def packer(root: Path) -> Writer:
    """Return what this process puts folders into a pack with; there is one, for all of a run.

    Parameters
    ----------
    root : Path
        The folder of the psets' folders.
    """
    # A child that is forked shares the descriptor with its parent, but must not append to it.
    key = os.getpid(), root
    if key not in _writers:
        _writers[key] = Writer(root)
    return _writers[key]


def pack_left(root: Path, folders: Iterable[Path]) -> None:
    """Pack folders that programs left when their worker was killed, and remove spare ones.

    Parameters
    ----------
    root : Path
        The folder of the psets' folders.
    folders : iterable of Path
        Some of these, in which nobody is at work.
    """
    for folder in folders:
        packer(root).put(folder)
    for spare in (root / FOLDER).glob(f"*{_SPARE_SUFFIX}"):
        shutil.rmtree(spare, ignore_errors=True)


def has_packs(root: Path) -> bool:
    """Tell whether anything of a run was packed."""
    return (root / FOLDER).is_dir()


class Packs:
    """The packs of a run, to read from.

    Parameters
    ----------
    root : Path
        The folder of the psets' folders.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / FOLDER
        self._records: dict[str, _Record] = {}
        self._scratch: Path | None = None
        for pack in sorted(self._folder.glob(f"*{_SUFFIX}")):
            # What was packed before some damage is there all the same.
            with contextlib.suppress(DamagedFileError):
                for head, start in _heads(pack):
                    self._take(pack, head, start)

    def _take(self, pack: Path, head: dict[str, Any], start: int) -> None:
        known = self._records.get(head["folder"])
        if known is not None and known.time >= head["time"]:
            return
        files = []
        for name, size in head["files"]:
            files.append((name, start, size))
            start += size
        self._records[head["folder"]] = _Record(pack, head["time"], tuple(files))

    def __contains__(self, name: object) -> bool:
        record = self._records.get(str(name))
        return record is not None and bool(record.files)

    def unpack(self, name: str, folder: Path, wanted: Collection[str] | None = None) -> None:
        """Write the files of a pset's folder to `folder`, which is there.

        Parameters
        ----------
        name : str
            Of the pset's folder.
        folder : Path
        wanted : collection of str, optional
            Of these files alone.
        """
        record = self._records[name]
        with record.pack.open("rb", buffering=0) as pack:
            for file, start, size in record.files:
                if wanted is not None and file not in wanted:
                    continue
                # A copy of somebody else's folder may name any place.
                if not is_inside(file):
                    raise DamagedFileError(
                        f"{record.pack} has a file that is in no folder: {file}"
                    )
                if os.sep in file:
                    (folder / file).parent.mkdir(parents=True, exist_ok=True)
                with open(f"{folder}/{file}", "wb", buffering=0) as target:  # noqa: PTH123
                    write_all(target.fileno(), os.pread(pack.fileno(), size, start))

    @contextlib.contextmanager
    def unpacked(self, name: str, wanted: Collection[str] | None = None) -> Iterator[Path]:
        """Give a folder with the files of a pset, for a while, and then, empty, for the next one.

        Parameters
        ----------
        name, wanted
            As in `unpack`.
        """
        if self._scratch is None:
            self._scratch = Path(tempfile.mkdtemp(prefix="psyflow-"))
            weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
        try:
            self.unpack(name, self._scratch, wanted)
            yield self._scratch
        finally:
            empty(self._scratch)


@contextlib.contextmanager
def outputs(
    root: Path, name: str, packs: Packs | None = None, wanted: Collection[str] | None = None
) -> Iterator[Path | None]:
    """Give a folder with what the programs of a pset left, for a while; None if there is nothing.

    Parameters
    ----------
    root : Path
        The folder of the psets' folders.
    name : str
        Of the pset's folder.
    packs : Packs, optional
        To look into, if many are looked for.
    wanted : collection of str, optional
        Files that suffice.
    """
    folder = f"{root}/{name}"
    if os.path.isdir(folder):  # noqa: PTH112
        yield Path(folder)
        return
    packs = Packs(root) if packs is None else packs
    if name not in packs:
        yield None
        return
    with packs.unpacked(name, wanted) as unpacked:
        yield unpacked


class Unpacked:
    """Folders of psets by their names, of which those that are packed are unpacked elsewhere.

    What is unpacked goes when this object does.

    Parameters
    ----------
    root : Path
        The folder of the psets' folders.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._temporary: Path | None = None

    def folder(self, name: str) -> Path:
        """Return the folder of a pset; where it would be, if there is nothing of it.

        Parameters
        ----------
        name : str
            Of the pset's folder.
        """
        if (self._root / name).is_dir() or not has_packs(self._root):
            return self._root / name
        if self._temporary is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="psyflow-"))
            weakref.finalize(self, shutil.rmtree, self._temporary, ignore_errors=True)
        target = self._temporary / name
        if not target.is_dir():
            if name not in self._packs:
                return self._root / name
            target.mkdir()
            self._packs.unpack(name, target)
        return target

    @functools.cached_property
    def _packs(self) -> Packs:
        return Packs(self._root)


def _heads(pack: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the head of each whole record, and where its files begin.

    Raises
    ------
    DamagedFileError
        If what should be a head is none, though it is whole.
    """
    with pack.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        while (line := file.readline()).endswith(b"\n"):
            try:
                head = json.loads(line)
                size = sum(size for _, size in head["files"])
                _ = head["folder"], head["time"]
            except (ValueError, TypeError, KeyError):
                raise DamagedFileError(f"{pack} is damaged before byte {file.tell()}.") from None
            start = file.tell()
            if start + size > end:
                return
            yield head, start
            file.seek(start + size)


def _whole_length(pack: Path) -> int:
    """Return where the last whole record of a pack ends."""
    length = 0
    for head, start in _heads(pack):
        length = start + sum(size for _, size in head["files"])
    return length
