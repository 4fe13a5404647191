"""What kind of values a column has, and these as numbers."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column

__all__ = ["Floats", "Ints", "as_numbers", "kind_of"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

_OF_DTYPE = {"i": "number", "u": "number", "f": "number", "b": "bool", "c": "complex", "M": "date"}
_LOOKED_AT = 1000
_DAY = np.timedelta64(1, "D")
_EPOCH = np.datetime64(0, "ns")


def kind_of(column: Column) -> str:
    """Return what kind of values a column has; absent ones (None) do not count.

    Returns
    -------
    str
        ``"number"``, ``"bool"``, ``"date"``, ``"array"`` (of numbers, also as lists),
        ``"complex"`` (also arrays), ``"text"``, ``"nothing"``, or ``"other"``.

    Examples
    --------
    >>> [kind_of(column) for column in ([1, 2.5, None], [True], ["x"], [[1, 2], [3]], [1, "x"])]
    ['number', 'bool', 'text', 'array', 'other']
    """
    if isinstance(column, np.ndarray) and column.dtype.kind != "O":
        kind = "text" if column.dtype.kind in "US" else _OF_DTYPE.get(column.dtype.kind, "other")
        is_array = column.ndim > 1 and kind in ("number", "bool")
        return "array" if is_array else kind if column.ndim == 1 or kind == "complex" else "other"
    kinds = set(_kinds(column))
    if kinds <= {"number", "bool"} and len(kinds) == 2:
        return "number"
    return kinds.pop() if len(kinds) == 1 else "other" if kinds else "nothing"


def as_numbers(column: Column) -> Floats:
    """Return a column of numbers, bools or dates as floats; what is absent is NaN.

    Dates are days since 1970, as matplotlib counts; those with a time zone are in UTC.

    Examples
    --------
    >>> as_numbers([1, None, True])
    array([ 1., nan,  1.])
    >>> as_numbers([datetime.date(1970, 1, 3), datetime.datetime(1970, 1, 1, 12)])
    array([2. , 0.5])
    """
    if isinstance(column, np.ndarray) and column.dtype.kind in "biuf":
        return column.astype(np.float64)
    if isinstance(column, np.ndarray) and column.dtype.kind == "M":
        days = (column - _EPOCH) / _DAY
        return np.asarray(days, dtype=np.float64)
    return np.fromiter(map(_number, column), np.float64, len(column))


def _kinds(values: Iterable[Any]) -> Iterator[str]:
    """Yield the kinds that are among some values, at least once each."""
    for kind in dict.fromkeys(map(type, values)):
        if kind is type(None):
            continue
        of_type = _kind_of_type(kind)
        if of_type != "array":
            yield of_type
            continue
        arrays = (value for value in values if type(value) is kind)
        yield from map(_kind_of_array, itertools.islice(arrays, _LOOKED_AT))


def _kind_of_type(kind: type) -> str:
    for bases, name in (
        ((bool, np.bool_), "bool"),
        ((int, float, np.integer, np.floating), "number"),
        ((complex, np.complexfloating), "complex"),
        ((str, bytes), "text"),
        ((datetime.date, np.datetime64), "date"),
        ((list, tuple, np.ndarray), "array"),
    ):
        if issubclass(kind, bases):
            return name
    return "other"


def _kind_of_array(value: Any) -> str:
    try:
        array = np.asarray(value)
    except ValueError:
        return "other"  # lists of different lengths in a list
    kind = _OF_DTYPE.get(array.dtype.kind, "other")
    if kind == "complex":
        return kind
    if kind not in ("number", "bool"):
        return "other"
    return "array" if array.ndim else "number"


def _number(value: Any) -> float:
    if value is None:
        return np.nan
    if isinstance(value, np.datetime64):
        return float((value - _EPOCH) / _DAY)
    if isinstance(value, datetime.date):
        return _days(value)
    return float(value)


def _days(value: datetime.date) -> float:
    if not isinstance(value, datetime.datetime):
        return float((value - datetime.date(1970, 1, 1)).days)
    if value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    return (value - datetime.datetime(1970, 1, 1)) / datetime.timedelta(days=1)
