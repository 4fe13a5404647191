"""The result file of a map, and beside it a folder while items are evaluated.

::

    <file>.run/
      hold/         whose call it is
      <random>/     what this call, or one that died, evaluates:
        place.json  which folder this is, should it be copied
        pspace.pkl  the space; from when it is there until the rows are in the file
        claims/
        map.*.rows  shards

    <file>.code.json
                    which code has made the rows

A call has a folder of its own, so that nothing of an earlier one is ever taken for its own.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pickle
import shutil
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from psyflow.columns import Column, Columns, concatenate, table_length, unpacked, without
from psyflow.exceptions import (
    IneffectiveExcludeWarning,
    PsyflowError,
    RunHeldError,
)
from psyflow.fingerprint.functions import FunctionCode
from psyflow.mapper.batches import Returned
from psyflow.mapper.engines import evaluate_through
from psyflow.mapper.madeby import CodeRecord, put_aside
from psyflow.outcomes.reading import Outcomes, read_outcomes
from psyflow.outcomes.records import Failure
from psyflow.outcomes.shard import ShardWriter
from psyflow.outcomes.table import Table, merged_blocks
from psyflow.pspace import ParameterSpace
from psyflow.pspace.keys import Keys, column_keys, match
from psyflow.pspace.space import Selection
from psyflow.store import Store
from psyflow.store.base import append_whole
from psyflow.system.exits import STOPPED
from psyflow.system.files import is_there, make_folder, remove_temporaries, write_atomic
from psyflow.system.hold import Hold
from psyflow.system.orphans import ORPHAN_SECONDS, wait_until_dead
from psyflow.system.owner import Owner
from psyflow.system.place import Place
from psyflow.system.trust import Origin, seal, unpickled, unsealed
from psyflow.work.claims import Claim
from psyflow.work.prepared import Prepared
from psyflow.work.supervisor import Supervisor
from psyflow.work.worker import Work

__all__ = ["Backing", "Function"]

Function: TypeAlias = Callable[..., Mapping[str, Any]]
Check: TypeAlias = Callable[[Mapping[str, Any]], None]

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

    def _left(self) -> list[Path]:
        """Return the folders of calls that died."""
        if not self._folder.is_dir():
            return []
        folders = (path for path in self._folder.iterdir() if path.is_dir())
        # The first versions had only the outer folder.
        return [
            *([self._folder] if is_there(_space_file(self._folder)) else []),
            *sorted(path for path in folders if path.name not in ("hold", "claims")),
        ]

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
        self, function: Function, space: ParameterSpace, pool_size: int, backend: Any
    ) -> list[Failure]:
        """Evaluate all of `space`, add the rows to the file, and return the failures."""
        if self._not_held is not None:
            raise self._not_held
        self._record.begin(self._code)
        work = _new_folder(self._folder)
        write_atomic(_space_file(work), seal(pickle.dumps(space), work))
        check = self.store.check
        try:
            if backend is None:
                self._supervise(work, function, space, pool_size, check)
            else:
                _write_what_returns(
                    work, evaluate_through(backend, pool_size, function, space, check)
                )
        except BaseException:
            # What cannot be taken up now is there for the next call; this is what is told.
            with contextlib.suppress(OSError, PsyflowError):
                self._take_up(work)
            raise
        failures = [record.read() for record in _outcomes(work).failures]
        self._take_up(work)
        return failures

    def _supervise(
        self,
        folder: Path,
        function: Function,
        space: ParameterSpace,
        pool_size: int,
        check: Check,
    ) -> None:
        work = Work(
            space=space,
            items=np.arange(len(space)),
            claims=folder / "claims",
            out=folder,
            prefix="map",
            prepare=lambda worker: Prepared(function, check=check),
            n_workers=pool_size,
        )
        status = Supervisor(work, pool_size).run()
        if status == STOPPED:
            raise KeyboardInterrupt
        if status:
            raise PsyflowError(f"The workers could not work (exit code {status}).")

    def _wait_for_workers(self, work: Path) -> None:
        """Let the workers of a call that died end; they notice within a second."""
        if self._not_held is not None:
            raise self._not_held
        if not wait_until_dead(_workers(work), ORPHAN_SECONDS):
            raise RunHeldError(
                f"Workers of a call that died still evaluate psets for {self.path}. "
                "Wait for them, or end them."
            )

    def _take_up(self, work: Path) -> None:
        """Add to the file what the shards in `work` have and it has not, and remove them."""
        if is_there(_space_file(work)):
            self._add_rows(work)
        _remove(work, is_outer=work == self._folder)

    def _add_rows(self, work: Path) -> None:
        pickled, is_own = unsealed(_space_file(work).read_bytes())
        space: ParameterSpace = unpickled(pickled, str(_space_file(work)), own=is_own)
        table = Table.index(_outcomes(work).pieces, len(space))
        known = match(self._keys(space), self._keys_in_file(space)) >= 0
        # A call that died after adding them left its shards: the file tells what it has.
        table.piece_of[known] = -1
        blocks = [{**space.take(items), **block.columns} for items, block in merged_blocks(table)]
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


def _new_folder(parent: Path) -> Path:
    work = make_folder(parent / os.urandom(4).hex())
    place = Place.of(work)
    assert place is not None
    write_atomic(work / "place.json", json.dumps(asdict(place)))
    return work


def _is_copy(work: Path) -> bool:
    """Tell whether this is a copy of a folder in which others work; of old, nothing tells."""
    try:
        place = Place.from_json(json.loads((work / "place.json").read_bytes()))
    except (FileNotFoundError, ValueError):
        return False
    return place is not None and not place.is_here(work)


def _space_file(work: Path) -> Path:
    return work / "pspace.pkl"


def _outcomes(work: Path) -> Outcomes:
    shards, origin = sorted(work.glob("map.*.rows")), Origin(work, _space_file(work))
    return read_outcomes(shards, origin=lambda shard: origin, verify=True)


def _workers(work: Path) -> set[Owner]:
    """Return the workers that have claimed items in `work`."""
    owners: set[Owner] = set()
    if _is_copy(work):
        return owners
    for claim in (work / "claims").glob("[0-9]*"):
        # A power loss may have emptied it; whose it was has not survived that.
        with contextlib.suppress(ValueError):
            owners.add(Claim.from_bytes(claim.read_bytes()).owner)
    return owners


def _write_what_returns(work: Path, batches: Iterable[Returned]) -> None:
    with ShardWriter(work / "map.engine.rows") as writer:
        for batch in batches:
            for rows in batch.rows:
                writer.write_rows(rows)
            for failure in batch.failures:
                writer.write_failure(failure)
            writer.sync()


def _remove(work: Path, *, is_outer: bool) -> None:
    """Remove what a call has left, whose rows are in the file."""
    if not is_outer:
        shutil.rmtree(work)
        return
    for shard in work.glob("map.*"):
        shard.unlink()
    shutil.rmtree(work / "claims", ignore_errors=True)
    remove_temporaries(work)
    # Last, for whoever finds this finds that all rows are in the file.
    _space_file(work).unlink(missing_ok=True)
