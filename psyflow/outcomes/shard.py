"""Shards: a worker's own append-only, checksummed file of outcomes.

A shard is a sequence of frames (`psyflow.outcomes.frames`). The payload of those with rows is a
pickle, psyflow's own file and never a result that users exchange; that of failures is JSON.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import struct
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from os import SEEK_END, ftruncate, lseek
from pathlib import Path
from typing import TypeAlias
from zlib import crc32

import numpy as np
import numpy.typing as npt

from psyflow.exceptions import DamagedFileError, DamagedShardWarning, UnsupportedDataError
from psyflow.outcomes.beside import packed_file
from psyflow.outcomes.frames import (
    FAILURE,
    REFUSED,
    ROWS,
    SKIP,
    STATE_OF_KIND,
    Frame,
    FrameFile,
    encode,
)
from psyflow.outcomes.packed import Pack, Packer, PackReader
from psyflow.outcomes.payloads import New, failure_frames, fields_of, payload_of
from psyflow.outcomes.records import Failure, Rows
from psyflow.system.files import make_within, sync_file, write_all
from psyflow.system.identity import FileId, OpenFolder, identity_of
from psyflow.system.oserrors import naming
from psyflow.system.trust import Origin, is_own, unpickled

__all__ = [
    "FAILURE",
    "REFUSED",
    "ROWS",
    "SKIP",
    "STATE_OF_KIND",
    "Frame",
    "ShardReader",
    "ShardWriter",
]

_NAME_LENGTH = struct.Struct("<I")
_NAME_BYTES = 1 << 12
# What is new in a shard is looked for in the file beside it if it is more than this, in bytes.
_PACKED_FROM = 1 << 12

Items: TypeAlias = "npt.NDArray[np.int64]"


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
        self._folder: OpenFolder | None = None
        self._fd: int | None = None
        self._file: FileId | None = None
        self._end = 0
        self._is_named = False
        self._synced = True
        self._packer = Packer(packed_file(path), payload_of)

    def write_rows(self, rows: Rows) -> int:
        """Append result rows and return the payload's length in bytes.

        Raises
        ------
        UnsupportedDataError
            If a value cannot be pickled; nothing is written then.
        """
        try:
            payload = payload_of(rows)
        except Exception as error:
            # The values are the user's, and so may be what pickling them raises.
            raise UnsupportedDataError(f"A result cannot be pickled: {error!r}") from error
        if rows.refused_by:
            name = rows.refused_by.encode()[: _NAME_BYTES - _NAME_LENGTH.size]
            payload = _NAME_LENGTH.pack(len(name)) + name + payload
            self._append(New(REFUSED, rows.items, payload))
        else:
            self._append(New(ROWS, rows.items, payload, rows))
        return len(payload)

    def write_failure(self, failure: Failure) -> None:
        """Append a failure, or that an item is skipped."""
        self.write_failures([failure])

    def write_failures(self, failures: Sequence[Failure]) -> None:
        """Append failures and skips, all or none of them."""
        self._append(*failure_frames(failures))

    def write_frame(self, frame: Frame, payload: bytes) -> None:
        """Append a frame of another shard as it is."""
        self._append(New(frame.kind, frame.items, payload))

    def sync(self) -> None:
        """Return when all that was written is on the disk."""
        if self._fd is not None and not self._synced:
            with naming(self.path):
                sync_file(self._fd)
            self._synced = True
            self._pack()

    def _pack(self, *, is_last: bool = False) -> None:
        if self._folder is not None:
            self._packer.write(self._folder, is_last=is_last)

    def close(self) -> None:
        """Sync and close."""
        try:
            self._close_file()
        finally:
            self._close_folder()

    def _close_file(self) -> None:
        if self._fd is None:
            return
        fd = self._fd
        try:
            self.sync()
            self._pack(is_last=True)
        except BaseException:
            # That closing fails, too, must not be all that is told.
            with contextlib.suppress(OSError):
                os.close(fd)
            raise
        finally:
            self._fd = None
        with naming(self.path):
            os.close(fd)

    def _close_folder(self) -> None:
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def leave(self) -> None:
        """Let go of the file in a child of this process, which has no part in it."""
        self._close_folder()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> ShardWriter:
        # The study may be moved before there is an outcome, and the shard belongs to it.
        with contextlib.suppress(FileNotFoundError):
            self._folder = OpenFolder(self.path.parent)
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _open(self) -> int:
        if self._folder is None:
            self._folder = OpenFolder(make_within(self.path.parents[1], self.path.parent.name))
        folder = self._folder.fd()
        # Whoever else has the number, such as the user's code by mistake, writes over nothing.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        fd = os.open(self.path.name, flags, 0o666, dir_fd=folder)
        # If the user's code closed a standard stream, what it prints must not end up in here.
        try:
            return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
        finally:
            os.close(fd)

    def _append(self, *frames: New) -> None:
        if self._fd is None:
            self._fd = self._open()
            self._file = identity_of(self._fd)
        if not self._is_named and self._folder is not None:
            sync_file(self._folder.fd())
            self._is_named = True
        data, ends = [], [self._end]
        for kind, items, payload, _ in frames:
            data.append(encode(kind, items, payload, ends[-1]))
            ends.append(ends[-1] + len(data[-1]))
        self._synced = False
        # An NFS client would write everything to the server for an `fstat` each time.
        if lseek(self._fd, 0, SEEK_END) != self._end:
            self._remove_rubbish(self._fd)
        try:
            with naming(self.path):
                write_all(self._fd, b"".join(data))
        except OSError:
            # A full disk may have taken half a frame; the next one must follow a whole one. Where
            # that fails, too, it is tried again before the next one.
            with contextlib.suppress(OSError):
                ftruncate(self._fd, self._end)
            raise
        for begin, (_, _, payload, packable) in zip(ends, frames, strict=False):
            self._packer.note(begin, len(payload), crc32(payload), packable)
        self._end = ends[-1]

    def _remove_rubbish(self, fd: int) -> None:
        """Remove what somebody else has appended, if this is the shard at all."""
        if identity_of(fd) != self._file:
            # The user's code has closed it, and the number is another file's by now.
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), str(self.path))
        ftruncate(fd, self._end)


class ShardReader:
    """Reads the frames of a shard, also while its worker goes on writing.

    Parameters
    ----------
    path : Path
    origin : Origin, optional
        What tells whether it is the user's own: values that are not plain are read from no other.

    Attributes
    ----------
    end : int
        Offset behind the last whole frame that was seen; a later `new_frames` goes on there.
    """

    def __init__(self, path: Path, origin: Origin | None = None) -> None:
        self.path = path
        self.end = 0
        self._origin = origin
        self._packs: deque[Pack] = deque()
        # Who asks for one of a frame asks for the others next.
        self._last_failures: tuple[int, list[Failure]] = -1, []

    @functools.cached_property
    def _packed(self) -> Path:
        return packed_file(self.path)

    @functools.cached_property
    def _pack_reader(self) -> PackReader:
        return PackReader(self._packed)

    @functools.cached_property
    def _is_own(self) -> bool:
        return self._origin is not None and is_own(self.path, self._origin)

    @functools.cached_property
    def _is_pack_own(self) -> bool:
        return self._origin is not None and is_own(self._packed, self._origin)

    def new_frames(self, *, verify: bool = False) -> list[Frame]:
        """Return the frames that came since the last call.

        A damaged frame is skipped with a DamagedShardWarning; half a frame at the end, still being
        written or torn, waits for the next call.

        Parameters
        ----------
        verify : bool
            Read every payload, and skip those that are damaged, too.
        """
        with FrameFile(self.path) as file:
            if file.size - self.end > _PACKED_FROM:
                self._packs.extend(self._pack_reader.new_packs(verify=verify))
            return list(self._scan(file, verify=verify))

    def rows(self, frame: Frame) -> Rows:
        """Read the result rows of a ``ROWS`` or ``REFUSED`` frame.

        Raises
        ------
        DamagedFileError
            If the payload is not what was written.
        UntrustedFileError
            If it could run code, and is not known to be of this user's making.
        UnmakeableValuesError
            If values of it cannot be made here: a module is missing, for example.
        """
        what = f"{self.path}: the frame at byte {frame.offset}"
        payload = self.payload(frame)
        if frame.kind == REFUSED:
            payload = payload[_NAME_LENGTH.size + _NAME_LENGTH.unpack_from(payload)[0] :]
        fields = unpickled(
            payload, what, own=self._is_pack_own if frame.is_packed else self._is_own
        )
        try:
            return Rows(items=frame.items, **fields)
        except TypeError as error:
            raise DamagedFileError(f"{what} is damaged: it holds no results.") from error

    def refused_by(self, frame: Frame) -> str:
        """Tell what refused the rows of a ``REFUSED`` frame, without reading these."""
        with FrameFile(self.path) as file:
            start = file.read(min(frame.length, _NAME_BYTES), frame.offset)
        end = _NAME_LENGTH.size + _NAME_LENGTH.unpack_from(start)[0]
        return start[_NAME_LENGTH.size : end].decode(errors="replace")

    def failures(self, frame: Frame) -> list[Failure]:
        """Read what a ``FAILURE`` or ``SKIP`` frame says of its items, in their order.

        Raises
        ------
        DamagedFileError
            If the payload is not what was written.
        """
        place, found = self._last_failures
        if place != frame.offset:
            found = [Failure(**fields) for fields in fields_of(self.payload(frame))]
            self._last_failures = frame.offset, found
        return found

    def is_intact(self, frame: Frame) -> bool:
        """Tell whether the payload of `frame` is what was written."""
        try:
            self.payload(frame)
        except DamagedFileError:
            return False
        return True

    def payload(self, frame: Frame) -> bytes:
        """Read the bytes of a frame.

        Raises
        ------
        DamagedFileError
            If they are not what was written.
        """
        with FrameFile(self._packed if frame.is_packed else self.path) as file:
            payload = file.read(frame.length, frame.offset)
        if len(payload) != frame.length or crc32(payload) != frame.crc:
            raise DamagedFileError(
                f"{self.path}: the frame at byte {frame.offset} is damaged; "
                f"its {len(frame.items)} items have to run again."
            )
        return payload

    def _scan(self, file: FrameFile, *, verify: bool) -> Iterator[Frame]:
        while self.end < file.size:
            if (pack := self._pack_here()) is not None and (end := pack.end_in(file)) is not None:
                self.end = end
                yield pack.rows
                for begin in pack.others:
                    yield from self._whole(file, begin, verify=verify)
            elif (frame := file.frame_at(self.end)) is not None:
                self.end = frame.end
                if not verify or self._is_whole(file, frame):
                    yield frame
            elif (following := file.next_frame(self.end + 1)) is not None:
                self._warn(f"bytes {self.end} to {following} are damaged; the items in them")
                self.end = following
            else:
                return

    def _pack_here(self) -> Pack | None:
        """Return the pack of a stretch that begins where this is, if there is one."""
        while self._packs and self._packs[0].begin <= self.end:
            pack = self._packs.popleft()
            if pack.begin == self.end:
                return pack
        return None

    def _whole(self, file: FrameFile, begin: int, *, verify: bool) -> Iterator[Frame]:
        """Yield the frame that was written at `begin`, if it still is what was written."""
        frame = file.frame_at(begin)
        if frame is None:
            self._warn(f"the frame from byte {begin} on is damaged; its items")
        elif not verify or self._is_whole(file, frame):
            yield frame

    def _is_whole(self, file: FrameFile, frame: Frame) -> bool:
        if file.is_intact(frame):
            return True
        self._warn(f"the frame at byte {frame.offset} is damaged; its {len(frame.items)} items")
        return False

    def _warn(self, what: str) -> None:
        warnings.warn(f"{self.path}: {what} run again.", DamagedShardWarning, stacklevel=5)
