"""Evaluate a function on a parameter space without a task file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from psyflow.columns import Column, without
from psyflow.exceptions import IneffectiveExcludeWarning, ItemsFailedError, UnsupportedDataError
from psyflow.fingerprint.functions import code_of_function
from psyflow.mapper.alike import Together
from psyflow.mapper.arguments import (
    check_fits,
    check_most_failures,
    most_failures,
    name_of,
    workers_of,
)
from psyflow.mapper.backing import Backing, Function
from psyflow.mapper.call import Call
from psyflow.mapper.collected import Collected
from psyflow.mapper.engines.here import Serial
from psyflow.mapper.flow import evaluate_through, evaluating
from psyflow.mapper.supply import OfSpace
from psyflow.outcomes.records import OF_RESULT, SKIPPED, Failure
from psyflow.pspace import ParameterSpace
from psyflow.pspace.param import as_space
from psyflow.reprs import safe_repr
from psyflow.store import Store, store_for
from psyflow.system.reading import is_there
from psyflow.work.copies import fresh
from psyflow.work.rows import beside, result_row

__all__ = ["get_result", "map_pspace", "map_pspace_hdd_backed", "map_pspace_parallel"]

_OF_EXECUTE = "execute returned"
Space: TypeAlias = "ParameterSpace | Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]"


def get_result(
    fn: Function, pset: Mapping[str, Any], exclude: Sequence[str] | None = None
) -> dict[str, Any]:
    """Evaluate `fn` on one pset, and return parameters and results in one dict.

    Parameters
    ----------
    fn : callable
        Takes the parameters as keyword arguments, returns a dict.
    pset : mapping
    exclude : sequence of str, optional
        Names to leave out.

    Returns
    -------
    dict

    Raises
    ------
    TypeError
        If `fn` does not return a dict.
    UnsupportedDataError
        If a result has the name of a parameter and another value, which it would replace.
    Exception
        Whatever `fn` raises.

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
    try:
        row = {**pset, **beside(pset, result_row(fn(**fresh(pset, pset))))}
    except (TypeError, UnsupportedDataError) as error:
        if not str(error).startswith(_OF_EXECUTE):
            raise
        raise type(error)(_by_name(str(error), fn)) from None
    for name in exclude or ():
        if name in row:
            del row[name]
        else:
            warnings.warn(IneffectiveExcludeWarning(name), stacklevel=2)
    return row


def map_pspace(
    fn: Function, pspace: Space, exclude: Sequence[str] | None = None
) -> dict[str, list[Any]]:
    """Evaluate `fn` on every pset of `pspace`, one after the other.

    Parameters
    ----------
    fn : callable
        Takes the parameters as keyword arguments, returns a dict.
    pspace : ParameterSpace, list of dicts, dict of columns, or DataFrame
    exclude : sequence of str, optional
        Names to leave out of the result.

    Returns
    -------
    dict from str to list
        Parameters and results as columns, in the order of the space. A result that some rows lack
        is NaN there. A pset for which `fn` raises `Skip` has no row.

    Raises
    ------
    TypeError
        If `pspace` is no table, or `fn` does not return a dict.
    UsageError
        If `fn` does not take the names of the psets, before it is called.
    UnsupportedDataError
        If a result has the name of a parameter and another value.
    Exception
        Whatever `fn` raises.

    Warns
    -----
    IneffectiveExcludeWarning
        For each name to leave out that is not there.

    Examples
    --------
    >>> from psyflow import Param
    >>> map_pspace(lambda a, b: {"sum": a + b}, Param(a=[1, 2]) * Param(b=[3, 4]))
    {'a': [1, 1, 2, 2], 'b': [3, 4, 3, 4], 'sum': [4, 5, 5, 6]}
    """
    space = _space_for(fn, pspace)
    collected = Collected(len(space))
    engine = Serial(Call(fn), lets_through=(BaseException,))
    try:
        for returned in evaluating(engine, OfSpace(space), group_size=max(1, len(space))):
            collected.add(returned)
    except (TypeError, UnsupportedDataError) as error:
        if not str(error).startswith(_OF_EXECUTE):
            raise
        raise type(error)(_by_name(str(error), fn)) from None
    return _as_lists(collected, space, exclude or ())


def _by_name(message: str, fn: object) -> str:
    """Return what is said of `execute` as being said of a function."""
    return message.replace(_OF_EXECUTE, f"`{name_of(fn)}` returned", 1)


def _space_for(fn: object, pspace: Any) -> ParameterSpace:
    """Return psets as a space, having seen that the function can be called with them."""
    if not callable(fn):
        raise TypeError(
            f"The function comes first, and then the parameter space; {safe_repr(fn, 60)} is no "
            "function."
        )
    space = as_space(pspace)
    if len(space):
        check_fits(fn, space.keys())
    return space


def _as_lists(
    collected: Collected, space: ParameterSpace, exclude: Sequence[str]
) -> dict[str, list[Any]]:
    """Return what was collected, but for some names; all parameters if there are no rows."""
    if not collected.n_done:
        return _no_rows(space, exclude)
    columns = collected.columns(space)
    for name in exclude:
        if name not in columns:
            warnings.warn(IneffectiveExcludeWarning(name), stacklevel=3)
    return {name: list(column) for name, column in without(exclude, columns).items()}


def _no_rows(space: ParameterSpace, exclude: Sequence[str] | None) -> dict[str, list[Any]]:
    return {name: [] for name in space.keys() if name not in (exclude or ())}  # noqa: SIM118


def map_pspace_parallel(
    fn: Function,
    pspace: Space,
    n_jobs: int = -1,
    backend: Any = "loky",
    exclude: Sequence[str] | None = None,
    *,
    max_failures: int | float | None = None,
) -> dict[str, list[Any]]:
    """Evaluate `fn` on every pset of `pspace` in parallel, through joblib.

    The psets travel in batches, so that cheap functions stay cheap.

    Parameters
    ----------
    fn : callable
        As for `map_pspace`. Processes must be able to get at it: ``"loky"`` pickles lambdas and
        closures as well, ``"multiprocessing"`` only functions that can be imported.
    pspace : ParameterSpace, list of dicts, dict of columns, or DataFrame
    n_jobs : int, optional
        Number of processes; −1 for one per processor, −2 for one less, and so on.
    backend : str or joblib backend, optional
        ``"dask"`` and ``"ray"``, which ``psyflow[dask]`` and ``psyflow[ray]`` install, and any
        other that joblib knows: ``"loky"``, ``"multiprocessing"``, ``"threading"``.
    exclude : sequence of str, optional
        Names to leave out of the result.
    max_failures : int or float, optional
        As for `map`.

    Returns
    -------
    dict from str to list
        As `map_pspace` returns it.

    Raises
    ------
    ItemsFailedError
        When all psets were evaluated, if `fn` raised for some of them; it has the rows of
        the others. Before that, after `max_failures`, or where no pset can do better.
    UsageError
        If `fn` does not take the names of the psets, before it is called.
    PsyflowError
        If the engine is not installed, or has not been started.
    ValueError
        If joblib knows no such backend.
    TypeError
        If `pspace` is no table.

    Warns
    -----
    IneffectiveExcludeWarning
        For each name to leave out that is not there.

    Examples
    --------
    >>> from psyflow import Param
    >>> from psyflow.utils.example import square
    >>> map_pspace_parallel(square, Param(x=[1, 2, 3]), n_jobs=2)
    {'x': [1, 2, 3], 'y': [1, 4, 9]}
    """
    check_most_failures(max_failures)
    n_jobs = workers_of("n_jobs", n_jobs)
    space = _space_for(fn, pspace)
    together, collected = Together(most_failures(max_failures, len(space))), Collected(len(space))
    for returned in evaluate_through(backend, n_jobs, fn, space, together=together):
        collected.add(returned)
    columns = _as_lists(collected, space, exclude or ())
    if failures := [f for f in collected.failures.values() if f.kind != SKIPPED]:
        n_left = len(space) - len(collected.failures) - collected.n_done
        raise ItemsFailedError(
            f"{len(failures)} of {len(space)} items failed; the columns of the others are in "
            f"`columns` of this exception. {_left(n_left)}{_first_of(failures, fn)}",
            columns,
            failures,
        )
    return columns


def _left(n_items: int) -> str:
    if not n_items:
        return ""
    return f"{n_items} never ran, because so many failed: `max_failures` says how many may. "


def _first_of(failures: Sequence[Failure], fn: object) -> str:
    first = min(failures, key=lambda failure: failure.item)
    said = _by_name(first.exception, fn) if first.kind == OF_RESULT else first.exception
    return f"The first failed with {said}\n{first.traceback}"


def map_pspace_hdd_backed(
    fn: Function,
    pspace: Space,
    filename: str | os.PathLike[str],
    store: Store | None = None,
    return_data: bool = True,
    pool_size: int = 1,
    exclude: Sequence[str] | None = None,
    backend: Any = None,
    keep: bool = False,
    *,
    max_failures: int | float | None = None,
) -> dict[str, Column] | None:
    """Evaluate `fn` on the psets that `filename` lacks, and add their rows to it.

    Outcomes reach the disk, in a folder beside the file, at least once a second; after a crash the
    next call with the same file goes on with what is missing. While one call evaluates, others
    with the same file are refused. An empty space makes a file without rows.

    The code that `fn` reaches is noted beside the file, in ``<filename>.code.json``, with the
    values that a lambda or a method has with it, and those that names of own modules have. If it
    has changed, that is said, the file gets a name with the date, and all psets are evaluated
    anew. Code in packages that are installed is
    not looked at. Rows of a file without that note are kept.

    Parameters
    ----------
    fn : callable
        As for `map_pspace`.
    pspace : ParameterSpace, list of dicts, dict of columns, or DataFrame
    filename : str or path
    store : Store, optional
        By default what the extension of `filename` says.
    return_data : bool, optional
        Whether to load and return the whole file.
    pool_size : int, optional
        Number of worker processes, at least 1.
    exclude : sequence of str, optional
        Names to leave out of the file; parameters are needed to find out what is missing.
    backend : str or joblib backend, optional
        As for `map_pspace_parallel`, such as ``"dask"``: where `pool_size` workers, −1 for all,
        evaluate the psets. This process writes what comes back. None for processes of psyflow's.
    keep : bool, optional
        Keep the rows that other code has made, as ``psy run -c`` does.
    max_failures : int or float, optional
        As for `map`.

    Returns
    -------
    dict from str to list or ndarray
        All rows of the file, as its store loads them; None without `return_data`.

    Raises
    ------
    ItemsFailedError
        If items failed; the rows of the others are in the file. A result with the name of a
        parameter and another value is such a failure, as nobody could tell any more what is done.
    RunHeldError
        If another process, which it names, is at work on the same file.
    StoreError, OSError
        If the file that is there cannot be loaded, or the new one not be written.
    UsageError
        If there is no store for the extension, or `fn` does not take the names of the psets.
    UnstableValueError
        If a parameter has a value that nothing tells from others.
    PsyflowError, ValueError, TypeError
        As for `map_pspace_parallel`.

    Warns
    -----
    IneffectiveExcludeWarning
        For each name to leave out that is not there.

    Examples
    --------
    >>> from psyflow import Param
    >>> from psyflow.utils.example import square
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = f"{folder}/squares.pkl"
    ...     _ = map_pspace_hdd_backed(square, Param(x=[1, 2]), file)
    ...     map_pspace_hdd_backed(square, Param(x=[1, 2, 3]), file)
    {'x': [1, 2, 3], 'y': [1, 4, 9]}
    """
    check_most_failures(max_failures)
    pool_size = workers_of("pool_size", pool_size)
    path = Path(filename).absolute()
    backing = Backing(path, store or store_for(path), exclude or ())
    space = _space_for(fn, pspace)
    failures: list[Failure] = []
    n_left = 0
    with backing.held():
        backing.settle(code_of_function(fn), keep=keep)
        pending = backing.missing(space)
        if len(pending):
            most = most_failures(max_failures, len(pending))
            failures, n_left = backing.evaluate(fn, pending, pool_size, backend, most)
        elif not is_there(path):
            backing.store.save(path, _no_rows(space, exclude))
        backing.finish()
    if failures:
        raise ItemsFailedError(
            f"{len(failures)} of {len(space)} items failed; the rows of the others are in {path}. "
            f"{_left(n_left)}{_first_of(failures, fn)}",
            None,
            failures,
        )
    if not return_data:
        return None
    return backing.store.load(path) if is_there(path) else {**_no_rows(space, exclude)}
