"""Many small frames of a shard once more as a few large ones, in a file beside it.

A worker whose items take long writes a frame for each of them, so that no more than a second of
work is ever lost; and to look at as many frames as there are items takes long. So now and then it
writes what was in many of them as one frame, of the kind ``PACKED``, to ``<shard>.packed``. The
numbers of that frame are::

    begin of the stretch of frames that it stands for
    begin of the last frame of that stretch, and CRC-32 of its payload
    n, and the begins of n frames in the stretch that have no rows, and are read where they are
    item numbers

Its payload is that of a ``ROWS`` frame. The shard stays as it is, and has everything: whatever
becomes of the file beside it, nothing is lost, and nothing waits for that to be on the disk. A
frame counts only if the last one of its stretch is where it says, as it was. An earlier psyflow
reads the shard alone.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from os import O_APPEND, O_CLOEXEC, O_CREAT, O_WRONLY, SEEK_END, close, lseek
from os import open as open_fd
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, concatenate
from psyflow.exceptions import DamagedFileError
from psyflow.outcomes.frames import PACKED, ROWS, Frame, FrameFile, encode
from psyflow.outcomes.records import OF_PROGRAMS, UNKNOWN, Rows
from psyflow.system.files import write_all
from psyflow.system.identity import OpenFolder

__all__ = ["Pack", "PackReader", "Packer"]

_STRETCH_FRAMES = 128
_STRETCH_BYTES = 1 << 20
_LEAST_FRAMES = 16
"""Fewer are not worth a file."""
_SMALL_BYTES = 1 << 14
_N_NUMBERS = 4


# -- reading --------------------------------------------------------------------------------------


class Pack(NamedTuple):
    """A frame that stands for a stretch of frames.

    Attributes
    ----------
    begin, last : int
        Where the stretch and its last frame begin.
    last_crc : int
        CRC-32 of the payload of that.
    others : list of int
        Where those begin that have no rows.
    rows : Frame
        All rows of the stretch.
    """

    begin: int
    last: int
    last_crc: int
    others: list[int]
    rows: Frame

    @classmethod
    def of(cls, frame: Frame) -> Pack:
        """Take apart what the numbers of a ``PACKED`` frame say."""
        begin, last, last_crc, n_others = frame.items[:_N_NUMBERS].tolist()
        n_numbers = _N_NUMBERS + n_others
        others = frame.items[_N_NUMBERS:n_numbers].tolist()
        rows = frame._replace(kind=ROWS, items=frame.items[n_numbers:], is_packed=True)
        return cls(begin, last, last_crc, others, rows)

    def end_in(self, shard: FrameFile) -> int | None:
        """Return where the stretch ends in `shard`; None if it is not there."""
        last = shard.frame_at(self.last) if self.last >= self.begin else None
        return last.end if last is not None and last.crc == self.last_crc else None


class PackReader:
    """Reads the file beside a shard, from where it was read before.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._end = 0

    def new_packs(self, *, verify: bool) -> list[Pack]:
        """Return what is whole of the packs that came since the last call.

        Parameters
        ----------
        verify : bool
            Whether to read the rows for that.
        """
        # None are there as a rule; and what cannot be read of them is in the shard, too.
        with contextlib.suppress(OSError), FrameFile(self._path, may_be_missing=True) as file:
            return [
                Pack.of(frame)
                for frame in self._new_frames(file)
                if frame.kind == PACKED
                and len(frame.items) > _N_NUMBERS
                and (not verify or file.is_intact(frame))
            ]
        return []

    def _new_frames(self, file: FrameFile) -> list[Frame]:
        frames: list[Frame] = []
        # What a later psyflow has written, this one reads in the shard.
        with contextlib.suppress(DamagedFileError):
            while self._end < file.size:
                frame = file.frame_at(self._end)
                if frame is None:
                    following = file.next_frame(self._end + 1)
                    if following is None:
                        break
                    self._end = following
                    continue
                frames.append(frame)
                self._end = frame.end
        return frames


# -- writing --------------------------------------------------------------------------------------


@dataclass
class _Stretch:
    """Frames of a shard that follow each other, and are to be packed.

    Attributes
    ----------
    begin, last : int
        Where the first and the last of them begin.
    last_crc : int
        CRC-32 of the payload of the last one.
    rows : list of Rows
    others : list of int
        Where those begin that have no rows.
    n_bytes : int
        Of the payloads of `rows`.
    """

    begin: int
    last: int = 0
    last_crc: int = 0
    rows: list[Rows] = field(default_factory=list)
    others: list[int] = field(default_factory=list)
    n_bytes: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.rows) >= _STRETCH_FRAMES or self.n_bytes >= _STRETCH_BYTES

    @property
    def is_worth_it(self) -> bool:
        return len(self.rows) >= _LEAST_FRAMES

    def takes(self, rows: Rows) -> bool:
        """Tell whether rows can be in one frame with those that are there."""
        return not self.rows or _process_of(rows) == _process_of(self.rows[0])

    def encoded(self, to_payload: Callable[[Rows], bytes], position: int) -> bytes:
        """Return the frame that stands for it, at a position of its file."""
        rows = _joined(self.rows)
        about = [self.begin, self.last, self.last_crc, len(self.others), *self.others]
        numbers = np.concatenate([np.array(about, dtype=np.int64), rows.items])
        return encode(PACKED, numbers, to_payload(rows), position)


class Packer:
    """Packs what is written to a shard.

    Parameters
    ----------
    path : Path
        Of the file beside the shard.
    to_payload : callable
        Returns the payload of a ``ROWS`` frame.
    """

    def __init__(self, path: Path, to_payload: Callable[[Rows], bytes]) -> None:
        self._name = path.name
        self._to_payload = to_payload
        self._open: _Stretch | None = None
        self._full: list[_Stretch] = []
        self._has_failed = False

    def note(self, begin: int, length: int, crc: int, rows: Rows | None) -> None:
        """Take note of a frame that was appended to the shard.

        Parameters
        ----------
        begin : int
            Where it begins.
        length, crc : int
            Of its payload: how long it is, in bytes, and its CRC-32.
        rows : Rows or None
            What is in it, if it is of the kind ``ROWS``.
        """
        if self._has_failed:
            return
        if rows is not None and (length > _SMALL_BYTES or not _is_simple(rows)):
            self._close_stretch()
            return
        if self._open is None or (rows is not None and not self._open.takes(rows)):
            self._close_stretch()
            self._open = _Stretch(begin)
        self._extend(self._open, begin, length, crc, rows)

    def _extend(
        self, stretch: _Stretch, begin: int, length: int, crc: int, rows: Rows | None
    ) -> None:
        stretch.last, stretch.last_crc = begin, crc
        if rows is None:
            stretch.others.append(begin)
            return
        stretch.rows.append(rows)
        stretch.n_bytes += length
        if stretch.is_full:
            self._close_stretch()

    def _close_stretch(self) -> None:
        if self._open is not None and self._open.is_worth_it:
            self._full.append(self._open)
        self._open = None

    def write(self, folder: OpenFolder, *, is_last: bool = False) -> None:
        """Pack what is worth it of the frames that are on the disk by now.

        Parameters
        ----------
        folder : OpenFolder
            That of the shard.
        is_last : bool
            Whether no more frames will come.
        """
        if is_last:
            self._close_stretch()
        if not self._full:
            return
        # Whatever goes wrong, such as a full disk, the shard has all of it: no item is to blame,
        # and the next write to the shard finds out about the disk.
        try:
            self._append(folder)
        except Exception:
            self._has_failed = True
            self._open = None
        self._full.clear()

    def _append(self, folder: OpenFolder) -> None:
        # Not kept open, for the user's code might close it, and write to another of its number.
        flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC
        fd = open_fd(self._name, flags, 0o666, dir_fd=folder.fd())
        try:
            for stretch in self._full:
                position = lseek(fd, 0, SEEK_END)
                write_all(fd, stretch.encoded(self._to_payload, position))
        finally:
            close(fd)


def _process_of(rows: Rows) -> tuple[str, int, str]:
    return rows.host, rows.pid, rows.log


def _is_simple(rows: Rows) -> bool:
    """Tell whether no class of the user's has to be there to read the rows.

    Should one be missing one day, no more is lost for it than the frame that has it.
    """
    return all(map(_has_simple_values, rows.columns.values()))


def _has_simple_values(column: Column) -> bool:
    kinds = set(map(type, column)) if isinstance(column, list) else {type(column)}
    return all(kind.__module__ in ("builtins", "numpy", "psyflow.columns") for kind in kinds)


def _joined(parts: Sequence[Rows]) -> Rows:
    lengths = [len(part.items) for part in parts]
    return replace(
        parts[0],
        items=np.concatenate([part.items for part in parts]),
        columns=concatenate([part.columns for part in parts], lengths=lengths),
        start=np.concatenate([part.start for part in parts]),
        duration=np.concatenate([part.duration for part in parts]),
        attempt=np.concatenate([part.attempt for part in parts]),
        printed=_joined_printed(parts),
        peak_kib=_joined_peaks(parts),
        programs=_joined_programs(parts),
    )


def _joined_printed(parts: Sequence[Rows]) -> npt.NDArray[np.int64] | None:
    if all(part.printed is None for part in parts):
        return None
    nothing = ([(UNKNOWN, UNKNOWN)] * len(part.items) for part in parts)
    known = ((n if p.printed is None else p.printed) for p, n in zip(parts, nothing, strict=True))
    return np.array(list(itertools.chain.from_iterable(known)), dtype=np.int64)


def _joined_peaks(parts: Sequence[Rows]) -> npt.NDArray[np.int32]:
    peaks = [np.full(len(part.items), part.peak_kib, dtype=np.int32) for part in parts]
    return np.concatenate(peaks)


def _joined_programs(parts: Sequence[Rows]) -> dict[str, npt.NDArray[Any]] | None:
    if all(part.programs is None for part in parts):
        return None
    return {
        name: np.concatenate(
            [(part.programs or {}).get(name, np.full(len(part.items), unknown)) for part in parts]
        )
        for name, unknown in OF_PROGRAMS.items()
    }
