"""Evaluate a function on a parameter space without a task file."""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from psyflow.columns import (
    Column,
    Columns,
    concatenate,
    from_rows,
    table_length,
    unpacked,
    without,
)
from psyflow.copies import fresh
from psyflow.engines import Returned, evaluate_through
from psyflow.evaluate import result_row
from psyflow.exceptions import (
    IneffectiveExcludeWarning,
    ItemsFailedError,
    PsyflowError,
    Skip,
    UnsupportedDataError,
)
from psyflow.exits import STOPPED
from psyflow.files import make_folder, write_atomic
from psyflow.merge import Outcomes, Table, merged_blocks, read_outcomes
from psyflow.outcomes import SKIPPED, Failure
from psyflow.prepared import Prepared
from psyflow.pspace import ParameterSpace
from psyflow.pspace.keys import Keys, column_keys, match
from psyflow.pspace.param import as_space
from psyflow.pspace.space import Selection
from psyflow.shard import ShardWriter
from psyflow.store import Store, store_for
from psyflow.supervisor import Supervisor
from psyflow.worker import Work

__all__ = ["get_result", "map_pspace", "map_pspace_hdd_backed", "map_pspace_parallel"]

Function: TypeAlias = Callable[..., Mapping[str, Any]]
Space: TypeAlias = "ParameterSpace | Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]"

Check: TypeAlias = Callable[[Mapping[str, Any]], None]


def get_result(
    function: Function, pset: Mapping[str, Any], exclude: Sequence[str] | None = None
) -> dict[str, Any]:
    """Evaluate `function` on one pset, and return parameters and results in one dict.

    Parameters
    ----------
    function : callable
        Takes the parameters as keyword arguments, returns a dict.
    pset : mapping
    exclude : sequence of str, optional
        Names to leave out.

    Returns
    -------
    dict
        A result with the name of a parameter takes its place.

    Raises
    ------
    TypeError
        If `function` does not return a dict.

    Warns
    -----
    IneffectiveExcludeWarning
        For each name to leave out that is not there.

    Examples
    --------
    >>> from psyflow.utils.example import square
    >>> get_result(square, {"x": 3})
    {'x': 3, 'y': 9}
    """
    row = {**pset, **result_row(function(**fresh(pset, pset)))}
    for name in exclude or ():
        if name in row:
            del row[name]
        else:
            warnings.warn(IneffectiveExcludeWarning(name), stacklevel=2)
    return row


def _as_lists(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: list(column) for name, column in from_rows(rows).items()}


def map_pspace(
    function: Function, pspace: Space, exclude: Sequence[str] | None = None
) -> dict[str, list[Any]]:
    """Evaluate `function` on every pset of `pspace`, one after the other.

    Parameters
    ----------
    function : callable
        Takes the parameters as keyword arguments, returns a dict.
    pspace : ParameterSpace, list of dicts, dict of columns, or DataFrame
    exclude : sequence of str, optional
        Names to leave out of the result.

    Returns
    -------
    dict from str to list
        Parameters and results as columns, in the order of the space. A result that some rows lack
        is NaN there. A pset for which `function` raises `Skip` has no row.

    Raises
    ------
    Exception
        Whatever `function` raises.

    Examples
    --------
    >>> from psyflow import Param
    >>> map_pspace(lambda a, b: {"sum": a + b}, Param(a=[1, 2]) * Param(b=[3, 4]))
    {'a': [1, 1, 2, 2], 'b': [3, 4, 3, 4], 'sum': [4, 5, 5, 6]}
    """
    space = as_space(pspace)
    rows = []
    for pset in space.iterate():
        with contextlib.suppress(Skip):  # the function wants it left out
            rows.append(get_result(function, pset, exclude))
    return _as_lists(rows) or _no_rows(space, exclude)


def _no_rows(space: ParameterSpace, exclude: Sequence[str] | None) -> dict[str, list[Any]]:
    return {name: [] for name in space.keys() if name not in (exclude or ())}  # noqa: SIM118


def map_pspace_parallel(
    function: Function,
    pspace: Space,
    n_jobs: int = -1,
    backend: Any = "loky",
    exclude: Sequence[str] | None = None,
) -> dict[str, list[Any]]:
    """Evaluate `function` on every pset of `pspace` in parallel, through joblib.

    The psets travel in batches, so that cheap functions stay cheap.

    Parameters
    ----------
    function : callable
        As for `map_pspace`. Processes must be able to get at it: ``"loky"`` pickles lambdas and
        closures as well, ``"multiprocessing"`` only functions that can be imported.
    pspace : ParameterSpace, list of dicts, dict of columns, or DataFrame
    n_jobs : int, optional
        Number of processes; −1 for one per processor.
    backend : str or joblib backend, optional
        ``"dask"`` and ``"ray"``, which ``psyflow[dask]`` and ``psyflow[ray]`` install, and any
        other that joblib knows: ``"loky"``, ``"multiprocessing"``, ``"threading"``.
    exclude : sequence of str, optional
        Names to leave out of the result.

    Returns
    -------
    dict from str to list
        As `map_pspace` returns it.

    Raises
    ------
    ItemsFailedError
        When all psets were evaluated, if `function` raised for some of them; it has the rows of
        the others.
    PsyflowError
        If the engine is not installed, or has not been started.

    Examples
    --------
    >>> from psyflow import Param
    >>> from psyflow.utils.example import square
    >>> map_pspace_parallel(square, Param(x=[1, 2, 3]), n_jobs=2)
    {'x': [1, 2, 3], 'y': [1, 4, 9]}
    """
    space = as_space(pspace)
    rows: dict[int, dict[str, Any]] = {}
    failures: list[Failure] = []
    for returned in evaluate_through(backend, n_jobs, function, space):
        failures += [failure for failure in returned.failures if failure.kind != SKIPPED]
        for some in returned.rows:
            columns = zip(*some.columns.values(), strict=True) if some.columns else repeat(())
            for item, values in zip(some.items.tolist(), columns, strict=False):
                rows[item] = dict(zip(some.columns, values, strict=True))
    psets = enumerate(space.iterate())
    whole = [{**pset, **rows[item]} for item, pset in psets if item in rows]
    columns_done = _as_lists([without(exclude or (), row) for row in whole])
    _warn_of_ineffective(exclude or (), whole)
    if failures:
        raise ItemsFailedError(
            f"{len(failures)} of {len(space)} items failed; the columns of the others are in "
            f"`columns` of this exception. {_first_of(failures)}",
            columns_done,
            failures,
        )
    return columns_done or _no_rows(space, exclude)


def _warn_of_ineffective(exclude: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    for name in exclude:
        if rows and not any(name in row for row in rows):
            warnings.warn(IneffectiveExcludeWarning(name), stacklevel=3)


def _first_of(failures: Sequence[Failure]) -> str:
    first = min(failures, key=lambda failure: failure.item)
    return f"The first failed with {first.exception}\n{first.traceback}"


def map_pspace_hdd_backed(
    function: Function,
    pspace: Space,
    filename: str | os.PathLike[str],
    store: Store | None = None,
    return_data: bool = True,
    pool_size: int = 1,
    exclude: Sequence[str] | None = None,
    backend: Any = None,
) -> dict[str, Column] | None:
    """Evaluate `function` on the psets that `filename` lacks, and add their rows to it.

    Outcomes reach the disk, in a folder beside the file, at least once a second; after a crash the
    next call with the same file goes on with what is missing.

    Parameters
    ----------
    function : callable
        As for `map_pspace`.
    pspace : ParameterSpace, list of dicts, dict of columns, or DataFrame
    filename : str or path
    store : Store, optional
        By default what the extension of `filename` says.
    return_data : bool, optional
        Whether to load and return the whole file.
    pool_size : int, optional
        Number of worker processes.
    exclude : sequence of str, optional
        Names to leave out of the file; parameters are needed to find out what is missing.
    backend : str or joblib backend, optional
        As for `map_pspace_parallel`, such as ``"dask"``: where `pool_size` workers, −1 for all,
        evaluate the psets. This process writes what comes back. None for processes of psyflow's.

    Returns
    -------
    dict from str to column
        None without `return_data`.

    Raises
    ------
    ItemsFailedError
        If items failed; the rows of the others are in the file. A result with the name of a
        parameter is such a failure, because the file could not tell any more what is done.

    Examples
    --------
    >>> from psyflow import Param
    >>> from psyflow.utils.example import square
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "squares.pkl"
    ...     _ = map_pspace_hdd_backed(square, Param(x=[1, 2]), file)
    ...     map_pspace_hdd_backed(square, Param(x=[1, 2, 3]), file)
    {'x': [1, 2, 3], 'y': [1, 4, 9]}
    """
    path = Path(filename).absolute()
    backing = _Backing(path, store or store_for(path), exclude or ())
    space = as_space(pspace)
    backing.collect()
    pending = backing.missing(space)
    failures = backing.evaluate(function, pending, pool_size, backend) if len(pending) else []
    if failures:
        raise ItemsFailedError(
            f"{len(failures)} of {len(space)} items failed; the rows of the others are in {path}. "
            f"{_first_of(failures)}",
            None,
            failures,
        )
    if not return_data:
        return None
    return backing.store.load(path) if path.exists() else {**_no_rows(space, exclude)}


class _Backing:
    """A result file, and beside it a folder of shards while items are evaluated."""

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
