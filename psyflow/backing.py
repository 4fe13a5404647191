"""The result file of a map, and beside it a folder of shards while items are evaluated."""

from __future__ import annotations

import functools
import pickle
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from psyflow.columns import Column, Columns, concatenate, table_length, unpacked, without
from psyflow.engines import Returned, evaluate_through
from psyflow.exceptions import IneffectiveExcludeWarning, PsyflowError, UnsupportedDataError
from psyflow.exits import STOPPED
from psyflow.files import make_folder, write_atomic
from psyflow.merge import Outcomes, Table, merged_blocks, read_outcomes
from psyflow.outcomes import Failure
from psyflow.prepared import Prepared
from psyflow.pspace import ParameterSpace
from psyflow.pspace.keys import Keys, column_keys, match
from psyflow.pspace.space import Selection
from psyflow.shard import ShardWriter
from psyflow.store import Store
from psyflow.supervisor import Supervisor
from psyflow.worker import Work

__all__ = ["Backing", "Function"]

Function: TypeAlias = Callable[..., Mapping[str, Any]]
Check: TypeAlias = Callable[[Mapping[str, Any]], None]


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
        self._space_file = self._folder / "pspace.pkl"

    def missing(self, space: ParameterSpace) -> ParameterSpace:
        """Return the psets that the file has no row for; repeated psets need repeated rows."""
        known = match(self._keys(space), self._keys_in_file(space)) >= 0
        return Selection(space, np.flatnonzero(~known))

    def evaluate(
        self, function: Function, space: ParameterSpace, pool_size: int, backend: Any
    ) -> list[Failure]:
        """Evaluate all of `space`, add the rows to the file, and return the failures."""
        make_folder(self._folder)
        write_atomic(self._space_file, pickle.dumps(space))
        check = functools.partial(self._check, space)
        try:
            if backend is None:
                self._supervise(function, space, pool_size, check)
            else:
                self._write_what_returns(
                    evaluate_through(backend, pool_size, function, space, check)
                )
        finally:
            failures = [record.read() for record in self._outcomes().failures]
            self.collect()
        return failures

    def _supervise(
        self, function: Function, space: ParameterSpace, pool_size: int, check: Check
    ) -> None:
        work = Work(
            space=space,
            items=np.arange(len(space)),
            claims=self._folder / "claims",
            out=self._folder,
            prefix="map",
            prepare=lambda worker: Prepared(function, check=check),
            n_workers=pool_size,
        )
        status = Supervisor(work, pool_size).run()
        if status == STOPPED:
            raise KeyboardInterrupt
        if status:
            raise PsyflowError(f"The workers could not work (exit code {status}).")

    def _write_what_returns(self, batches: Iterable[Returned]) -> None:
        with ShardWriter(self._folder / "map.engine.rows") as writer:
            for batch in batches:
                for rows in batch.rows:
                    writer.write_rows(rows)
                for failure in batch.failures:
                    writer.write_failure(failure)
                writer.sync()

    def _check(self, space: ParameterSpace, row: Mapping[str, Any]) -> None:
        self.store.check(row)
        for name in row:
            if name in space.keys():  # noqa: SIM118
                raise UnsupportedDataError(
                    f'The result "{name}" has the name of a parameter, and would take its place '
                    f"in {self.path}, where parameters tell what is done. Name it otherwise."
                )

    def collect(self) -> None:
        """Add to the file what the shards have and it has not, and remove them."""
        if not self._space_file.exists():
            return
        space: ParameterSpace = pickle.loads(self._space_file.read_bytes())
        table = Table.index(self._outcomes().pieces, len(space))
        known = match(self._keys(space), self._keys_in_file(space)) >= 0
        # A call that died after adding them left its shards: the file tells what it has.
        table.piece_of[known] = -1
        blocks = [{**space.take(items), **block.columns} for items, block in merged_blocks(table)]
        if blocks:
            rows = unpacked(concatenate(blocks))
            self.store.append(self.path, self._without_excluded(rows))
        shutil.rmtree(self._folder)

    def _outcomes(self) -> Outcomes:
        return read_outcomes(sorted(self._folder.glob("map.*.rows")), verify=True)

    def _names(self, space: ParameterSpace) -> list[str]:
        return [name for name in space.keys() if name not in self._exclude]  # noqa: SIM118

    def _keys(self, space: ParameterSpace) -> Keys:
        return space.pset_keys(names=self._names(space))

    def _keys_in_file(self, space: ParameterSpace) -> Keys:
        columns = self.store.load(self.path) if self.path.exists() else {}
        n_rows = table_length(columns)
        absent = [float("nan")] * n_rows
        names = self._names(space)
        return column_keys({name: columns.get(name, absent) for name in names}, n_rows)

    def _without_excluded(self, columns: Columns) -> dict[str, Column]:
        for name in self._exclude:
            if name not in columns:
                warnings.warn(IneffectiveExcludeWarning(name), stacklevel=4)
        return without(self._exclude, columns)
