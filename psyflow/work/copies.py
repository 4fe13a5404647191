"""Copies of values: what the function does to its arguments and results stays with its item."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from copy import deepcopy
from pickle import dumps, loads
from typing import Any

import numpy as np

from psyflow.exceptions import UnsupportedDataError
from psyflow.pspace.unpicklable import culprit, why_not, write_instead
from psyflow.system.faithful import faithfully

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
    # Much faster than a deep copy, and long lists of numbers are frequent, as are dicts of them.
    if type(value) is list and IMMUTABLE.issuperset(map(type, value)):
        return value.copy()
    if type(value) is dict and IMMUTABLE.issuperset(map(type, value.values())):
        return value.copy()
    try:
        return deepcopy(value)
    except Exception:
        # What cannot be copied, such as an open file or a lock, is meant to be shared.
        return value


def snapshot(row: Mapping[str, Any], needless: Collection[str] = ()) -> dict[str, Any]:
    """Return a copy of a result that stays what it is if the function uses its values again.

    In place of values of the names in `needless` that cannot be pickled is None.

    Raises
    ------
    UnsupportedDataError
        If a value cannot be pickled, or not made again; it says which, and what to write.
    """
    copies = {}
    for name, value in row.items():
        try:
            copies[name] = _copied(value, _through_pickle)
        except Exception as error:
            # What cannot be pickled, or not unpickled, is found out here, for one item alone.
            if name not in needless:
                raise UnsupportedDataError(_refusal(name, value, error)) from error
            copies[name] = None
    return copies


def _through_pickle(value: Any) -> Any:
    return loads(faithfully(value))


def _refusal(name: str, value: Any, error: Exception) -> str:
    if isinstance(error, UnsupportedDataError):
        return f'execute returned as "{name}" {error}.'
    part = culprit(value)
    within = "" if part is value else f" with a {type(part).__name__} in it"
    try:
        dumps(value, protocol=5)
        why = f"its pickle cannot be loaded ({type(error).__name__}: {error})"
    except Exception:
        why = why_not(part, error)
        why = f"{type(error).__name__}: {error}" if why == str(error) else why
    return (
        f'execute returned, as "{name}", a {type(value).__name__}{within} that cannot be kept: '
        f"{why}. {write_instead(part, error)} If it is not needed, do not return it; a task file "
        f'can leave it out: exclude_from_result = ["{name}"].'
    )
