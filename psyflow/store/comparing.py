"""Columns as users load them: arrays, where a list would compare with a value as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, Numbers

__all__ = ["comparable", "is_of_numbers", "strings"]

_NUMBERS = {int, float, complex}
_SINGLE = {*_NUMBERS, bool, str, bytes, type(None)}
# Up to this many characters, or this many times what they need, text takes in an array.
_FEW_CHARACTERS = 1 << 18
_WASTE = 8
_FEW_VALUES = 100


def strings(values: Sequence[Any]) -> npt.NDArray[Any] | None:
    r"""Return text, or bytes, as an array; None if that is not exact, or would be far too large.

    NumPy cuts NULs off at the ends, and makes all as wide as the widest.

    Examples
    --------
    >>> strings(["a", "bc"])
    array(['a', 'bc'], dtype='<U2')
    >>> strings(["a", "b\0"]), strings(["a", b"a"]), strings(["a", None])
    (None, None, None)
    """
    types = set(map(type, values))
    is_text = types <= {str, np.str_}
    if not types or not (is_text or types <= {bytes, np.bytes_}):
        return None
    lengths = list(map(len, values))
    fitting = max(_FEW_CHARACTERS, _WASTE * (sum(lengths) + len(lengths)))
    nothing: Any = "" if is_text else b""
    nul: Any = "\0" if is_text else b"\0"
    if len(lengths) * max(lengths) > fitting:
        return None
    # To look at all at once is quick, and there are seldom any.
    if nul in nothing.join(values) and any(value.endswith(nul) for value in values):
        return None
    return np.array(values, dtype=type(nothing))


def comparable(column: Column) -> Column:
    """Return a list of single values that are not all numbers as an array, others as they are.

    So ``column == "x"`` compares each value, where a list would say False. Text and bytes become
    an array of such where that is exact (see `strings`), anything else an array of objects.

    Examples
    --------
    >>> comparable(["x", "y"]) == "x"
    array([ True, False])
    >>> comparable(["x", None])
    array(['x', None], dtype=object)
    >>> comparable([1, 2.5]), comparable([["x"]])
    ([1, 2.5], [['x']])
    """
    if not isinstance(column, list) or not column:
        return column
    types = _types_in(column)
    if types <= _NUMBERS or types == {bool} or not all(map(_is_single, types)):
        return column
    array = strings(column)
    return np.fromiter(column, object, len(column)) if array is None else array


def is_of_numbers(column: Column) -> bool:
    """Tell whether a column is a list of Python's numbers, packed or not, and not empty.

    Examples
    --------
    >>> is_of_numbers([1, 2.5]), is_of_numbers([1, True]), is_of_numbers([])
    (True, False, False)
    """
    if isinstance(column, Numbers):
        return column.array.dtype.kind != "b"
    return isinstance(column, list) and bool(column) and _types_in(column) <= _NUMBERS


def _types_in(values: list[Any]) -> set[type]:
    """Return the types of values: quickly if there is but one, as there mostly is."""
    few = set(map(type, values[:_FEW_VALUES]))
    # To count in a list is quicker than to hash each, and than to count in an iterator.
    if len(few) == 1 and list(map(type, values)).count(*few) == len(values):
        return few
    return set(map(type, values))


def _is_single(kind: type) -> bool:
    return kind in _SINGLE or (issubclass(kind, np.generic) and not issubclass(kind, np.void))
