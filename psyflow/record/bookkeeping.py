"""The bookkeeping beside a result: whose rows these are, and how each was made.

``items.npz`` has a row for each row of the result: the item's number and key, when it began, how
long it took, at which attempt, and on which worker. The numbers are left out where the result has
a row for every item. Its header tells which file it describes, by size and time of change, or by
size and checksum where the time is another: a copy's, or one that was only touched. So a crash
between replacing the one and the other is noticed.
"""

from __future__ import annotations

import ast
import contextlib
import errno
import functools
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Sized
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from psyflow.columns import Columns, table_length
from psyflow.exceptions import DamagedFileError
from psyflow.record.layout import Layout
from psyflow.record.paths import located, portable
from psyflow.system.files import atomic_path, begin_sync, move
from psyflow.system.place import Place
from psyflow.system.reading import ask_again, checksum_of, is_there

__all__ = ["About", "Arrays", "Deferred", "ItemsFile", "Parts", "Stamp"]

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

_ABOUT = "about.npy"
_HASHES = frozenset({"key", "seed_key"})
_QUICKLY = 1

T = TypeVar("T")
Arrays: TypeAlias = "dict[str, npt.NDArray[Any]]"
Parts: TypeAlias = "Mapping[str, Sequence[npt.NDArray[Any]]]"


class Deferred(Sequence["npt.NDArray[Any]"]):
    """Parts of a column that are made one by one, as they are written.

    Parameters
    ----------
    make : callable
        Returns a part, given what it is made of, which is as long.
    of : sequence
        What each part is made of.

    Attributes
    ----------
    n_rows : int
    """

    def __init__(self, make: Callable[[Any], npt.NDArray[Any]], of: Sequence[Sized]) -> None:
        self.n_rows = sum(map(len, of))
        self._make = make
        self._of = of

    def __len__(self) -> int:
        return len(self._of)

    def __getitem__(self, number: Any) -> Any:
        return self._make(self._of[number])


@dataclass(frozen=True)
class Stamp:
    """What tells one version of a file from another: its size in bytes and its time of change."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Stamp | None:
        """Return the stamp of `path`, or None if there is no such file."""
        try:
            stat = ask_again(path.stat, path)
        except FileNotFoundError:
            return None
        return cls(stat.st_size, stat.st_mtime_ns)


def _has_stamp(path: Path, about: About) -> bool:
    return Stamp.of(path) == about.stamp


def _has_content(path: Path, about: About) -> bool:
    """Tell whether a file whose time is another has the content that the bookkeeping is of."""
    stamp = Stamp.of(path)
    if stamp is None or stamp.size != about.stamp.size:
        return False
    # Of old there was no checksum: a copy could not be told from another file of the same size.
    return about.checksum is None or _checksum(path, stamp) == about.checksum


@functools.lru_cache(maxsize=64)
def _checksum(path: Path, stamp: Stamp) -> int:
    return checksum_of(path)


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
        The result file. On the disk, where it is seen from the run's folder.
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
    checksum : int or None
        CRC-32 of the result file; None in bookkeeping of old.
    place : Place or None
        The run's folder in which it was made; None in bookkeeping of old.
    job_ids : list of str
        What the scheduler called the job of each worker, "" where it was none of a scheduler's;
        empty in bookkeeping of old.
    contents : dict
        What the plan says of the contents of files that psets name; empty in bookkeeping of old.
    renewals : list of list of int
        When items of the plan were asked for anew, see `Renewals`.
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
    checksum: int | None = None
    place: Place | None = None
    job_ids: list[str] = field(default_factory=list)
    contents: dict[str, str] = field(default_factory=dict)
    renewals: list[list[int]] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether the result has a row for every item."""
        return self.n_rows == self.n_items

    def job_ids_of_workers(self) -> list[str]:
        """Return the job id of each worker, "" where none is known."""
        return self.job_ids or [""] * len(self.workers)

    def check(self, columns: Columns, n_rows: int, names: Collection[str] | None = None) -> None:
        """Raise DamagedFileError if `columns`, read from the result, are not `n_rows` rows.

        `names` are those of all columns that it has, if only some were read.
        """
        there = columns if names is None else names
        missing = [name for name in self.outputs if name not in there]
        # Without any name there is nothing to count rows by.
        if missing or (columns and table_length(columns) != n_rows):
            lacks = f"the column {missing[0]!r}" if missing else "rows"
            raise DamagedFileError(
                f"{self.result} lacks {lacks}. Restore it from a copy, or remove it and run the "
                "task again."
            )

    @classmethod
    def from_json(cls, text: str) -> About:
        """Read what `to_json` wrote, by this or another version."""
        fields = json.loads(text)
        known = {name: fields[name] for name in cls.__dataclass_fields__ if name in fields}
        place = Place.from_json(known.get("place"))
        return cls(**{**known, "stamp": Stamp(**known["stamp"]), "place": place})

    def to_json(self, root: Path, study: Path) -> str:
        """Return the header as JSON, for the run's folder `root` in a study; see `portable`."""
        return json.dumps(asdict(self) | {"result": portable(Path(self.result), root, study)})


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

    def arrays(self, names: Collection[str] | None = None) -> Arrays:
        """Return the columns that go with `about`; empty if they are not there, or damaged.

        Parameters
        ----------
        names : collection of str, optional
            Of the columns to read; all by default.
        """
        current = self._current()
        arrays = _read(current[0], lambda file: _arrays_in(file, names)) if current else None
        if current is None or arrays is None:
            return {}
        if current[1].is_complete and (names is None or "item" in names):
            arrays.setdefault("item", np.arange(current[1].n_items, dtype=np.int64))
        return arrays

    def gone(self) -> About | None:
        """Return the header of bookkeeping whose result is not there any more."""
        missing = (
            replace(about, result=str(result))
            for _, about in self._abouts()
            for result in [*self._described(about)][:1]
            if not is_there(result)
        )
        return None if self._current() else next(missing, None)

    def keys_of_gone(self) -> npt.NDArray[np.uint64]:
        """Return the keys of the rows that went with the result of `gone`."""
        arrays = _read(self._layout.items_file, _arrays_in) or {}
        return arrays.get("key", np.empty((0, 2), dtype=np.uint64))

    def is_of_another(self) -> bool:
        """Tell whether there is bookkeeping, but of other content than the result file has."""
        return bool(self._abouts()) and self._current() is None

    def _abouts(self) -> list[tuple[Path, About]]:
        files = (self._layout.items_file, self._layout.new_items_file)
        return [(file, about) for file in files if (about := _read_about(file))]

    def _current(self) -> tuple[Path, About] | None:
        abouts = self._abouts()
        # If a merge died, both are there, and times tell them apart at less cost.
        for is_described in (_has_stamp, _has_content):
            for file, about in abouts:
                for result in self._described(about):
                    if is_described(result, about):
                        return file, replace(about, result=str(result))
        return None

    def _described(self, about: About) -> Iterator[Path]:
        """Yield the files that the bookkeeping may mean."""
        if about.place is not None:
            yield located(about.result, self._layout.root)
        else:
            # Of old, the path was absolute, and led back to the original from a copy.
            yield self._layout.root / Path(about.result).name
        # In the archive, or when it has come back from there, it may be in another place.
        yield self._layout.result
        # And there, or back, while the task has its result under a name of another format.
        yield self._layout.root / Path(about.result).name

    def prepare(self, columns: Parts, about: Callable[[], str]) -> None:
        """Write the bookkeeping of a result that is about to get its final name.

        Parameters
        ----------
        columns : mapping from str to sequence of ndarray
            The parts of each column, which follow each other; they may be `Deferred`.
        about : callable
            Returns the header, as JSON. It is called when all else is written, and may wait for
            it.
        """
        path = self._layout.new_items_file
        with (
            atomic_path(path) as temporary,
            zipfile.ZipFile(temporary, "x", compresslevel=_QUICKLY) as archive,
        ):
            for name, parts in columns.items():
                _write_entry(archive, name, parts)
                begin_sync(temporary)
            _write_entry(archive, "about", [np.array(about())])

    def follow(self, study: Path) -> None:
        """Have the header say where the result is now, if it is under another name than it was."""
        if (current := self._current()) is None:
            return
        file, about = current
        was = _read_about(file)
        if was is not None and next(self._described(was)) != Path(about.result):
            self.rewrite(about, study)

    def rewrite(self, about: About, study: Path) -> None:
        """Write the bookkeeping of the result anew with another header."""
        current = self._current()
        arrays = _read(current[0], _arrays_in) if current else None
        if arrays is not None:
            columns = {name: [column] for name, column in arrays.items()}
            self.prepare(columns, lambda: about.to_json(self._layout.root, study))
            self.commit()

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
        n_rows = parts.n_rows if isinstance(parts, Deferred) else sum(map(len, parts))
        header["shape"] = (n_rows, *parts[0].shape[1:])
    # Nothing makes hashes smaller. All else says the same again and again, or nearly so.
    is_packed = name not in _HASHES and bool(parts[0].ndim)
    archive.compression = zipfile.ZIP_DEFLATED if is_packed else zipfile.ZIP_STORED
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype=parts[0].dtype).data)


def _read_about(path: Path) -> About | None:
    """Read the header of a file, without NumPy: for most commands it is all that is needed."""
    with _unless_damaged(), ask_again(lambda: zipfile.ZipFile(path), path) as archive:
        return About.from_json(_text_in(archive.read(_ABOUT)))
    return None


def _text_in(entry: bytes) -> str:
    """Return the text that is all of an array in NumPy's format, which `prepare` wrote."""
    magic, major = entry[:6], entry[6:7]
    if magic != b"\x93NUMPY" or major not in (b"\1", b"\2", b"\3"):
        raise ValueError("no array of NumPy's")
    start, size = (8, "<H") if major == b"\1" else (8, "<I")
    (length,) = struct.unpack_from(size, entry, start)
    start += struct.calcsize(size)
    header = ast.literal_eval(entry[start : start + length].decode("latin-1"))
    order = {"<": "utf-32-le", ">": "utf-32-be"}[header["descr"][0]]
    if header["descr"][1] != "U" or header["shape"] != ():
        raise ValueError("no text")
    data = entry[start + length :]
    if len(data) != 4 * int(header["descr"][2:]):
        raise ValueError("no whole text")
    return data.decode(order).rstrip("\0")


def _arrays_in(
    file: Mapping[str, npt.NDArray[Any]], names: Collection[str] | None = None
) -> Arrays:
    wanted = set(file) if names is None else set(names)
    return {name: file[name] for name in file if name in wanted - {"about"}}


def _read(path: Path, part: Callable[[Mapping[str, npt.NDArray[Any]]], T]) -> T | None:
    """Read part of a file; None if it is not there or damaged.

    Damaged bookkeeping is as good as none: the result's own parameters tell its items.
    """
    with (
        _unless_damaged(),
        ask_again(lambda: np.load(path, allow_pickle=False), path) as file,
    ):
        return part(file)
    return None


@contextlib.contextmanager
def _unless_damaged() -> Iterator[None]:
    """Leave the block where a file is not there or damaged."""
    try:
        yield
    except FileNotFoundError:
        pass
    except OSError as error:
        # A damaged table of contents may point before the beginning of the file.
        if error.errno != errno.EINVAL:
            raise
    except _DAMAGED:
        pass
