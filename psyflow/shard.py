"""Shards: a worker's own append-only, checksummed file of outcomes.

A shard is a sequence of frames. A frame is a fixed header, the numbers of its items, and a payload::

    magic 8s │ version u16 │ kind u16 │ items u32 │ payload length u64 │ payload CRC-32 u32 │ head CRC-32 u32
    item numbers, items × i64
    payload

all little-endian. The head CRC covers the header before it and the item numbers. So a reader can tell
what is done by skipping from header to header, a torn tail is seen for what it is, and a damaged frame
costs that frame alone: the next magic whose head CRC fits goes on.

The payload of a ``ROWS`` frame is a pickle (psyflow's own file, never a result that users exchange), the
payload of a ``FAILURE`` frame is JSON.
"""

from __future__ import annotations

import json
import mmap
import os
import pickle
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Columns
from psyflow.exceptions import DamagedFileError, DamagedShardWarning
from psyflow.files import make_folder, sync_file, sync_folder

__all__ = [
    "FAILURE",
    "ROWS",
    "Failure",
    "Frame",
    "Rows",
    "ShardReader",
    "ShardWriter",
]

MAGIC = b"\x89psyrow\n"
VERSION = 1
ROWS, FAILURE = 1, 2
_HEADER = struct.Struct("<8sHHIQI")
_CRC = struct.Struct("<I")
_HEAD_LENGTH = _HEADER.size + _CRC.size

Items = npt.NDArray[np.int64]


@dataclass
class Rows:
    """Result rows of some items, with their bookkeeping.

    Attributes
    ----------
    items : ndarray of int64, shape (n,)
        Item numbers.
    columns : mapping from str to column of length n
        What the function returned.
    start, duration : ndarray of float64, shape (n,)
        Seconds since 1970, and seconds.
    attempt : ndarray of int16, shape (n,)
    host : str
    pid : int
    """

    items: Items
    columns: Columns
    start: npt.NDArray[np.float64]
    duration: npt.NDArray[np.float64]
    attempt: npt.NDArray[np.int16]
    host: str
    pid: int


@dataclass
class Failure:
    """What became of an item that has no result.

    Attributes
    ----------
    item : int
    kind : str
        ``"error"`` (an exception), ``"crash"`` (its process died), ``"timeout"``, or ``"result"``
        (what it returned is no dict, or nothing that the store can hold).
    exception : str
        The exception's type and message, or what happened instead.
    traceback : str
    pset : dict from str to str
        The ``repr`` of each parameter.
    start, duration : float
        Seconds since 1970, and seconds.
    attempt : int
    host : str
    pid : int
    """

    item: int
    kind: str
    exception: str
    traceback: str = ""
    pset: dict[str, str] = field(default_factory=dict)
    start: float = 0.0
    duration: float = 0.0
    attempt: int = 1
    host: str = ""
    pid: int = 0


@dataclass(frozen=True)
class Frame:
    """Where one frame is, and whose outcomes it holds.

    Attributes
    ----------
    kind : int
        ``ROWS`` or ``FAILURE``.
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


def _encode(kind: int, items: Items, payload: bytes) -> bytes:
    index = np.ascontiguousarray(items, dtype="<i8").tobytes()
    header = _HEADER.pack(MAGIC, VERSION, kind, len(items), len(payload), zlib.crc32(payload))
    return b"".join((header, _CRC.pack(zlib.crc32(index, zlib.crc32(header))), index, payload))


class ShardWriter:
    """Appends frames to a new file of its own.

    The file is made with the first frame, so a worker without outcomes leaves none.

    Parameters
    ----------
    path : Path
        Must not exist: one shard has one writer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        self._end = 0
        self._synced = True

    def write_rows(self, rows: Rows) -> int:
        """Append result rows and return the payload's length in bytes.

        Raises
        ------
        Exception
            What pickling raises if a value cannot be pickled; nothing is written then.
        """
        fields = {k: v for k, v in vars(rows).items() if k != "items"}
        payload = pickle.dumps(fields, protocol=5)
        self._append(_encode(ROWS, rows.items, payload))
        return len(payload)

    def write_failure(self, failure: Failure) -> None:
        """Append a failure."""
        payload = json.dumps(asdict(failure)).encode()
        self._append(_encode(FAILURE, np.array([failure.item], dtype=np.int64), payload))

    def sync(self) -> None:
        """Return when all that was written is on the disk."""
        if self._fd is not None and not self._synced:
            sync_file(self._fd)
            self._synced = True

    def close(self) -> None:
        """Sync and close."""
        if self._fd is not None:
            self.sync()
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _open(self) -> int:
        make_folder(self.path.parent)
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        sync_folder(self.path.parent)
        return fd

    def _append(self, data: bytes) -> None:
        if self._fd is None:
            self._fd = self._open()
        view = memoryview(data)
        self._synced = False
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            # A full disk may have taken half a frame; the next one must follow a whole one.
            os.ftruncate(self._fd, self._end)
            os.lseek(self._fd, self._end, os.SEEK_SET)
            raise
        self._end += len(data)


class ShardReader:
    """Reads the frames of a shard, also while its worker goes on writing.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    end : int
        Offset behind the last whole frame that was seen; a later `new_frames` goes on there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.end = 0

    def new_frames(self) -> list[Frame]:
        """Return the frames that came since the last call.

        A damaged frame is skipped with a DamagedShardWarning; half a frame at the end, still being
        written or torn, waits for the next call.
        """
        with self.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= self.end:
                return []
            with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
                return list(self._scan(data, size))

    def rows(self, frame: Frame) -> Rows:
        """Read the result rows of a ``ROWS`` frame.

        Raises
        ------
        DamagedFileError
            If the payload is not what was written.
        """
        return Rows(items=frame.items, **pickle.loads(self._payload(frame)))

    def failure(self, frame: Frame) -> Failure:
        """Read the failure of a ``FAILURE`` frame.

        Raises
        ------
        DamagedFileError
            If the payload is not what was written.
        """
        return Failure(**json.loads(self._payload(frame)))

    def is_intact(self, frame: Frame) -> bool:
        """Tell whether the payload of `frame` is what was written."""
        try:
            self._payload(frame)
        except DamagedFileError:
            return False
        return True

    def _payload(self, frame: Frame) -> bytes:
        with self.path.open("rb") as file:
            payload = os.pread(file.fileno(), frame.length, frame.offset)
        if len(payload) != frame.length or zlib.crc32(payload) != frame.crc:
            raise DamagedFileError(
                f"{self.path}: the frame at byte {frame.offset} is damaged; "
                f"its {len(frame.items)} items have to run again."
            )
        return payload

    def _scan(self, data: mmap.mmap, size: int) -> Iterator[Frame]:
        position = self.end
        while position < size:
            frame = _frame_at(data, position, size)
            if frame is None:
                following = _next_frame(data, position + 1, size)
                if following is None:
                    return
                warnings.warn(
                    f"{self.path}: bytes {position} to {following} are damaged; "
                    f"the items in them run again.",
                    DamagedShardWarning,
                    stacklevel=4,
                )
                position = self.end = following
                continue
            yield frame
            position = self.end = frame.offset + frame.length


def _frame_at(data: mmap.mmap, position: int, size: int) -> Frame | None:
    """Return the frame that begins at `position`, or None if no whole one does."""
    head_end = position + _HEAD_LENGTH
    if head_end > size:
        return None
    header = data[position : position + _HEADER.size]
    magic, version, kind, n_items, length, crc = _HEADER.unpack(header)
    index_end = head_end + 8 * n_items
    if magic != MAGIC or index_end + length > size:
        return None
    index = data[head_end:index_end]
    (head_crc,) = _CRC.unpack(data[position + _HEADER.size : head_end])
    if zlib.crc32(index, zlib.crc32(header)) != head_crc:
        return None
    if version != VERSION:
        raise DamagedFileError(
            f"This shard was written in format {version}, and this psyflow reads format {VERSION}. "
            f"Use the psyflow that wrote it."
        )
    return Frame(kind, np.frombuffer(index, dtype="<i8"), index_end, length, crc)


def _next_frame(data: mmap.mmap, position: int, size: int) -> int | None:
    """Return where the next whole frame begins, or None."""
    while (position := data.find(MAGIC, position)) != -1:
        if _frame_at(data, position, size) is not None:
            return position
        position += 1
    return None


def pset_repr(pset: Mapping[str, Any], limit: int = 500) -> dict[str, str]:
    """Return the ``repr`` of each value, cut to `limit` characters, for failure records."""
    texts = {name: repr(value) for name, value in pset.items()}
    return {n: t if len(t) <= limit else f"{t[: limit - 1]}…" for n, t in texts.items()}
