"""Data frames: a row for each row of a table, or for each element of the arrays in it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from psyflow.columns import Column, Columns, table_length, take
from psyflow.exceptions import UsageError
from psyflow.results.convert.outputaxes import axis_names, places_of_rows
from psyflow.results.convert.solid import Array, array_rows, objects, solid
from psyflow.results.extras import needed
from psyflow.results.meaning import Meaning

if TYPE_CHECKING:
    import pandas

__all__ = ["elements", "pandas_frame"]


def pandas_frame(table: Columns) -> pandas.DataFrame:
    """Return a data frame with a row for each row; arrays, lists and dicts are objects in it.

    Raises
    ------
    UsageError
        If pandas is not installed.

    Examples
    --------
    >>> pandas_frame({"a": [1, 2], "trace": np.zeros((2, 3))})["trace"][1]
    array([0., 0., 0.])
    """
    pandas = needed("pandas")
    # Without a copy of each column, which would take twice the memory.
    series = {name: _series(pandas, column) for name, column in table.items()}
    return pandas.DataFrame(series, index=pandas.RangeIndex(table_length(table)))


def _series(pandas: Any, column: Column) -> Any:
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind not in "OUV":
        return pandas.Series(column)
    values = list(column)
    types = set(map(type, values))
    if any(issubclass(kind, list | tuple | dict | set | np.ndarray | np.void) for kind in types):
        return pandas.Series(objects(values), dtype=object)
    if not types <= {str, np.str_, type(None)}:
        return pandas.Series(solid(values))
    try:
        return pandas.Series(values)
    except UnicodeError:
        return pandas.Series(objects(values), dtype=object)  # Not all text is Unicode.


def elements(table: Columns, meaning: Meaning) -> dict[str, Column]:
    """Return a table with a row for each element of the arrays in a table.

    Parameters
    ----------
    table : mapping from str to column
    meaning : Meaning
        What the axes of the arrays are called, and where along them the elements are.

    Returns
    -------
    dict from str to column
        What is no array is repeated; then come the places along each axis, and the elements. An
        array that is absent or empty has no elements, and so no rows.

    Raises
    ------
    UsageError
        If the arrays have different axes, or different shapes in one row.

    Examples
    --------
    >>> elements({"a": [1, 2], "y": np.array([[0.5, 1.0], [2.0, 4.0]])}, Meaning())
    {'a': [1, 1, 2, 2], 'y_0': array([0, 1, 0, 1]), 'y': array([0.5, 1. , 2. , 4. ])}
    """
    found = {name: array_rows(column) for name, column in table.items()}
    arrays = {name: rows for name, rows in found.items() if rows is not None}
    if not arrays:
        return dict(table)
    dims = _common_axes(arrays, meaning)
    shapes = _common_shapes(arrays)
    sizes = [math.prod(shape) if shape is not None else 0 for shape in shapes]
    repeats = np.repeat(np.arange(len(shapes)), sizes)
    long = {n: take(column, repeats) for n, column in table.items() if n not in arrays}
    axes: dict[str, Column] = {}
    for number, dim in enumerate(dims):
        if dim not in arrays:
            free = f"{dim}_" if dim in long else dim
            axes[free] = _along(dim, number, shapes, table, meaning)
    return long | axes | {name: _joined(rows, shapes) for name, rows in arrays.items()}


def _common_axes(
    arrays: Mapping[str, Sequence[Array | None]], meaning: Meaning
) -> tuple[str, ...]:
    """Return the names of the axes, which have to be the same for all arrays."""
    names_by_axes: dict[tuple[str, ...], list[str]] = {}
    for name, rows in arrays.items():
        n_axes = next(row.ndim for row in rows if row is not None)
        names_by_axes.setdefault(axis_names(name, n_axes, meaning), []).append(name)
    if len(names_by_axes) > 1:
        told = "; ".join(
            f"{', '.join(f'`{name}`' for name in names)} along {', '.join(axes)}"
            for axes, names in names_by_axes.items()
        )
        choice = ", ".join(f'"{name}"' for name in next(iter(names_by_axes.values())))
        raise UsageError(
            f"One long table has arrays along the same axes only, and here are {told}. Choose "
            f"some of them: select({choice}). Or say in the task file which axes are the same: "
            f"dims = {{…}}."
        )
    return next(iter(names_by_axes))


def _common_shapes(arrays: Mapping[str, Sequence[Array | None]]) -> list[tuple[int, ...] | None]:
    """Return the shape of the arrays in each row; None if there is none."""
    shapes: list[tuple[int, ...] | None] = []
    for number, row in enumerate(zip(*arrays.values(), strict=True)):
        found = {
            array.shape: name for name, array in zip(arrays, row, strict=True) if array is not None
        }
        if len(found) > 1:
            told = " and ".join(f"`{name}` {shape}" for shape, name in found.items())
            raise UsageError(
                f"One long table has arrays of the same shapes side by side, but row {number} has "
                f"{told}. Choose one of them: select(…)."
            )
        shapes.append(next(iter(found), None))
    return shapes


def _along(
    dim: str,
    number: int,
    shapes: Sequence[tuple[int, ...] | None],
    table: Columns,
    meaning: Meaning,
) -> Column:
    """Return for each element where it is along an axis, the one of some number."""
    sizes = [None if shape is None else shape[number] for shape in shapes]
    places = places_of_rows(dim, sizes, table, meaning)
    known = {shape for shape in shapes if shape is not None}
    steps = {shape: np.indices(shape)[number].reshape(-1) for shape in known}
    parts = [
        where[steps[shape]]
        for where, shape in zip(places, shapes, strict=True)
        if shape is not None
    ]
    return _chained(parts)


def _joined(rows: Sequence[Array | None], shapes: Sequence[tuple[int, ...] | None]) -> Column:
    """Return the elements of the arrays in all rows, NaN for those of an absent one."""
    parts = [
        np.full(math.prod(shape), np.nan) if row is None else row.reshape(-1)
        for row, shape in zip(rows, shapes, strict=True)
        if shape is not None
    ]
    return _chained(parts)


def _chained(parts: Sequence[Array]) -> Column:
    if len({part.dtype for part in parts}) <= 1:
        return np.concatenate(parts) if parts else np.empty(0)
    return solid(list(itertools.chain.from_iterable(part.tolist() for part in parts)))
