"""The bookkeeping beside a result: whose rows these are, and how each was made.

``items.npz`` has a row for each row of the result: the item's number and key, when it began, how
long it took, at which attempt, and on which worker. The numbers are left out where the result has
a row for every item. Its header tells which file it describes, by
size and time of change, so that a crash between replacing the one and the other is noticed.
"""

from __future__ import annotations

import errno
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from psyflow.files import atomic_path, begin_sync, move
from psyflow.layout import Layout

__all__ = ["About", "Arrays", "ItemsFile", "Parts", "Stamp"]

_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    # A flipped bit may ask for an unknown compression, or for a password.
    NotImplementedError,
    RuntimeError,
)

T = TypeVar("T")
Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
Parts: TypeAlias = Mapping[str, Sequence[npt.NDArray[Any]]]


@dataclass(frozen=True)
class Stamp:
    """What tells one version of a file from another: its size in bytes and its time of change."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Stamp | None:
        """Return the stamp of `path`, or None if there is no such file."""
        try:
            stat = path.stat()
        except FileNotFoundError:
            return None
        return cls(stat.st_size, stat.st_mtime_ns)


@dataclass(frozen=True)
class About:
    """What the bookkeeping says of a result as a whole.

    Attributes
    ----------
    run_id : str
        The plan that the item numbers belong to.
    space_digest, fingerprint : str
        Of that plan.
    result : str
        The result file.
    stamp : Stamp
        Of the result file.
    n_items, n_rows, n_failed : int
    outputs : list of str
        The columns that the function returned; the others are parameters.
    excluded : list of str
        What ``exclude_from_result`` named.
    dropped : list of str
        Those of them that the function had returned.
    workers : list of str
        What the column ``worker`` counts: ``"<host> <pid> <log>"``.
    seed : int or None
        The task's. With the row of the column ``seed_key`` it gives the stream of an item:
        ``SeedSequence(seed, spawn_key=(low | high << 64,))``.
    """

    run_id: str
    space_digest: str
    fingerprint: str
    result: str
    stamp: Stamp
    n_items: int
    n_rows: int
    n_failed: int
    outputs: list[str]
    excluded: list[str]
    dropped: list[str]
    workers: list[str]
    seed: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the result has a row for every item."""
        return self.n_rows == self.n_items

    @classmethod
    def from_json(cls, text: str) -> About:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "stamp": Stamp(**fields["stamp"])})

    def to_json(self) -> str:
        """Return the header as JSON."""
        return json.dumps(asdict(self))


class ItemsFile:
    """The bookkeeping of the present result.

    Parameters
    ----------
    layout : Layout
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def about(self) -> About | None:
        """Return the header, or None if nothing describes the result file that is there now."""
        current = self._current()
        return current and current[1]

    def arrays(self) -> Arrays:
        """Return the columns that go with `about`; empty if they are not there, or damaged."""
        current = self._current()
        arrays = (_read(current[0], _arrays_in) or {}) if current else {}
        if arrays and current and current[1].is_complete:
            arrays.setdefault("item", np.arange(current[1].n_items, dtype=np.int64))
        return arrays

    def _current(self) -> tuple[Path, About] | None:
        for path in (self._layout.items_file, self._layout.new_items_file):
            about = _read(path, _about_in)
            if about is not None and about.stamp == Stamp.of(Path(about.result)):
                return path, about
        return None

    def prepare(self, columns: Parts, about: Callable[[], About]) -> None:
        """Write the bookkeeping of a result that is about to get its final name.

        Parameters
        ----------
        columns : mapping from str to sequence of ndarray
            The parts of each column, which follow each other.
        about : callable
            Returns the header. It is called when all else is written, and may wait for it.
        """
        path = self._layout.new_items_file
        with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "x") as archive:
            for name, parts in columns.items():
                _write_entry(archive, name, parts)
                begin_sync(temporary)
            _write_entry(archive, "about", [np.array(about().to_json())])

    def commit(self) -> None:
        """Put what `prepare` wrote in place of the old bookkeeping."""
        move(self._layout.new_items_file, self._layout.items_file)

    def commit_late(self) -> None:
        """Do so if whoever put the result in place died before it could `commit`."""
        current = self._current()
        if current is not None and current[0] == self._layout.new_items_file:
            self.commit()


def _write_entry(archive: zipfile.ZipFile, name: str, parts: Sequence[npt.NDArray[Any]]) -> None:
    """Write as `numpy.savez` does, but without bringing the parts together in memory."""
    header = np.lib.format.header_data_from_array_1_0(parts[0])
    header["fortran_order"] = False
    if parts[0].ndim:
        header["shape"] = (sum(map(len, parts)), *parts[0].shape[1:])
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype=parts[0].dtype).data)


def _about_in(file: Mapping[str, npt.NDArray[Any]]) -> About:
    return About.from_json(str(file["about"]))


def _arrays_in(file: Mapping[str, npt.NDArray[Any]]) -> Arrays:
    return {name: file[name] for name in file if name != "about"}


def _read(path: Path, part: Callable[[Mapping[str, npt.NDArray[Any]]], T]) -> T | None:
    """Read part of a file; None if it is not there or damaged.

    Damaged bookkeeping is as good as none: the result's own parameters tell its items.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return part(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        # A damaged table of contents may point before the beginning of the file.
        if error.errno == errno.EINVAL:
            return None
        raise
    except _DAMAGED:
        return None
