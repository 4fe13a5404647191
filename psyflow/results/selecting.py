"""Which rows of a table are wanted, and in which order."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, Columns, table_length, take
from psyflow.exceptions import UnknownColumnError, UsageError
from psyflow.pspace.conditions import Condition, rows_with

__all__ = ["is_absent", "rows_at", "rows_sorted", "rows_where"]

Rows = npt.NDArray[np.int64]


def rows_where(
    table: Columns, predicate: Callable[..., Any] | None, values: Mapping[str, Any]
) -> Rows:
    """Return the places of the rows that `Results.where` is to keep."""
    rows = rows_with([Condition(name, "=", value) for name, value in values.items()], table)
    if predicate is None:
        return rows
    if not callable(predicate):
        raise UsageError(
            "`where` takes a function, as in where(lambda y: y > 1), or values, as in "
            f"where(a=2), and no {type(predicate).__name__}."
        )
    names = _names_taken_by(predicate, table)
    columns = [take(table[name], rows) for name in names]
    if not names:
        raise UsageError("The function that `where` was given takes no column.")
    is_kept = [
        bool(predicate(**dict(zip(names, row, strict=True)))) for row in zip(*columns, strict=True)
    ]
    kept: Rows = rows[np.array(is_kept, dtype=bool)]
    return kept


def rows_at(rows: npt.NDArray[Any], n_rows: int) -> Rows:
    """Return the places that `Results.at` was given, each of which there is, counted from 0.

    Raises
    ------
    UsageError
        If one is outside of the table, or they are no places.

    Examples
    --------
    >>> rows_at(np.array([0, -1]), 3), rows_at(np.array([False, True, True]), 3)
    (array([0, 2]), array([1, 2]))
    """
    # An empty list becomes an array of floats.
    wanted = rows if rows.size or rows.dtype.kind == "b" else rows.astype(np.int64)
    if wanted.ndim != 1:
        raise UsageError("`at` takes a list of places, or a flag for each row.")
    try:
        places: Rows = np.arange(n_rows, dtype=np.int64)[wanted]
    except IndexError as error:
        raise UsageError(
            f"The table has {n_rows} rows, and `at` was given others: {error}."
        ) from error
    return places


def rows_sorted(table: Columns, names: Sequence[str]) -> Rows:
    """Return the places of all rows in the order that `Results.sort_by` is to give."""
    rows = np.arange(table_length(table))
    for name in reversed(names):
        plain = name if name in table else name.removeprefix("-")
        ranks = _ranks(take(table[plain], rows))
        signed = -ranks if plain != name else ranks
        rows = rows[np.lexsort((signed, ranks < 0))]
    return rows


def is_absent(value: Any) -> bool:
    """Return whether a value is None or NaN.

    Examples
    --------
    >>> [is_absent(value) for value in (None, float("nan"), 0.0, "")]
    [True, True, False, False]
    """
    return value is None or (isinstance(value, float | np.floating) and bool(np.isnan(value)))


def _names_taken_by(predicate: Callable[..., Any], table: Columns) -> list[str]:
    parameters = inspect.signature(predicate).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return list(table)
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for parameter in named:
        if parameter.name not in table and parameter.default is parameter.empty:
            raise UnknownColumnError(parameter.name, table)
    return [parameter.name for parameter in named if parameter.name in table]


def _ranks(column: Column) -> Rows:
    """Return where each value comes in ascending order; −1 for what is absent."""
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind in "biuf":
        places: Rows = np.unique(column, return_inverse=True)[1].reshape(-1).astype(np.int64)
        return np.where(np.isnan(column), np.int64(-1), places)
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind in "mM":
        return np.where(np.isnat(column), np.int64(-1), np.unique(column, return_inverse=True)[1])
    values = list(column)
    is_there = np.array([not is_absent(value) for value in values], dtype=bool)
    there = [value for value, is_one in zip(values, is_there, strict=True) if is_one]
    try:
        distinct = sorted(set(there))
        place_of = {value: place for place, value in enumerate(distinct)}
    except TypeError as error:
        raise UsageError(f"Rows cannot be sorted by these values: {error}.") from error
    ranks = np.full(len(values), -1, dtype=np.int64)
    ranks[is_there] = [place_of[value] for value in there]
    return ranks
