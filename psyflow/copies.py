"""Copies of values: what the function does to its arguments and results stays with its item."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from psyflow.exceptions import UnsupportedDataError

__all__ = ["IMMUTABLE", "changeable", "fresh", "snapshot"]

IMMUTABLE = {int, float, complex, bool, str, bytes, type(None)} | {
    kind for kind in np.sctypeDict.values() if not issubclass(kind, np.void | np.object_)
}


def changeable(columns: Mapping[str, Iterable[Any]]) -> list[str]:
    """Return the names of the columns that have values which a function could change.

    Examples
    --------
    >>> changeable({"a": [1, 2], "b": [[1], [2]], "c": np.zeros((2, 3)), "d": np.zeros(2)})
    ['b', 'c']
    """
    return [name for name, column in columns.items() if _is_changeable(column)]


def _is_changeable(column: Iterable[Any]) -> bool:
    if isinstance(column, np.ndarray):
        return column.ndim > 1 or column.dtype.kind in "OV"
    return isinstance(column, list) and not IMMUTABLE.issuperset(map(type, column))


def fresh(pset: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return `pset` with copies of the values of `names`, for a function that may change them.

    Examples
    --------
    >>> pset = {"layers": [64, 32]}
    >>> fresh(pset, ["layers"])["layers"].append(16)
    >>> pset
    {'layers': [64, 32]}
    """
    return {**pset, **{name: _copied(pset[name], _deep_copy) for name in names}}


def _copied(value: Any, otherwise: Callable[[Any], Any]) -> Any:
    """Return a copy of `value`: at once if that is simple, else what `otherwise` makes of it."""
    kind = type(value)
    if kind in IMMUTABLE:
        return value
    if kind is np.ndarray and not value.dtype.hasobject:
        return value.copy(order="K")
    return otherwise(value)


def _deep_copy(value: Any) -> Any:
    # Much faster than a deep copy, and long lists of numbers are frequent.
    if type(value) is list and IMMUTABLE.issuperset(map(type, value)):
        return value.copy()
    try:
        return copy.deepcopy(value)
    except Exception:
        # What cannot be copied, such as an open file or a lock, is meant to be shared.
        return value


def snapshot(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a result that stays what it is if the function uses its values again.

    Raises
    ------
    UnsupportedDataError
        If a value cannot be pickled.
    """
    return {name: _copied(value, _through_pickle) for name, value in row.items()}


def _through_pickle(value: Any) -> Any:
    # What cannot be pickled, or not unpickled, is found out here, for one item alone.
    try:
        return pickle.loads(pickle.dumps(value, protocol=5))
    except Exception as error:
        raise UnsupportedDataError(f"The result cannot be pickled: {error!r}") from error
