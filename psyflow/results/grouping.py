"""Which rows of a table agree in some of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, Columns, table_length
from psyflow.pspace.keys import column_keys

__all__ = ["Codes", "grouped", "numbered"]

Codes = npt.NDArray[np.int64]

# What dicts and NumPy tell apart as psyflow does, among values of one of these types.
_DIRECT = {int, str, bytes, bool}
# Up to so many times as many numbers as rows, it is quicker to count them than to sort rows.
_ROOM = 4
_LOOKED_AT = 2048


def grouped(table: Columns, names: Sequence[str]) -> tuple[Codes, Codes]:
    """Return the first row of each group of rows that agree in some columns, and each row's group.

    Values are the same by the rules of psyflow: 1 is 1.0, and NaN is NaN.

    Parameters
    ----------
    table : mapping from str to column
    names : sequence of str

    Returns
    -------
    first : ndarray of int64, shape (n_groups,)
        In ascending order.
    group : ndarray of int64, shape (n_rows,)

    Examples
    --------
    >>> first, group = grouped({"a": ["x", "y", "x"], "b": [1, 1, 1]}, ["a", "b"])
    >>> first.tolist(), group.tolist()
    ([0, 1], [0, 1, 0])
    """
    n_rows = table_length(table)
    codes, size = np.zeros(n_rows, dtype=np.int64), min(1, n_rows)
    for name in names:
        first, own = numbered(table[name])
        if size * len(first) > _ROOM * max(n_rows, 1):
            first_of, codes = _renumbered(codes)
            size = len(first_of)
        codes = codes * len(first) + own
        size *= len(first)
    return _renumbered(codes)


def numbered(column: Column) -> tuple[Codes, Codes]:
    """Return the first row of each distinct value of a column, ascending, and each row's number.

    Examples
    --------
    >>> first, number = numbered([2.5, 1.0, 2.5, float("nan")])
    >>> first.tolist(), number.tolist()
    ([0, 1, 3], [0, 1, 0, 2])
    """
    codes = _codes_of(column)
    if codes is None:
        keys = column_keys({"": column}, len(column))
        low, high = (_renumbered(half.astype(np.int64))[1] for half in keys.T)
        codes = low * (len(column) + 1) + high
    return _renumbered(codes)


def _codes_of(column: Column) -> Codes | None:
    """Return an integer for each value, the same for the same; None if that takes their keys."""
    if not isinstance(column, np.ndarray):
        return _codes_in(list(column))
    kind = column.dtype.kind
    if column.ndim > 1:
        return None
    if kind in "US":
        return _codes_in(column.tolist())
    if kind in "bi" or (kind == "u" and column.dtype.itemsize < 8):
        return column.astype(np.int64)
    if kind == "f" and column.dtype.itemsize <= 8 and not np.isnan(column).any():
        # Adding zero makes one of both zeros.
        return (column.astype(np.float64) + 0.0).view(np.int64)
    return None


def _codes_in(values: Sequence[Any]) -> Codes | None:
    types = set(map(type, values))
    if types == {float}:
        return _codes_of(np.array(values))
    if len(types) != 1 or not types <= _DIRECT:
        return None
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return np.fromiter(map(numbers.__getitem__, values), np.int64, len(values))


def _renumbered(codes: Codes) -> tuple[Codes, Codes]:
    """Return the first row of each distinct code, ascending, and which of these each row has."""
    n_rows = len(codes)
    if not n_rows:
        return codes, codes
    low, high = int(codes.min()), int(codes.max())
    codes = codes - low if high - low < _ROOM * n_rows else _ranks(codes)
    first = np.full(int(codes.max()) + 1, n_rows, dtype=np.int64)
    # Of several that are written to one place, the last one stays.
    first[codes[::-1]] = np.arange(n_rows - 1, -1, -1)
    order = np.argsort(first)
    order = order[: np.searchsorted(first[order], n_rows)]
    place = np.empty(len(first), dtype=np.int64)
    place[order] = np.arange(len(order))
    return first[order], place[codes]


def _ranks(codes: Codes) -> Codes:
    """Return where each code is among the distinct ones in ascending order."""
    spread = np.linspace(0, len(codes) - 1, _LOOKED_AT).astype(np.int64)
    levels = np.unique(np.concatenate([codes[:_LOOKED_AT], codes[spread]]))
    if len(levels) < _LOOKED_AT // 2:
        # There are few: perhaps these are all, and to look them up is quicker than to sort.
        ranks = np.minimum(np.searchsorted(levels, codes), len(levels) - 1)
        if (levels[ranks] == codes).all():
            return ranks
    return np.unique(codes, return_inverse=True)[1].reshape(-1)
