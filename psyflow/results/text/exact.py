"""Values as text that other programs read, without loss: for CSV, TSV, JSON and JSON lines.

What JSON has no word for is text in it: ``"Infinity"`` and ``"-Infinity"`` (as in the JSON of
Protocol Buffers), complex numbers as Python writes them (``"1+2j"``), dates and times as in ISO
8601, bytes in Base64. Absent values, None and NaN, are ``null``; arrays, lists, tuples and sets
are arrays, dicts are objects.
"""

from __future__ import annotations

import base64
import datetime
import json
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from typing import Any
from uuid import UUID

import numpy as np

from psyflow.columns import Column
from psyflow.exceptions import UnsupportedDataError
from psyflow.reprs import safe_repr

__all__ = ["as_json", "as_json_column", "as_texts", "unfit_columns"]

_AS_TEXT = (Decimal, Fraction, UUID, PurePath)
_DATES = (datetime.date, datetime.time)


def as_json(value: Any) -> Any:
    """Return a value as it is in JSON.

    Raises
    ------
    UnsupportedDataError
        If it has no form there.

    Examples
    --------
    >>> as_json([1, 2.5, float("nan"), float("-inf"), 1 + 2j, b"ab", np.arange(2)])
    [1, 2.5, None, '-Infinity', '1+2j', 'YWI=', [0, 1]]
    """
    for kinds, form in _FORMS:
        if isinstance(value, kinds):
            return form(value)
    raise UnsupportedDataError(
        f"{safe_repr(value, 60)}, of type {type(value).__name__}, has no form as text."
    )


def as_json_column(column: Column) -> list[Any]:
    """Return the values of a column as they are in JSON.

    Raises
    ------
    UnsupportedDataError
        If one has no form there.
    """
    if isinstance(column, np.ndarray) and column.ndim == 1:
        is_whole = column.dtype.kind in "biu"
        if is_whole or (column.dtype == np.float64 and np.isfinite(column).all()):
            return list(column.tolist())
    return list(map(as_json, column))


def as_texts(column: Column) -> list[str | None]:
    """Return the values of a column as they are in CSV: None for what is absent.

    Floats are written so that reading them gives the same; what is no single value is JSON.

    Raises
    ------
    UnsupportedDataError
        If a value has no form as text.

    Examples
    --------
    >>> as_texts([0.1, float("nan"), float("inf"), True, "x", [1, "a"]])
    ['0.1', None, 'inf', 'True', 'x', '[1, "a"]']
    """
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind in "biu":
        return list(map(str, column.tolist()))
    if isinstance(column, np.ndarray) and column.dtype == np.float64 and column.ndim == 1:
        return [None if value != value else repr(value) for value in column.tolist()]
    return list(map(_as_text, column))


def unfit_columns(columns: dict[str, Column]) -> dict[str, str]:
    """Return the names of the columns that text cannot hold, and why for each."""
    found = {}
    for name, column in columns.items():
        if isinstance(column, np.ndarray) and column.dtype.kind in "biufcSUmM":
            continue
        try:
            for value in column:
                as_json(value)
        except UnsupportedDataError as error:
            found[name] = str(error)
    return found


def _as_text(value: Any) -> str | None:
    if isinstance(value, float | np.floating):
        # A float32 has a shorter text than the float64 that is nearest to it.
        is_short = isinstance(value, np.floating) and not isinstance(value, np.float64)
        return None if value != value else str(value) if is_short else repr(float(value))
    plain = as_json(value)
    if plain is None or isinstance(plain, str):
        return plain
    return str(plain) if isinstance(plain, bool | int) else json.dumps(plain, ensure_ascii=False)


def _float(value: float) -> float | str | None:
    if math.isfinite(value):
        return float(value)
    return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _short_float(value: Any) -> float | str | None:
    """Return a float of another width than 64 bits as the shortest decimal that stands for it."""
    return _float(float(str(value)))


def _complex(value: complex) -> str | None:
    if value != value:
        return None
    return str(value).strip("()")


def _time(value: Any) -> str | None:
    return None if np.isnat(value) else str(value)


def _duration(value: datetime.timedelta) -> float:
    return value.total_seconds()


def _bytes(value: Any) -> str:
    return base64.b64encode(bytes(value)).decode()


def _array(value: Sequence[Any]) -> list[Any]:
    return [as_json(element) for element in value]


def _set(value: Any) -> list[Any]:
    return _array(sorted(value, key=repr))


def _object(value: Any) -> dict[str, Any]:
    return {
        key if isinstance(key, str) else str(as_json(key)): as_json(element)
        for key, element in value.items()
    }


def _nd_array(value: Any) -> Any:
    return as_json(value.item()) if not value.ndim else _array(list(value))


def _itself(value: Any) -> Any:
    return value


def _iso(value: Any) -> str:
    return str(value.isoformat())


_FORMS: Sequence[tuple[Any, Callable[[Any], Any]]] = (
    (type(None), _itself),
    (bool | np.bool_, bool),
    (str, str),
    (int | np.integer, int),
    (np.float64, _float),
    (np.floating, _short_float),
    (float, _float),
    (complex | np.complexfloating, _complex),
    (bytes | bytearray, _bytes),
    (np.datetime64 | np.timedelta64, _time),
    (_DATES, _iso),
    (datetime.timedelta, _duration),
    (list | tuple, _array),
    (set | frozenset, _set),
    (dict, _object),
    (np.ndarray, _nd_array),
    (_AS_TEXT, str),
)
