"""Statistics of the rows that agree in some columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, Columns, take
from psyflow.exceptions import UnknownNameError, UsageError
from psyflow.results.convert.outputaxes import axis_names
from psyflow.results.grouping import grouped
from psyflow.results.meaning import Meaning
from psyflow.results.selecting import is_absent
from psyflow.results.statistics import STATISTICS, Groups

__all__ = ["meaning_of", "numbers_of", "summarized"]


def summarized(
    table: Columns, by: Sequence[str], outputs: Sequence[str], stats: Sequence[str]
) -> dict[str, Column]:
    """Return the columns of `Results.summary`.

    Parameters
    ----------
    table : mapping from str to column
    by : sequence of str
        The columns that tell groups apart.
    outputs : sequence of str
        The columns of which there are statistics, as far as they are numbers.
    stats : sequence of str
        Names of statistics.

    Raises
    ------
    UnknownNameError
        If there is no such statistic.
    UsageError
        If one would have the name of a column that tells groups apart.

    Examples
    --------
    >>> summarized({"a": [1, 2, 1], "y": [1.0, 5.0, 3.0]}, ["a"], ["y"], ["mean", "n"])
    {'a': [1, 2], 'y_mean': array([2., 5.]), 'y_n': array([2, 1])}
    """
    for stat in stats:
        if stat not in STATISTICS:
            raise UnknownNameError("statistic", stat, STATISTICS)
    first, codes = grouped(table, by)
    groups = Groups(codes)
    columns = {name: take(table[name], first) for name in by}
    for name in outputs:
        numbers = numbers_of(table[name])
        if numbers is not None:
            values = groups.of(numbers)
            _require_free(name, stats, by)
            columns |= {f"{name}_{stat}": STATISTICS[stat](values) for stat in stats}
    return columns


def _require_free(name: str, stats: Sequence[str], by: Sequence[str]) -> None:
    """Raise UsageError if a statistic of an output would take the place of a parameter."""
    for stat in stats:
        if f"{name}_{stat}" in by:
            raise UsageError(
                f'The {stat} of "{name}" would be called "{name}_{stat}", as a parameter is. '
                "Look at every row (psy show --all), aggregate over that parameter too, or rename "
                "one of them."
            )


def meaning_of(
    table: Columns, outputs: Sequence[str], stats: Sequence[str], meaning: Meaning
) -> Meaning:
    """Return what the columns of a summary mean, of a table whose columns' meaning is given."""
    names = [(f"{name}_{stat}", name, stat) for name in outputs for stat in stats]
    counts = ("n", "n_missing")
    dims = {name: _dims_of(name, table[name], meaning) for name in outputs}
    return Meaning(
        dims={**meaning.dims, **{s: dims[n] for s, n, _ in names if dims[n]}},
        coords={dim: _lasting(places, table, outputs) for dim, places in meaning.coords.items()},
        units={
            **meaning.units,
            **{s: meaning.units[n] for s, n, o in names if n in meaning.units and o not in counts},
        },
        labels={
            **meaning.labels,
            **{s: f"{meaning.labels[n]}, {o}" for s, n, o in names if n in meaning.labels},
        },
    )


def _dims_of(name: str, column: Column, meaning: Meaning) -> Sequence[str]:
    """Return the names of the axes of an output, whatever statistic of it there is."""
    if name in meaning.dims or not (isinstance(column, np.ndarray) and column.ndim > 1):
        return meaning.dims.get(name, ())
    return axis_names(name, column.ndim - 1, meaning)


def _lasting(places: Any, table: Columns, outputs: Sequence[str]) -> Any:
    """Return the places along an axis as values, if an output has the same ones in all rows."""
    if not isinstance(places, str) or places not in outputs:
        return places
    values = numbers_of(table[places])
    is_same = values is not None and len(values) and (values == values[:1]).all()
    return values[0] if is_same and values is not None else places


def numbers_of(column: Column) -> npt.NDArray[np.number] | None:
    """Return a column of numbers as an array; None if it is of anything else.

    Examples
    --------
    >>> numbers_of([1, None, 2])
    array([ 1., nan,  2.])
    >>> numbers_of(["a"]) is None
    True
    """
    if isinstance(column, np.ndarray) and column.dtype.kind != "O":
        return column if column.dtype.kind in "biuf" else None
    try:
        return _numbers_in(list(column))
    except ValueError:
        return None  # lists of different lengths in a list


def _numbers_in(values: Sequence[Any]) -> npt.NDArray[np.number] | None:
    if set(map(type, values)) in ({float}, {bool}):
        return np.array(values)  # At once, for there may be many.
    is_gone = list(map(is_absent, values))
    there = [value for value, is_none in zip(values, is_gone, strict=True) if not is_none]
    shapes = set(map(np.shape, there))
    if len(shapes) > 1 or any(isinstance(value, str | bytes) for value in there):
        return None
    shape = shapes.pop() if shapes else ()
    nothing = np.full(shape, np.nan)
    filled = zip(values, is_gone, strict=True)
    numbers = np.array([nothing if is_none else value for value, is_none in filled])
    return numbers if numbers.dtype.kind in "biuf" else None
