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

A ``REFUSED`` frame, since version 3, has rows that the run's store cannot hold: its payload is the
length and the text of what refused them, and then that of a ``ROWS`` frame. The ``FAILURE`` frame
of the item comes after it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt

from psyflow.exceptions import DamagedFileError
from psyflow.outcomes.states import State

__all__ = [
    "FAILURE",
    "MAGIC",
    "REFUSED",
    "ROWS",
    "SKIP",
    "STATE_OF_KIND",
    "Frame",
    "encode",
    "frame_at",
    "next_frame",
    "read_bytes",
]

MAGIC = b"\x89psyrow\n"
VERSION = 4
READ_VERSIONS = (1, 2, 3, VERSION)
ROWS, FAILURE, SKIP, REFUSED = 1, 2, 3, 4
STATE_OF_KIND = {ROWS: State.DONE, FAILURE: State.FAILED, SKIP: State.SKIPPED}
"""What frames make of their items. Rows that were refused come before the failure of theirs."""

# Whoever does not know how rows are written can read all else.
_VERSION_OF_KIND = {ROWS: 4, FAILURE: 2, SKIP: 2, REFUSED: 4}
_HEADER = struct.Struct("<8sHHIQI")
_CRC = struct.Struct("<I")
_HEAD_LENGTH = _HEADER.size + _CRC.size
_SCAN_BYTES = 1 << 20

Items = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Frame:
    """Where one frame is, and whose outcomes it holds.

    Attributes
    ----------
    kind : int
        ``ROWS``, ``FAILURE``, ``SKIP`` or ``REFUSED``.
    items : ndarray of int64, shape (n,)
    offset, length : int
        Of the payload, in bytes.
    crc : int
        CRC-32 of the payload.
    """

    kind: int
    items: Items
    offset: int
    length: int
    crc: int


def encode(kind: int, items: Items, payload: bytes, position: int) -> bytes:
    """Return the bytes of a frame that begins at `position`."""
    index = np.ascontiguousarray(items, dtype="<i8").tobytes()
    header = _HEADER.pack(
        MAGIC, _VERSION_OF_KIND[kind], kind, len(items), len(payload), crc32(payload)
    )
    head_crc = _CRC.pack(_head_crc(header, index, position))
    return b"".join((header, head_crc, index, payload))


def _head_crc(header: bytes, index: bytes, position: int) -> int:
    return crc32(index, crc32(header, position & 0xFFFFFFFF))


def frame_at(fd: int, position: int, size: int, path: Path) -> Frame | None:
    """Return the frame that begins at `position` of a file, or None if no whole one does.

    Parameters
    ----------
    fd : int
    position, size : int
        Where, and how long the file is, in bytes.
    path : Path
        The file, for what is said of it.

    Raises
    ------
    DamagedFileError
        If it is of a later format.
    """
    head = read_bytes(fd, _HEAD_LENGTH, position)
    if len(head) < _HEAD_LENGTH or not head.startswith(MAGIC):
        return None
    header, head_crc = head[: _HEADER.size], head[_HEADER.size :]
    _, version, kind, n_items, length, crc = _HEADER.unpack(header)
    offset = position + _HEAD_LENGTH + 8 * n_items
    if offset + length > size:
        return None
    index = read_bytes(fd, 8 * n_items, position + _HEAD_LENGTH)
    if _CRC.pack(_head_crc(header, index, position)) != head_crc:
        return None
    if version not in READ_VERSIONS:
        raise DamagedFileError(
            f"{path} was written in format {version}, and this psyflow reads the formats "
            f"up to {VERSION}. Use the psyflow that wrote it."
        )
    return Frame(kind, np.frombuffer(index, dtype="<i8"), offset, length, crc)


def next_frame(fd: int, position: int, size: int, path: Path) -> int | None:
    """Return where the next whole frame begins, or None; the arguments are those of `frame_at`."""
    begins = (at for at in _magics(fd, position, size) if frame_at(fd, at, size, path))
    return next(begins, None)


def read_bytes(fd: int, length: int, offset: int) -> bytes:
    """Read `length` bytes, fewer at the end of the file; one call gives at most 2 GiB."""
    parts = []
    while length and (part := os.pread(fd, length, offset)):
        parts.append(part)
        length, offset = length - len(part), offset + len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _magics(fd: int, position: int, size: int) -> Iterator[int]:
    """Yield where, from `position` on, the bytes of a frame's beginning are."""
    # Stretches overlap by one byte less than the magic, so that each is in one stretch, whole.
    for begin in range(position, size, _SCAN_BYTES - len(MAGIC) + 1):
        stretch = read_bytes(fd, _SCAN_BYTES, begin)
        at = stretch.find(MAGIC)
        while at != -1:
            yield begin + at
            at = stretch.find(MAGIC, at + 1)
