"""The result file of a map, and beside it a folder while items are evaluated.

::

    <file>.run/
      hold/         whose call it is
      <random>/     what this call, or one that died, evaluates: a `WorkFolder`, with the space

    <file>.code.json
                    which code has made the rows

A call has a folder of its own, so that nothing of an earlier one is ever taken for its own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from psyflow.columns import Column, Columns, concatenate, table_length, unpacked, without
from psyflow.exceptions import (
    IneffectiveExcludeWarning,
    PsyflowError,
    RunHeldError,
)
from psyflow.fingerprint.functions import FunctionCode
from psyflow.mapper.madeby import CodeRecord, put_aside
from psyflow.mapper.workfolder import Function, WorkFolder
from psyflow.outcomes.records import Failure
from psyflow.outcomes.table import Table
from psyflow.pspace import ParameterSpace
from psyflow.pspace.keys import Keys, column_keys, match
from psyflow.pspace.space import Selection
from psyflow.store import Store
from psyflow.store.base import append_whole
from psyflow.system.files import remove_temporaries
from psyflow.system.hold import Hold
from psyflow.system.reading import is_there
from psyflow.system.trust import unpickled

__all__ = ["Backing", "Function"]

_SPACE = "pspace.pkl"
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


class Backing:
    """A result file, and how its missing rows come into it.

    Parameters
    ----------
    path : Path
    store : Store
    exclude : sequence of str
        Names to leave out of the file.
    """

    def __init__(self, path: Path, store: Store, exclude: Sequence[str]) -> None:
        self.path = path
        self.store = store
        self._exclude = exclude
        self._folder = path.with_name(f"{path.name}.run")
        self._hold = Hold(self._folder / "hold", str(path))
        self._not_held: OSError | None = None
        self._record = CodeRecord(path)
        self._code = FunctionCode()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep all others from adding rows, and take up what calls that died have left.

        Raises
        ------
        RunHeldError
            If another call does so.
        """
        try:
            self._take_hold()
            try:
                for work in self._left():
                    self._wait_for_workers(work)
                    self._take_up(work)
                yield
            finally:
                self._hold.leave()
        finally:
            with contextlib.suppress(OSError):  # somebody else has begun, or it is not there
                self._folder.rmdir()

    def _take_hold(self) -> None:
        try:
            self._hold.acquire()
        except OSError as error:
            if error.errno not in _NOT_WRITABLE:
                raise
            # A file that lacks nothing may be anywhere.
            self._not_held = error

    def _left(self) -> list[WorkFolder]:
        """Return the folders of calls that died."""
        if not self._folder.is_dir():
            return []
        folders = (path for path in self._folder.iterdir() if path.is_dir())
        # The first versions had only the outer folder.
        found = [
            *([self._folder] if is_there(_space_file(self._folder)) else []),
            *sorted(path for path in folders if path.name not in ("hold", "claims")),
        ]
        return [WorkFolder(path, _SPACE) for path in found]

    def settle(self, code: FunctionCode, *, keep: bool) -> None:
        """Put the file aside if other code has made its rows, unless they are to be kept.

        What is odd about them is said.
        """
        self._code = code
        told = self._record.unwatched()
        for what in code.unwatched:
            if what not in told:
                self._say(what)
        if not is_there(self.path):
            return
        found = self._record.changes(code)
        if found is None:
            self._say("its rows are made by unknown code, and are kept")
        elif found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            what = f"{found[0].describe()}{more}"
            self._say(f"{what}; its rows are kept" if keep else f"{what}; {self._set_aside()}")

    def _set_aside(self) -> str:
        if self._not_held is not None:
            raise self._not_held
        return f"earlier rows are in {put_aside(self.path)}"

    def _say(self, what: str) -> None:
        print(f"{self.path}: {what}", file=sys.stderr)

    def finish(self) -> None:
        """Note which code the rows are of."""
        if self._not_held is None:
            self._record.end(self._code)

    def missing(self, space: ParameterSpace) -> ParameterSpace:
        """Return the psets that the file has no row for; repeated psets need repeated rows."""
        known = match(self._keys(space), self._keys_in_file(space)) >= 0
        return Selection(space, np.flatnonzero(~known))

    def evaluate(
        self,
        function: Function,
        space: ParameterSpace,
        pool_size: int,
        backend: Any,
        most: float | None,
    ) -> tuple[list[Failure], int]:
        """Evaluate all of `space`, and add the rows to the file.

        Returns
        -------
        failures : list of Failure
        n_left : int
            How many psets were left, as others have failed.
        """
        if self._not_held is not None:
            raise self._not_held
        self._record.begin(self._code)
        work = WorkFolder(self._folder / os.urandom(4).hex(), _SPACE)
        work.begin(pickle.dumps(space))
        try:
            work.evaluate(function, space, pool_size, backend, self.store.check, most)
        except BaseException:
            # What cannot be taken up now is there for the next call; this is what is told.
            with contextlib.suppress(OSError, PsyflowError):
                self._take_up(work)
            raise
        outcomes = work.outcomes()
        failures = [record.read() for record in outcomes.failures]
        without_row = {record.item for record in (*outcomes.failures, *outcomes.skips)}
        n_ended = len(without_row.union(*(piece.items.tolist() for piece in outcomes.pieces)))
        self._take_up(work)
        return failures, len(space) - n_ended

    def _wait_for_workers(self, work: WorkFolder) -> None:
        """Let the workers of a call that died end; they notice within a second."""
        if self._not_held is not None:
            raise self._not_held
        if not work.is_left():
            raise RunHeldError(
                f"Workers of a call that died still evaluate psets for {self.path}. "
                "Wait for them, or end them."
            )

    def _take_up(self, work: WorkFolder) -> None:
        """Add to the file what the shards in `work` have and it has not, and remove them."""
        if is_there(_space_file(work.path)):
            self._add_rows(work)
        if work.path == self._folder:
            _remove_outer(work.path)
        else:
            work.remove()

    def _add_rows(self, work: WorkFolder) -> None:
        pickled, is_own = work.record()
        space: ParameterSpace = unpickled(pickled, str(_space_file(work.path)), own=is_own)
        table = Table.index(work.outcomes().pieces, len(space))
        known = match(self._keys(space), self._keys_in_file(space)) >= 0
        # A call that died after adding them left its shards: the file tells what it has.
        table.piece_of[known] = -1
        blocks = [{**space.take(items), **columns} for items, columns in work.blocks(table)]
        if blocks:
            rows = unpacked(concatenate(blocks))
            append_whole(self.store, self.path, self._without_excluded(rows))

    def _names(self, space: ParameterSpace) -> list[str]:
        return [name for name in space.keys() if name not in self._exclude]  # noqa: SIM118

    def _keys(self, space: ParameterSpace) -> Keys:
        return space.pset_keys(names=self._names(space))

    def _keys_in_file(self, space: ParameterSpace) -> Keys:
        columns = self.store.load(self.path) if is_there(self.path) else {}
        n_rows = table_length(columns)
        absent = [float("nan")] * n_rows
        names = self._names(space)
        return column_keys({name: columns.get(name, absent) for name in names}, n_rows)

    def _without_excluded(self, columns: Columns) -> dict[str, Column]:
        for name in self._exclude:
            if name not in columns:
                warnings.warn(IneffectiveExcludeWarning(name), stacklevel=4)
        return without(self._exclude, columns)


def _space_file(work: Path) -> Path:
    return work / _SPACE


def _remove_outer(folder: Path) -> None:
    """Remove what a call of the first versions has left, whose rows are in the file."""
    for shard in folder.glob("map.*"):
        shard.unlink()
    shutil.rmtree(folder / "claims", ignore_errors=True)
    remove_temporaries(folder)
    # Last, for whoever finds this finds that all rows are in the file.
    _space_file(folder).unlink(missing_ok=True)
