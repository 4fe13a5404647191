"""Pickles that lose nothing without a word."""

from __future__ import annotations

import copyreg
import io
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np

from psyflow.exceptions import UnsupportedDataError

__all__ = ["FaithfulPickler", "faithfully"]


class FaithfulPickler(pickle.Pickler):
    """Refuses arrays of a class of their own whose attributes would be lost.

    NumPy pickles what it knows of an array, whatever its class; so a unit, for example, is gone.
    """

    def reducer_override(self, obj: Any) -> Any:
        """Raise UnsupportedDataError if `obj` is such an array; else leave it to pickle."""
        if isinstance(obj, np.ndarray) and type(obj) is not np.ndarray and _is_pickled_as_any(obj):
            lost = ", ".join(f"`{name}`" for name in _attributes(obj))
            if lost:
                raise UnsupportedDataError(
                    f"a value of type {type(obj).__name__}, an array whose {lost} would be lost, "
                    "since its class has no `__reduce__` of its own. Return np.asarray of it, and "
                    "what else counts as results of their own"
                )
        return NotImplemented


def faithfully(value: Any, protocol: int = 5) -> bytes:
    """Return the pickle of `value`.

    Raises
    ------
    UnsupportedDataError
        If something of it would be lost.

    Examples
    --------
    >>> pickle.loads(faithfully([1, np.float32(0.5)]))
    [1, np.float32(0.5)]
    """
    file = io.BytesIO()
    FaithfulPickler(file, protocol).dump(value)
    return file.getvalue()


def _is_pickled_as_any(array: np.ndarray[Any, Any]) -> bool:
    kind = type(array)
    # What NumPy's own classes have besides, such as a mapped file's name, is of this process.
    is_of_numpy = kind.__module__.partition(".")[0] == "numpy"
    has_own = any(
        getattr(kind, name) is not getattr(np.ndarray, name)
        for name in ("__reduce__", "__reduce_ex__")
    )
    return not (is_of_numpy or has_own or kind in copyreg.dispatch_table)


def _attributes(array: np.ndarray[Any, Any]) -> Iterator[str]:
    yield from getattr(array, "__dict__", ())
    slots = (vars(kind).get("__slots__", ()) for kind in type(array).__mro__)
    for names in slots:
        names = (names,) if isinstance(names, str) else names
        yield from (name for name in names if hasattr(array, name) and name != "__dict__")
