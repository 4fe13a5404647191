"""Keeping expressions shallow: to evaluate one recurses into its operands."""

from __future__ import annotations

from typing import TypeVar

from psyflow.pspace.table import LazyTable

__all__ = ["shallow"]

_DEEPEST = 32
_MOST_PSETS = 1 << 20

T = TypeVar("T", bound=LazyTable)


def shallow(operand: T) -> T:
    """Return `operand`, or a table of its psets if operands are nested deeply in it.

    That calls predicates now instead of later. What has very many psets stays as it is.
    """
    if operand.depth < _DEEPEST or len(operand) > _MOST_PSETS:
        return operand
    table: T = LazyTable.of_columns(operand.columns(), len(operand))
    return table
