"""The bookkeeping beside a result: whose rows these are, and how each was made.

``items.npz`` has a row for each row of the result: the item's number and key, when it began, how
long it took, at which attempt, and on which worker. The numbers are left out where the result has
a row for every item. Its header tells which file it describes, by size and time of change, or by
size and checksum where the time is another: a copy's, or one that was only touched. So a crash
between replacing the one and the other is noticed.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from psyflow.columns import Columns, table_length
from psyflow.exceptions import DamagedFileError
from psyflow.record.arraysfile import Arrays, Parts, read_arrays, read_text, writing
from psyflow.record.layout import Layout
from psyflow.record.paths import located, portable
from psyflow.system.files import atomic_path, begin_sync, move
from psyflow.system.place import Place
from psyflow.system.reading import ask_again, checksum_of, is_there

__all__ = ["About", "ItemsFile", "Stamp"]

_ABOUT = "about"
"""The entry that is the header."""


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
        arrays = read_arrays(current[0], names, but=_ABOUT) if current else None
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
        arrays = read_arrays(self._layout.items_file, but=_ABOUT) or {}
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
        with atomic_path(self._layout.new_items_file) as temporary, writing(temporary) as add:
            for name, parts in columns.items():
                add(name, parts)
                begin_sync(temporary)
            add(_ABOUT, [np.array(about())])

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
        arrays = read_arrays(current[0], but=_ABOUT) if current else None
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


def _read_about(path: Path) -> About | None:
    return read_text(path, _ABOUT, About.from_json)
