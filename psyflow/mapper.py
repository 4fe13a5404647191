"""Evaluate a function on a parameter space without a task file."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, TypeAlias

from psyflow.backing import Backing, Function
from psyflow.columns import Column, from_rows, without
from psyflow.copies import fresh
from psyflow.engines import evaluate_through
from psyflow.evaluate import result_row
from psyflow.exceptions import IneffectiveExcludeWarning, ItemsFailedError, Skip
from psyflow.outcomes import SKIPPED, Failure
from psyflow.pspace import ParameterSpace
from psyflow.pspace.param import as_space
from psyflow.store import Store, store_for

__all__ = ["get_result", "map_pspace", "map_pspace_hdd_backed", "map_pspace_parallel"]

Space: TypeAlias = "ParameterSpace | Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]"


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
    backing = Backing(path, store or store_for(path), exclude or ())
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
