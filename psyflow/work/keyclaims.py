"""Who has what, where things are told by their keys: a claim log whose order nobody knows before.

`psyflow.work.claims` deals out the positions of a batch in their order, many at a time. Here,
anybody may claim any keys, and give them back, so an entry names the keys. It is the same log
otherwise: whoever gives its entry the next number is first.

An entry has a record for each of its keys: that it passed from one holder to another, 0 being
nobody. A record counts if the key was with the first one at that point, so all who read the log
come to the same holders; even if a power loss took some entries out of it.

As there may be a million entries, each `PACKED` of them are packed into one file. Where there is a
pack, it counts, and files of its entries do not: they are removed, and somebody who is behind may
then give one of these numbers to an entry once more.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.outcomes.words import Words, decode, encode, whole
from psyflow.pspace.keys import Keys
from psyflow.system.files import link_new
from psyflow.system.reading import read_whole, reopen
from psyflow.work.numbered import NumberedFiles

__all__ = ["NOBODY", "PACKED", "KeyClaims", "Packer", "Transfers", "transfers"]

NOBODY = 0
PACKED = 256
"""Entries in a pack: few enough that reading those without one takes some milliseconds."""

_WORDS = 4

Transfers: TypeAlias = Words
"""Records, shape (n, 4): who had the key, who gets it, and the low and the high half of it."""


def transfers(before: npt.ArrayLike, after: int, keys: Keys) -> Transfers:
    """Return records that keys pass to a holder.

    Parameters
    ----------
    before : int, or sequence of int, shape (n,)
        Who has each of them.
    after : int
        Who gets them.
    keys : ndarray of uint64, shape (n, 2)
    """
    records = np.empty((len(keys), _WORDS), np.uint64)
    records[:, 0], records[:, 1], records[:, 2:] = before, np.uint64(after), keys
    return records


def _pack_path(folder: Path, pack: int) -> Path:
    return folder / f"pack-{pack:06d}"


def _content(path: Path) -> bytes | None:
    try:
        data = read_whole(path)
    except FileNotFoundError:
        return None
    return data[: whole(len(data), _WORDS)]


class KeyClaims:
    """The log in one folder, as one process has read it.

    Parameters
    ----------
    folder : Path

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> mine, theirs = KeyClaims(Path(folder.name)), KeyClaims(Path(folder.name))
    >>> key = np.array([[5, 6]], dtype=np.uint64)
    >>> mine.add(transfers(NOBODY, 1, key)), theirs.add(transfers(NOBODY, 2, key))
    (True, False)
    >>> theirs.news().tolist(), theirs.news().tolist()
    ([[0, 1, 5, 6]], [])
    >>> folder.cleanup()
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = NumberedFiles(folder)
        self._next = 0  # the first number that was not read
        self._n_read = 0  # bytes of the entries before it that are of the same pack

    def add(self, records: Transfers) -> bool:
        """Add an entry, if all others have been read.

        Returns
        -------
        bool
            Whether it counts. If not, others were first; or whether it does is not known, and is
            told by what `news` gives next.
        """
        data = encode(records)
        number, pack = self._next, _pack_path(self.folder, self._next // PACKED)
        if not self._files.add(number, data):
            reopen(self.folder)  # have a file server asked for what is there
            return False
        if pack.exists():
            self._files.path(number).unlink(missing_ok=True)
            return False
        self._went_on(1, len(data))
        return True

    def news(self) -> Transfers:
        """Return the records that came since they were last asked for, shape (n, 4)."""
        pieces, before = [], -1
        while before != self._next:
            before = self._next
            pieces.append(self._piece())
        return decode(b"".join(pieces), _WORDS)

    def _piece(self) -> bytes:
        """Return what follows of the pack that is to be read next, and is there."""
        place = self._next % PACKED
        pack = _pack_path(self.folder, self._next // PACKED)
        entries: list[bytes] = []
        while place + len(entries) < PACKED:
            entry = _content(self._files.path(self._next + len(entries)))
            if entry is None:
                break
            entries.append(entry)
        # In this order: as long as there is no pack, the files are what they were.
        packed = _content(pack)
        if packed is not None:
            data = packed[self._n_read :]
            self._went_on(PACKED - place, 0)
            return data
        data = b"".join(entries)
        self._went_on(len(entries), len(data))
        return data

    def _went_on(self, n_entries: int, n_bytes: int) -> None:
        self._next += n_entries
        self._n_read = 0 if self._next % PACKED == 0 else self._n_read + n_bytes


class Packer:
    """Packs what others and this process have added to a log, from time to time.

    Parameters
    ----------
    folder : Path
        That of the log.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = NumberedFiles(folder)
        self._pack = 0
        self._packing = threading.Lock()

    def pack(self) -> None:
        """Pack all entries that are enough for a pack; any thread may do so."""
        # Whoever removes the folder has no use for packs.
        with self._packing, contextlib.suppress(FileNotFoundError):
            while self._is_packed() or self._made():
                self._remove_entries()
                self._pack += 1

    def _is_packed(self) -> bool:
        return _pack_path(self.folder, self._pack).exists()

    def _numbers(self) -> range:
        return range(self._pack * PACKED, (self._pack + 1) * PACKED)

    def _made(self) -> bool:
        """Make the next pack, and tell whether it is there."""
        if not self._files.path(self._numbers()[-1]).exists():
            return self._is_packed()
        entries = [_content(self._files.path(number)) for number in self._numbers()]
        if None not in entries:
            data = b"".join(entry for entry in entries if entry)
            link_new(_pack_path(self.folder, self._pack), data, durable=False)
        return self._is_packed()

    def _remove_entries(self) -> None:
        # From the first on: where the last is gone, nobody died on the way.
        if self._files.path(self._numbers()[-1]).exists():
            for number in self._numbers():
                self._files.path(number).unlink(missing_ok=True)
