"""Columns as arrays of one type, where that is exact: what labelled arrays are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column
from psyflow.results.selecting import is_absent
from psyflow.store.comparing import strings

__all__ = ["Array", "array_rows", "nothing_in", "objects", "solid", "with_room"]

Array = npt.NDArray[Any]

_EXACT = 1 << 53
_NUMBERS = (int, float, complex, np.number)


def objects(values: Sequence[Any]) -> Array:
    """Return values as an array of objects, whatever they are.

    Examples
    --------
    >>> objects([[1, 2], [3, 4]])
    array([list([1, 2]), list([3, 4])], dtype=object)
    """
    array = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        array[row] = value
    return array


def solid(column: Column | Sequence[Any]) -> Array:
    """Return a column as an array of one type if that is exact, of objects otherwise.

    Absent numbers are NaN then. Arrays, and lists, of one shape are axes of the array.

    Parameters
    ----------
    column : list or ndarray of n values

    Returns
    -------
    ndarray, shape (n, ...)

    Examples
    --------
    >>> solid([1, None, 2]), solid([True, None]), solid([[1, 2], [3, 4]]).shape
    (array([ 1., nan,  2.]), array([True, None], dtype=object), (2, 2))
    """
    if isinstance(column, np.ndarray) and column.dtype.kind != "O":
        return column
    values = list(column)
    types = set(map(type, values))
    if types in ({float}, {bool}, {complex}):
        return np.array(values)
    if types == {int}:
        found = _as_integers(values)
    elif any(map(_is_array_type, types)) and any(map(_is_array, values)):
        found = _of_arrays(values)
    elif types & {bool, np.bool_}:
        found = np.array(values, dtype=bool) if types <= {bool, np.bool_} else None
    elif all(issubclass(kind, _NUMBERS) or kind is type(None) for kind in types):
        found = _of_numbers(values) if values else None
    else:
        found = strings(values)
    return objects(values) if found is None else found


def with_room(array: Array) -> Array:
    """Return an array as one of a type that can tell that something is absent.

    Examples
    --------
    >>> with_room(np.array([1, 2])), with_room(np.array([True])), with_room(np.array([1 << 60]))
    (array([1., 2.]), array([True], dtype=object), array([1152921504606846976], dtype=object))
    """
    kind = array.dtype.kind
    if kind in "fcmMO":
        return array
    is_small = kind in "iu" and (not array.size or _is_small(array))
    return array.astype(np.float64 if is_small else object)


def nothing_in(array: Array) -> Any:
    """Return what stands for absent values in an array that has room for them: NaN or NaT."""
    kind = array.dtype.kind
    return array.dtype.type("NaT") if kind in "mM" else np.nan


def array_rows(column: Column) -> list[Array | None] | None:
    """Return the arrays of a column, which may differ in shape; None if it has other values.

    Lists count as arrays. What is absent is None.

    Examples
    --------
    >>> array_rows([np.zeros(2), None, [1, 2, 3]])
    [array([0., 0.]), None, array([1, 2, 3])]
    >>> array_rows([1, 2]) is None
    True
    """
    if isinstance(column, np.ndarray) and column.dtype.kind != "O":
        return list(column) if column.ndim > 1 else None
    rows: list[Array | None] = []
    for value in column:
        if not _is_array(value) and not is_absent(value):
            return None
        rows.append(_as_array(value) if _is_array(value) else None)
    there = [row for row in rows if row is not None]
    if not there or any(row.dtype.kind == "O" and row.size for row in there):
        return None
    return rows if len({row.ndim for row in there}) == 1 else None


def _is_array(value: Any) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _as_array(value: Any) -> Array:
    return value if isinstance(value, np.ndarray) else solid(value)


def _is_small(array: Array) -> bool:
    return bool(array.min() >= -_EXACT and array.max() <= _EXACT)


def _is_array_type(kind: type) -> bool:
    return issubclass(kind, list | tuple | np.ndarray)


def _as_integers(values: Sequence[Any]) -> Array | None:
    array = np.array(values)
    return array if array.dtype.kind in "iu" else None


def _of_numbers(values: Sequence[Any]) -> Array | None:
    """Return numbers, and None, as an array; None if that loses digits."""
    there = [value for value in values if value is not None]
    ints = [value for value in there if not isinstance(value, float | complex | np.inexact)]
    if len(ints) == len(values):
        return _as_integers(values)
    if any(abs(int(value)) > _EXACT for value in ints):
        return None
    return np.array([np.nan if value is None else value for value in values])


def _of_arrays(values: Sequence[Any]) -> Array | None:
    """Return arrays of one shape as one, in which absent ones are NaN; None if there is none."""
    rows = array_rows(objects(values))
    there = [row for row in rows or [] if row is not None]
    if rows is None or len({row.shape for row in there}) > 1:
        return None
    if len({row.dtype for row in there}) == 1 and len(there) == len(rows):
        return np.stack(there)
    families = {"n" if row.dtype.kind in "iufc" else row.dtype.kind for row in there}
    roomy = list(map(with_room, there))
    if len(families) > 1 or any(row.dtype.kind == "O" for row in roomy):
        return None
    return _filled(rows, roomy)


def _filled(rows: Sequence[Array | None], there: Sequence[Array]) -> Array:
    nothing = np.full(there[0].shape, nothing_in(there[0]))
    left = iter(there)
    return np.stack([nothing if row is None else next(left) for row in rows])
