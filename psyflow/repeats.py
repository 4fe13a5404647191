"""Columns of one large array in each row: in memory, that array is there once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["are_alike", "is_large_array", "is_repeated", "repeated"]

_LARGE_BYTES = 1 << 12


def is_large_array(value: object) -> bool:
    """Tell whether a value is an array of which many copies had better be one."""
    if not isinstance(value, np.ndarray) or type(value) is not np.ndarray:
        return False
    is_of_one_kind = value.dtype.kind in "biufcmMSU" and not value.dtype.metadata
    return value.ndim > 0 and value.nbytes >= _LARGE_BYTES and is_of_one_kind


def repeated(value: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
    """Return a column of `n` times one array: of a large one, a view that cannot be written to.

    Examples
    --------
    >>> column = repeated(np.zeros(1000), 5)
    >>> column.shape, is_repeated(column), is_repeated(column[2:3])
    ((5, 1000), True, True)
    """
    if value.nbytes < _LARGE_BYTES:
        return np.repeat(value[None], n, 0)
    return np.broadcast_to(value, (n, *value.shape))


def is_repeated(column: object) -> bool:
    """Tell whether a column is one large array, in memory once, in each of its rows."""
    return (
        isinstance(column, np.ndarray)
        and column.ndim > 1
        and len(column) > 0
        and column.strides[0] == 0
        and column[0].nbytes >= _LARGE_BYTES
    )


def are_alike(one: Any, other: Any) -> bool:
    """Tell whether two columns repeat one array, in one place or with the same bytes."""
    if one.dtype != other.dtype or one.shape[1:] != other.shape[1:]:
        return False
    places = (
        (one.__array_interface__["data"], one.strides),
        (
            other.__array_interface__["data"],
            other.strides,
        ),
    )
    return places[0] == places[1] or one[0].tobytes() == other[0].tobytes()
