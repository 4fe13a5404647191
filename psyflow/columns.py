"""Columns: how tables travel through psyflow.

A table is a mapping from names to columns of equal length. A *column* is a list or a NumPy array,
and iterating over it gives the values exactly as they were put in: a list holds any Python
objects; an array stands for NumPy scalars of its dtype (one dimension; of text, for Python's), or
for NumPy arrays of one shape (more dimensions). So a column can be packed into an array without
any value changing its type.

On their way from a worker to a store, lists of Python numbers are packed too, as `Numbers`. What
users and stores of other packages get to see is unpacked. What users load has arrays for columns
of text, too, since a list compares with a text as a whole: see `psyflow.store.comparing`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Sized
from itertools import chain
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.repeats import are_alike, is_repeated, repeated

__all__ = [
    "Column",
    "Columns",
    "Numbers",
    "concatenate",
    "cut",
    "from_rows",
    "pack",
    "pack_numbers",
    "table_length",
    "take",
    "unpacked",
    "without",
]

_PYTHON_DTYPES: Mapping[type, str] = {
    bool: "bool",
    int: "int64",
    float: "float64",
    complex: "complex128",
}


class Numbers(Sequence[Any]):
    """Python numbers of one type, packed into an array.

    Parameters
    ----------
    array : ndarray, one-dimensional
        Its dtype tells the type: bool, int64, float64 and complex128 stand for ``bool``, ``int``,
        ``float`` and ``complex``.

    Examples
    --------
    >>> numbers = Numbers(np.array([1, 2]))
    >>> list(numbers), type(numbers[0])
    ([1, 2], <class 'int'>)
    """

    __slots__ = ("array",)

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self.array = array

    def __reduce__(self) -> tuple[type[Numbers], tuple[npt.NDArray[Any]]]:
        return Numbers, (self.array,)

    def __repr__(self) -> str:
        return f"Numbers({self.array!r})"

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: Any) -> Any:
        return Numbers(self.array[rows]) if isinstance(rows, slice) else self.array[rows].item()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.array.tolist())


Column: TypeAlias = "list[Any] | npt.NDArray[Any] | Numbers"
"""The values of one name, a row each."""

Columns: TypeAlias = Mapping[str, Column]
"""A table: columns of equal length, by their names."""


def without(names: Collection[str], row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row or a table without some of its names.

    Parameters
    ----------
    names : collection of str
        Those that are not there are no error.
    row : mapping from str

    Examples
    --------
    >>> without(["b"], {"a": 1, "b": 2})
    {'a': 1}
    """
    return {name: value for name, value in row.items() if name not in names}


def pack(values: Sequence[Any]) -> Column:
    """Pack `values` into an array if they are NumPy values of one dtype and shape, else a list.

    Parameters
    ----------
    values : sequence
        n values, or an array, which is returned as it is.

    Returns
    -------
    ndarray, shape (n, ...), or list of n values

    Examples
    --------
    >>> pack([1, 2.5])
    [1, 2.5]
    >>> pack([np.float64(1), np.float64(2)])
    array([1., 2.])
    >>> pack([np.zeros(2), np.ones(2)]).shape
    (2, 2)
    """
    if isinstance(values, np.ndarray):
        return values
    values = list(values)
    if not values or not isinstance(values[0], np.generic | np.ndarray):
        return values
    first = values[0]
    kind, dtype, shape = type(first), first.dtype, first.shape
    # Text and bytes scalars carry their own length, and np.void its fields: they stay objects.
    if dtype.kind in "OSUV" or dtype.metadata:
        return values
    # An array gives back neither subclasses nor arrays without dimensions.
    if kind is not (np.ndarray if shape else dtype.type):
        return values
    if any(type(v) is not kind or v.dtype != dtype or v.shape != shape for v in values):
        return values
    return np.array(values, dtype=dtype)


def pack_numbers(column: Column) -> Column:
    """Pack a list of Python numbers of one type into `Numbers`; return other columns as they are.

    Parameters
    ----------
    column : list, ndarray or Numbers
        Integers beyond 64 bits stay a list, too.

    Examples
    --------
    >>> pack_numbers([1, 2])
    Numbers(array([1, 2]))
    >>> pack_numbers([1, 2.0]), pack_numbers([1, True]), pack_numbers([2**63])
    ([1, 2.0], [1, True], [9223372036854775808])
    """
    if not isinstance(column, list):
        return column
    types = set(map(type, column))
    dtype = _PYTHON_DTYPES.get(types.pop()) if len(types) == 1 else None
    if dtype is None:
        return column
    try:
        return Numbers(np.fromiter(column, dtype, len(column)))
    except OverflowError:
        return column


def unpacked(columns: Columns) -> dict[str, Column]:
    """Return a table with lists in place of `Numbers`.

    Parameters
    ----------
    columns : mapping from str to list, ndarray or Numbers

    Examples
    --------
    >>> from psyflow.columns import Numbers
    >>> unpacked({"a": Numbers(np.array([True, False])), "b": ["x", "y"]})
    {'a': [True, False], 'b': ['x', 'y']}
    """
    return {n: list(c) if isinstance(c, Numbers) else c for n, c in columns.items()}


def from_rows(rows: Sequence[Mapping[str, Any]], absent: Any = float("nan")) -> dict[str, Column]:
    """Turn rows into columns; a name that a row lacks gets `absent`.

    Parameters
    ----------
    rows : sequence of n mappings from str to value
    absent : object

    Returns
    -------
    dict from str to list or ndarray
        Columns of n values, in the order in which the names first occur.

    Examples
    --------
    >>> from_rows([{"a": 1}, {"a": 2, "b": "x"}], absent=None)
    {'a': [1, 2], 'b': [None, 'x']}
    """
    if set(map(type, rows)) == {dict} and len(set(map(len, rows))) == 1:
        # Much faster, if all have the same names, as is usual. Other mappings may invent values.
        with contextlib.suppress(KeyError):
            return {name: pack([*map(itemgetter(name), rows)]) for name in rows[0]}
    names = dict.fromkeys(chain.from_iterable(rows))
    return {name: pack([row.get(name, absent) for row in rows]) for name in names}


def table_length(columns: Mapping[str, Sized]) -> int:
    """Return the number of rows of a table.

    Parameters
    ----------
    columns : mapping from str to column

    Returns
    -------
    int
        0 without columns.

    Raises
    ------
    ValueError
        If the columns differ in length.

    Examples
    --------
    >>> table_length({"a": [1, 2, 3], "b": np.zeros((3, 5))})
    3
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"Columns differ in length: {lengths}.")
    return next(iter(lengths.values()), 0)


def take(column: Column, rows: npt.NDArray[np.int64]) -> Column:
    """Return the values of a column at some rows.

    Parameters
    ----------
    column : list, ndarray or Numbers
    rows : ndarray of int64, shape (n,)
        In any order, as often as wanted.

    Returns
    -------
    column
        n values, in a column of the same kind.

    Raises
    ------
    IndexError
        If there is no such row.

    Examples
    --------
    >>> take(["a", "b", "c"], np.array([2, 0, 0]))
    ['c', 'a', 'a']
    """
    if isinstance(column, np.ndarray):
        return repeated(column[0], len(rows)) if is_repeated(column) else column[rows]
    if isinstance(column, Numbers):
        return Numbers(column.array[rows])
    if len(rows) and (rows[0] >= 0) and (np.diff(rows) == 1).all() and rows[-1] < len(column):
        return column[int(rows[0]) : int(rows[-1]) + 1]
    return [*map(column.__getitem__, rows.tolist())]


def cut(column: Column, start: int, stop: int) -> Column:
    """Return the values of a column from one row to another, in memory of their own.

    Parameters
    ----------
    column : list, ndarray or Numbers
    start, stop : int
        Rows, the last of them exclusive.

    Returns
    -------
    column
        Of the same kind. It does not keep the whole of `column` in memory.

    Examples
    --------
    >>> part = cut(np.arange(1000), 2, 4)
    >>> part, part.base is None
    (array([2, 3]), True)
    """
    if isinstance(column, np.ndarray):
        return column[start:stop] if is_repeated(column) else column[start:stop].copy()
    if isinstance(column, Numbers):
        return Numbers(column.array[start:stop].copy())
    return column[start:stop]


def _join(parts: list[Column]) -> Column:
    if len(parts) == 1:
        return parts[0]
    if any(map(is_repeated, parts)):
        return _join_repeated(parts)
    if all(isinstance(p, np.ndarray) for p in parts):
        first = parts[0]
        if all(p.dtype == first.dtype and p.shape[1:] == first.shape[1:] for p in parts):  # type: ignore[union-attr]
            return np.concatenate(parts)
    if all(isinstance(p, Numbers) for p in parts):
        arrays = [p.array for p in parts]  # type: ignore[union-attr]
        if len({array.dtype for array in arrays}) == 1:
            return Numbers(np.concatenate(arrays))
    return [value for part in parts for value in _values(part)]


def _join_repeated(parts: list[Column]) -> Column:
    if all(map(is_repeated, parts)) and all(are_alike(parts[0], part) for part in parts[1:]):
        return repeated(parts[0][0], sum(map(len, parts)))
    # The very same array again and again: an array of all rows would be far larger.
    return [value for part in parts for value in _values(part)]


def _values(part: Column) -> Iterable[Any]:
    if is_repeated(part):
        return [part[0]] * len(part)
    # An array of text stands for Python's text, of whatever width the others are.
    if isinstance(part, np.ndarray) and part.ndim == 1 and part.dtype.kind in "US":
        part = part.tolist()
    return part


def concatenate(
    blocks: Iterable[Columns],
    absent: Any = float("nan"),
    *,
    lengths: Sequence[int] | None = None,
) -> dict[str, Column]:
    """Put tables below each other; a name that a block lacks gets `absent` in its rows.

    Parameters
    ----------
    blocks : iterable of mappings from str to column
    absent : object
    lengths : sequence of int, optional
        The number of rows of each block; a block without columns has none if this is not given.

    Returns
    -------
    dict from str to column

    Raises
    ------
    ValueError
        If the columns of a block differ in length.

    Examples
    --------
    >>> concatenate([{"a": [1]}, {"a": [2], "b": [3]}], absent=None)
    {'a': [1, 2], 'b': [None, 3]}
    """
    tables = list(blocks)
    names = dict.fromkeys(name for table in tables for name in table)
    lengths = [table_length(table) for table in tables] if lengths is None else lengths
    return {
        name: _join(
            [
                t[name] if name in t else [absent] * n
                for t, n in zip(tables, lengths, strict=True)
                if n
            ]
        )
        if any(lengths)
        else next(t[name] for t in tables if name in t)
        for name in names
    }
