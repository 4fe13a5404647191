"""Frames: what a shard is a sequence of.

A frame is a fixed header, the numbers of its items, and a payload::

    magic 8s │ version u16 │ kind u16 │ items u32 │ payload length u64
    payload CRC-32 u32 │ head CRC-32 u32
    item numbers, items × i64
    payload

all little-endian. The head CRC covers the header before it and the item numbers, and begins with
the frame's place in the file. So a reader can tell what is done by skipping from header to header,
a torn tail is seen for what it is, and a damaged frame costs that frame alone: the next magic
whose head CRC fits goes on. A frame in a payload, of a user who computes with shards, fits
nowhere.

The payload of a ``ROWS`` frame is a pickle (psyflow's own file, never a result that users
exchange), the payload of a ``FAILURE`` or ``SKIP`` frame is JSON. Since version 2, lists of Python
numbers are packed in that pickle; version 1 has them as lists, and is still read.

Since version 4, the pickle tells how much memory the rows took.

Since version 5, a ``FAILURE`` or ``SKIP`` frame may hold the records of several items
(`psyflow.outcomes.payloads`); one of a single item is as before.

A ``PACKED`` frame, of version 4, is in no shard, but in a file beside one: see
`psyflow.outcomes.packed`.

A ``REFUSED`` frame, since version 3, has rows that the run's store cannot hold: its payload is the
length and the text of what refused them, and then that of a ``ROWS`` frame. The ``FAILURE`` frame
of the item comes after it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias
from zlib import crc32

import numpy as np
import numpy.typing as npt

from psyflow.exceptions import DamagedFileError
from psyflow.outcomes.states import State
from psyflow.system.oserrors import naming
from psyflow.system.reading import ask_again, no_pipe

__all__ = [
    "FAILURE",
    "MAGIC",
    "PACKED",
    "REFUSED",
    "ROWS",
    "SKIP",
    "STATE_OF_KIND",
    "Frame",
    "FrameFile",
    "encode",
]

MAGIC = b"\x89psyrow\n"
VERSION = 5
READ_VERSIONS = (1, 2, 3, 4, VERSION)
ROWS, FAILURE, SKIP, REFUSED, PACKED = 1, 2, 3, 4, 5
STATE_OF_KIND = {ROWS: State.DONE, FAILURE: State.FAILED, SKIP: State.SKIPPED}
"""What frames make of their items. Rows that were refused come before the failure of theirs."""

# Whoever does not know how rows are written can read all else.
_VERSION_OF_KIND = {ROWS: 4, FAILURE: 2, SKIP: 2, REFUSED: 4, PACKED: 4}
_OF_SEVERAL = {FAILURE: 5, SKIP: 5}
_HEADER = struct.Struct("<8sHHIQI")
_CRC = struct.Struct("<I")
_HEAD = struct.Struct("<8sHHIQII")
_SCAN_BYTES = 1 << 20
_WINDOW_BYTES = 1 << 16

Items: TypeAlias = "npt.NDArray[np.int64]"


class Frame(NamedTuple):
    """Where one frame is, and whose outcomes it holds.

    Attributes
    ----------
    kind : int
        ``ROWS``, ``FAILURE``, ``SKIP``, ``REFUSED`` or ``PACKED``.
    items : ndarray of int64, shape (n,)
    offset, length : int
        Of the payload, in bytes.
    crc : int
        CRC-32 of the payload.
    is_packed : bool
        Whether it is in the file beside the shard.
    """

    kind: int
    items: Items
    offset: int
    length: int
    crc: int
    is_packed: bool = False

    @property
    def end(self) -> int:
        """Where the next frame begins."""
        return self.offset + self.length


def encode(kind: int, items: Items, payload: bytes, position: int) -> bytes:
    """Return the bytes of a frame that begins at `position`."""
    index = np.ascontiguousarray(items, dtype="<i8").tobytes()
    version = _VERSION_OF_KIND[kind]
    if len(items) > 1:
        version = _OF_SEVERAL.get(kind, version)
    header = _HEADER.pack(MAGIC, version, kind, len(items), len(payload), crc32(payload))
    head_crc = _CRC.pack(_head_crc(header, index, position))
    return b"".join((header, head_crc, index, payload))


def _head_crc(header: bytes, index: bytes, position: int) -> int:
    return crc32(index, crc32(header, position & 0xFFFFFFFF))


class FrameFile:
    """A file of frames, open for reading; one may be appended meanwhile.

    Parameters
    ----------
    path : Path
    may_be_missing : bool
        Whether a file server is asked only once for it.

    Attributes
    ----------
    size : int
        How long the file was when it was opened, in bytes.
    """

    def __init__(self, path: Path, *, may_be_missing: bool = False) -> None:
        self.path = path
        self._may_be_missing = may_be_missing
        self._window = b""
        self._window_start = 0

    def __enter__(self) -> FrameFile:
        # Read, not mapped: if a mapped file shrinks or its disk fails, the reader is killed.
        self._fd = self._opened() if self._may_be_missing else ask_again(self._opened, self.path)
        self.size = os.fstat(self._fd).st_size
        return self

    def _opened(self) -> int:
        return os.open(no_pipe(self.path), os.O_RDONLY | os.O_CLOEXEC)

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)

    def frame_at(self, position: int) -> Frame | None:
        """Return the frame that begins at `position`, or None if no whole one does.

        Raises
        ------
        DamagedFileError
            If it is of a later format.
        """
        head = self.read(_HEAD.size, position)
        if len(head) < _HEAD.size or not head.startswith(MAGIC):
            return None
        _, version, kind, n_items, length, crc, head_crc = _HEAD.unpack(head)
        begin = position + _HEAD.size
        offset = begin + 8 * n_items
        if offset + length > self.size:
            return None
        index = self.read(8 * n_items, begin)
        if _head_crc(head[: _HEADER.size], index, position) != head_crc:
            return None
        if version not in READ_VERSIONS:
            raise DamagedFileError(
                f"{self.path} was written in format {version}, and this psyflow reads the formats "
                f"up to {VERSION}. Use the psyflow that wrote it."
            )
        return Frame(kind, np.frombuffer(index, dtype="<i8"), offset, length, crc)

    def next_frame(self, position: int) -> int | None:
        """Return where, from `position` on, the next whole frame begins, or None."""
        return next((at for at in self._magics(position) if self.frame_at(at)), None)

    def is_intact(self, frame: Frame) -> bool:
        """Tell whether the payload of `frame` is what was written."""
        return crc32(self.read(frame.length, frame.offset)) == frame.crc

    def read(self, length: int, position: int) -> bytes:
        """Read `length` bytes from `position` on, fewer at the end of the file."""
        start = position - self._window_start
        if start < 0 or start + length > len(self._window):
            if length > _WINDOW_BYTES:
                return self._read(length, position)
            # Frames are read one after the other, and many are small.
            n_bytes = max(length, min(_WINDOW_BYTES, self.size - position))
            self._window, self._window_start = self._read(n_bytes, position), position
            start = 0
        return self._window[start : start + length]

    def _read(self, length: int, position: int) -> bytes:
        parts = []
        with naming(self.path):
            # One call gives at most 2 GiB.
            while length and (part := os.pread(self._fd, length, position)):
                parts.append(part)
                length, position = length - len(part), position + len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _magics(self, position: int) -> Iterator[int]:
        """Yield where, from `position` on, the bytes of a frame's beginning are."""
        # Stretches overlap by one byte less than the magic, so that each is in one stretch, whole.
        for begin in range(position, self.size, _SCAN_BYTES - len(MAGIC) + 1):
            stretch = self._read(_SCAN_BYTES, begin)
            at = stretch.find(MAGIC)
            while at != -1:
                yield begin + at
                at = stretch.find(MAGIC, at + 1)
