"""Conditions in text, as typed at a shell: ``a=2``, ``b>0.5``, ``mode!=slow``."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, table_length, take
from psyflow.exceptions import UnknownColumnError, UnknownNameError, UsageError
from psyflow.pspace.keys import column_keys
from psyflow.pspace.space import ParameterSpace

__all__ = ["Condition", "items_with", "rows_with"]

Rows: TypeAlias = "npt.NDArray[np.int64]"
_BLOCK = 1 << 18

_ORDERS: Mapping[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_WORDS = {"true": True, "false": False, "nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_TEXT = re.compile(r"\s*(?P<name>.+?)\s*(?P<sign><=|>=|!=|==|=|<|>)(?P<value>.*)", re.DOTALL)


@dataclass(frozen=True)
class Condition:
    """What the value of one column has to be.

    Parameters
    ----------
    name : str
        Of the column.
    sign : str
        ``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
    value : object
        What it is compared with: ``=`` and ``!=`` by the rules of psyflow (1 is 1.0, and NaN is
        NaN), the others as Python compares. Values that have no order fulfil none of these.

    Examples
    --------
    >>> Condition.parse("b >= 0.5")
    Condition(name='b', sign='>=', value=0.5)
    >>> Condition.parse("mode=slow")
    Condition(name='mode', sign='=', value='slow')
    """

    name: str
    sign: str
    value: Any

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Return the condition that is written in `text`.

        A value that Python can read as a number, a string, a list, … is that; any other is text.

        Raises
        ------
        UsageError
            If it is no condition.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise UsageError(
                f"{text!r} is no condition. Write one like a=2, 'b>0.5' or mode!=slow."
            )
        sign = "=" if found["sign"] == "==" else found["sign"]
        return cls(found["name"], sign, _value(found["value"].strip()))

    def holds(self, column: Column) -> npt.NDArray[np.bool_]:
        """Tell of each value of a column whether the condition holds."""
        if self.sign in _ORDERS:
            return self._is_in_order(column)
        wanted = column_keys({self.name: [self.value]}, 1)
        is_equal: npt.NDArray[np.bool_] = (
            column_keys({self.name: column}, len(column)) == wanted
        ).all(axis=1)
        return is_equal if self.sign == "=" else ~is_equal

    def _is_in_order(self, column: Column) -> npt.NDArray[np.bool_]:
        compare = _ORDERS[self.sign]
        if isinstance(self.value, int | float) and _is_numbers(column):
            return np.asarray(compare(column, self.value), dtype=np.bool_)
        holds = (_compares(compare, value, self.value) for value in column)
        return np.fromiter(holds, np.bool_, len(column))


def rows_with(conditions: list[Condition], columns: Mapping[str, Column]) -> Rows:
    """Return the rows of a table for which all conditions hold, in ascending order.

    Raises
    ------
    UnknownColumnError
        If there is no column of some name.

    Examples
    --------
    >>> conditions = [Condition.parse("a>1"), Condition.parse("b!=x")]
    >>> rows_with(conditions, {"a": [1, 2, 3, 4], "b": ["x", "y", "x", "y"]})
    array([1, 3])
    """
    if unknown := _unknown(conditions, columns):
        raise UnknownColumnError(unknown, columns)
    rows = np.arange(table_length(columns))
    for condition in conditions:
        rows = rows[condition.holds(take(columns[condition.name], rows))]
    return rows


def items_with(conditions: list[Condition], space: ParameterSpace, items: Rows) -> Rows:
    """Return those of some items of a space for whose psets all conditions hold, in their order.

    Raises
    ------
    UnknownNameError
        If there is no parameter of some name.

    Examples
    --------
    >>> from psyflow import Param
    >>> space = Param(a=range(4)) * Param(b=["x", "y"])
    >>> items_with([Condition.parse("a>1"), Condition.parse("b=x")], space, np.arange(8))
    array([4, 6])
    """
    if unknown := _unknown(conditions, space.keys()):
        raise UnknownNameError("parameter", unknown, space.keys())
    found = [items[:0]]
    for start in range(0, len(items), _BLOCK):
        block = items[start : start + _BLOCK]
        found.append(block[rows_with(conditions, space.take(block))])
    return np.concatenate(found)


def _unknown(conditions: list[Condition], known: Collection[str]) -> str | None:
    """Return the first name in conditions that is not known."""
    return next((one.name for one in conditions if one.name not in known), None)


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return _WORDS.get(text.lower(), text)


def _is_numbers(column: Column) -> bool:
    return isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind in "biuf"


def _compares(compare: Callable[[Any, Any], Any], value: Any, other: Any) -> bool:
    try:
        return bool(compare(value, other))
    except (TypeError, ValueError):
        return False  # of another kind, or an array: there is no order
