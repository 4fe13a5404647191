"""The rows of a study in one file, and beside it those of runs that are not at their end.

::

    calc/
      database.pk       all rows, a pickled data frame
      failures.jsonl    a line for each pset that failed: it has no row
      <_pset_id>/       what the function keeps there, if it does
      .psyflow/         while there are runs, or when one was killed:
        <_run_id>/      a `WorkFolder`, and who is at work in it (`hold/`)

A run only appends: when it has ended, under a lock that is taken for that moment. So several may
go on at once. Numbers are reserved when it begins.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psyflow.exceptions import PsyflowWarning, UsageError
from psyflow.mapper.workfolder import WorkFolder
from psyflow.messages import shown_path
from psyflow.outcomes.table import Table
from psyflow.results.extras import needed
from psyflow.store.base import appending
from psyflow.store.frame import PARAMETERS, read_frame, write_frame
from psyflow.study.calling import ERROR, ROW, Failed
from psyflow.study.frames import below, frame_of
from psyflow.system.files import append_line, make_folder, write_atomic
from psyflow.system.hold import Hold
from psyflow.system.reading import is_there

if TYPE_CHECKING:
    import pandas

__all__ = ["HIDDEN", "Database", "Numbers", "Reserved", "made_of", "rows_in"]

FAILURES = "failures.jsonl"
HIDDEN = ".psyflow"
_RECORD = "run.json"
_IGNORED = ".gitignore"


@dataclass(frozen=True)
class Numbers:
    """Which numbers a run gives.

    Attributes
    ----------
    run_seq : int
    pset_seq : int
        The first of its psets.
    """

    run_seq: int
    pset_seq: int

    @classmethod
    def after(cls, frames: Iterable[pandas.DataFrame]) -> Numbers:
        """Return the first numbers that none of some frames has."""
        frames = list(frames)
        return cls(*(max(_next(f, n) for f in frames) for n in ("_run_seq", "_pset_seq")))


def _next(frame: pandas.DataFrame, name: str) -> int:
    known = frame[name].dropna() if name in frame else ()
    return int(max(known)) + 1 if len(known) else 0


@dataclass(frozen=True)
class Reserved:
    """The record of a run that has begun.

    Attributes
    ----------
    database : str
        Name of the file that its rows are for.
    numbers : Numbers
    n_psets : int
    """

    database: str
    numbers: Numbers
    n_psets: int

    def to_bytes(self) -> bytes:
        """Return it as it is kept."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Reserved:
        """Return what was kept."""
        fields = json.loads(data)
        return cls(fields["database"], Numbers(**fields["numbers"]), fields["n_psets"])


class Database:
    """The file with the rows of a study.

    Parameters
    ----------
    path : Path
    fill_value : object
        What stands for an absent value.
    """

    def __init__(self, path: Path, fill_value: Any) -> None:
        self.path = path
        self._fill_value = fill_value
        self._hidden = path.parent / HIDDEN
        self._frame: pandas.DataFrame | None = None
        self._stamp: tuple[int, ...] | None = None

    def frame(self) -> pandas.DataFrame:
        """Return the rows that there are; they are read only if the file has changed."""
        stamp = _stamp(self.path)
        if self._frame is None or stamp != self._stamp:
            there = read_frame(self.path) if stamp else needed("pandas").DataFrame()
            self._frame, self._stamp = there, stamp
        return self._frame

    def take_up_left(self) -> None:
        """Add the rows of runs that were killed."""
        if not is_there(self._hidden):
            return
        with appending(self.path):
            for run_id, work in self._runs():
                if not _is_held(work):
                    self._take_up(run_id, work)
            self._tidy()

    def _runs(self) -> list[tuple[str, WorkFolder]]:
        """Return the folders of runs."""
        folders = sorted(path for path in self._hidden.iterdir() if path.is_dir())
        return [(path.name, WorkFolder(path, _RECORD)) for path in folders]

    def _take_up(self, run_id: str, work: WorkFolder) -> None:
        try:
            reserved = Reserved.from_bytes(work.record()[0])
        except FileNotFoundError:
            return work.remove()  # it had not begun
        if reserved.database != self.path.name:
            return None
        if not work.is_left():
            return _warn(f"Workers of the run {run_id}, which was killed, are still at work.")
        if not work.is_own():
            return _warn(
                f"{shown_path(work.path)} is a copy, or somebody else's, and its rows are left "
                "alone. Remove it if nobody needs it."
            )
        rows, _ = rows_in(work, reserved.n_psets)
        known = set(self.frame().get("_pset_id", ()))
        rows = [row for row in rows if row["_pset_id"] not in known]
        if rows:
            self._write(below(self.frame(), made_of(rows, self._fill_value), self._fill_value))
            what = f"{len(rows)} rows of a run that was killed are there now"
            print(f"{shown_path(self.path)}: {what}", file=sys.stderr)
        return work.remove()

    @contextlib.contextmanager
    def reserved(
        self, run_id: str, n_psets: int, besides: Sequence[pandas.DataFrame]
    ) -> Iterator[tuple[Numbers, WorkFolder]]:
        """Reserve numbers, and give them with the folder to work in, which is held meanwhile.

        Parameters
        ----------
        run_id : str
        n_psets : int
        besides : sequence of DataFrame
            Whose numbers are not to be given again either.
        """
        make_folder(self.path.parent)
        work = WorkFolder(self._hidden / run_id, _RECORD)
        hold = Hold(work.path / "hold", f"The run {run_id}")
        with appending(self.path):
            numbers = self._unused(besides)
            make_folder(self._hidden)
            # Whatever is tracked or copied, what runs are doing just now is not.
            write_atomic(self._hidden / _IGNORED, "*\n")
            work.begin(Reserved(self.path.name, numbers, n_psets).to_bytes())
            hold.acquire()
        try:
            yield numbers, work
        finally:
            hold.leave()

    def _unused(self, besides: Sequence[pandas.DataFrame]) -> Numbers:
        free = Numbers.after([self.frame(), *besides])
        for _, work in self._runs() if is_there(self._hidden) else ():
            with contextlib.suppress(FileNotFoundError):
                other = Reserved.from_bytes(work.record()[0])
                run_seq = max(free.run_seq, other.numbers.run_seq + 1)
                pset_seq = max(free.pset_seq, other.numbers.pset_seq + other.n_psets)
                free = Numbers(run_seq, pset_seq)
        return free

    def add(
        self,
        rows: pandas.DataFrame,
        work: WorkFolder,
        given: pandas.DataFrame | None,
        parameters: Iterable[str],
    ) -> pandas.DataFrame:
        """Add the rows of a run that has ended, and return all; its folder goes.

        Parameters
        ----------
        rows : DataFrame
        work : WorkFolder
        given : DataFrame or None
            The user's own version of rows, which takes the place of those in the file. Rows in the
            file that it lacks are kept there, and not returned.
        parameters : iterable of str
            The names of the parameters of the rows.
        """
        with appending(self.path):
            whole = below(self._others(given), rows, self._fill_value)
            if len(rows) or given is not None:
                self._write(whole, parameters)
            work.remove()
            self._tidy()
        return whole if given is None else below(given, rows, self._fill_value)

    def add_from(self, path: Path) -> int:
        """Add the rows of another database that this one lacks, and return how many."""
        with appending(self.path):
            known = self.frame().get("_pset_id", ())
            other = read_frame(path)
            new = other[~other["_pset_id"].isin(known)] if "_pset_id" in other else other[:0]
            if len(new):
                self._write(below(self.frame(), new, self._fill_value))
        return len(new)

    def _others(self, given: pandas.DataFrame | None) -> pandas.DataFrame:
        there = self.frame()
        if given is None or not len(given):
            return there
        if not len(there):
            return given
        return below(given, there[~there["_pset_id"].isin(given["_pset_id"])], self._fill_value)

    def _write(self, frame: pandas.DataFrame, parameters: Iterable[str] = ()) -> None:
        known = self.frame().attrs.get(PARAMETERS, ())
        frame.attrs[PARAMETERS] = [*dict.fromkeys([*known, *parameters])]
        write_frame(self.path, frame)
        self._frame, self._stamp = frame, _stamp(self.path)

    def check_given(self, given: pandas.DataFrame) -> None:
        """Raise UsageError if nobody could tell which rows of the file a frame has."""
        if len(given) and len(self.frame()) and "_pset_id" not in given:
            raise UsageError(
                "df has no column _pset_id, so nothing tells which rows of "
                f"{shown_path(self.path)} it has. Keep that column, or say save=False."
            )

    def note_failures(self, run_id: str, failed: Sequence[Failed]) -> None:
        """Keep what is known of psets that failed."""
        lines = [
            {"_run_id": run_id, "_pset_id": one.pset_id, "error": one.text, "trace": one.traceback}
            for one in failed
        ]
        append_line(self.path.with_name(FAILURES), "\n".join(map(json.dumps, lines)))

    def _tidy(self) -> None:
        """Remove the hidden folder, if there are no runs."""
        if not self._runs():
            with contextlib.suppress(OSError):
                (self._hidden / _IGNORED).unlink(missing_ok=True)
                self._hidden.rmdir()


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _is_held(work: WorkFolder) -> bool:
    return Hold(work.path / "hold", "").holder() is not None


def _warn(text: str) -> None:
    warnings.warn(text, PsyflowWarning, stacklevel=4)


def made_of(rows: Sequence[Mapping[str, Any]], fill_value: Any) -> pandas.DataFrame:
    """Return rows of `rows_in` as a frame; times are numbers in them, of ns since 1970."""
    frame = frame_of(rows, fill_value)
    if len(frame):
        frame["_time_utc"] = needed("pandas").to_datetime(frame["_time_utc"])
    return frame


def rows_in(work: WorkFolder, n_psets: int) -> tuple[list[Mapping[str, Any]], dict[int, Failed]]:
    """Return the rows of a run of this user's, in the order of its psets, and what failed."""
    rows: list[Mapping[str, Any]] = []
    failed: dict[int, Failed] = {}
    for items, columns in work.blocks(Table.index(work.outcomes().pieces, n_psets)):
        rows += [pickle.loads(row) for row in columns.get(ROW, ()) if isinstance(row, bytes)]
        errors = zip(items.tolist(), columns.get(ERROR, ()), strict=False)
        failed |= {item: error for item, error in errors if isinstance(error, Failed)}
    return rows, failed
