"""Keys of what is done: a file for each process that says so, and all of them together.

Each file has one writer, which appends, as a shard has; but there is nothing to tell of an outcome
besides its key, and there may be a million of them.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from psyflow.exceptions import LaterFormatError
from psyflow.outcomes.words import Words, decode, encode, whole
from psyflow.pspace.keys import Keys, no_keys
from psyflow.system.files import sync_file, sync_folder, write_all
from psyflow.system.oserrors import naming

__all__ = ["KeyFile", "KeyFiles"]

_MAGIC = 0x0A7379656B797370  # "psykeys\n"
_VERSION = 1
_WORDS = 2
_HEADER = encode(np.array([[_MAGIC, _VERSION]], dtype=np.uint64))


class KeyFile:
    """Appends keys to a file of its own.

    The file is made with the first keys.

    Parameters
    ----------
    path : Path
        Must not exist: one file has one writer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        self._end = 0
        self._is_synced = True
        self._closing = threading.Lock()  # while another thread syncs

    def write(self, keys: Keys) -> None:
        """Append keys; what is killed after that, loses none of them."""
        data = encode(keys)
        with naming(self.path):
            if self._fd is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
                self._fd = os.open(self.path, flags, 0o666)
                data = _HEADER + data
            try:
                write_all(self._fd, data)
            except OSError:
                # A full disk may have taken half a record; the next one must follow a whole one.
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, self._end)
                raise
        self._end += len(data)
        self._is_synced = False

    def sync(self) -> None:
        """Return when all that was written is on the disk."""
        if self._is_synced:
            return
        with self._closing:
            fd = None if self._fd is None else os.dup(self._fd)
        if fd is None:
            return
        self._is_synced = True  # before: another thread may write meanwhile
        try:
            with naming(self.path):
                sync_file(fd)
        finally:
            os.close(fd)
        sync_folder(self.path.parent)

    def close(self) -> None:
        """Sync and close."""
        try:
            self.sync()
        finally:
            with self._closing:
                fd, self._fd = self._fd, None
                if fd is not None:
                    os.close(fd)


class KeyFiles:
    """All files of keys in a folder, as one process has read them.

    Parameters
    ----------
    folder : Path

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file, files = KeyFile(Path(folder, "a")), KeyFiles(Path(folder))
    ...     file.write(np.array([[1, 2], [3, 4]], dtype=np.uint64))
    ...     files.news().tolist(), files.news().tolist()
    ...     file.close()
    ([[1, 2], [3, 4]], [])
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ends: dict[str, int] = {}

    def news(self) -> Keys:
        """Return the keys that came since they were last asked for, shape (n, 2).

        Raises
        ------
        LaterFormatError
            If a later psyflow wrote some of them.
        """
        return np.concatenate([no_keys(0), *self._news()])

    def _news(self) -> Iterator[Words]:
        with os.scandir(self.folder) as entries:
            grown = [e for e in entries if e.stat().st_size > self._ends.get(e.name, 0)]
        for entry in grown:
            begin = self._ends.get(entry.name, 0)
            with Path(entry.path).open("rb") as file:
                file.seek(begin)
                data = file.read()
            self._ends[entry.name] = begin + whole(len(data), _WORDS)
            yield decode(data, _WORDS) if begin else _without_header(data, entry.path)


def _without_header(data: bytes, path: str) -> Words:
    records = decode(data, _WORDS)
    if len(records) and records[0, 0] == _MAGIC:
        if records[0, 1] > _VERSION:
            raise LaterFormatError(
                f"{path} was written in format {records[0, 1]}, and this psyflow reads format "
                f"{_VERSION}. Use the psyflow that wrote it."
            )
        return records[1:]
    return records
