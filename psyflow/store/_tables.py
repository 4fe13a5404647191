"""Tables that stores are given and give: lists and arrays as columns, of equal length."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow import columns
from psyflow.columns import Column, Columns, Numbers
from psyflow.exceptions import DamagedFileError, StoreError, UnsupportedDataError
from psyflow.store._files import StorePath

__all__ = ["TableLike", "as_loaded_table", "as_table", "check_row", "one_row"]

TableLike: TypeAlias = "Mapping[str, Sequence[Any] | npt.NDArray[Any]]"


def as_table(data: TableLike, *, packed: bool = False) -> dict[str, Column]:
    """Return `data` with lists and arrays as columns, of equal length.

    Parameters
    ----------
    data : mapping from str to sequence
    packed : bool
        Whether columns that are packed as `Numbers` stay so.

    Raises
    ------
    StoreError
        If it is not a table.

    Examples
    --------
    >>> as_table({"a": range(3), "b": (0.5, 1.5, 2.5)})
    {'a': [0, 1, 2], 'b': [0.5, 1.5, 2.5]}
    """
    table = {
        name: column if packed and isinstance(column, Numbers) else _as_column(name, column)
        for name, column in data.items()
    }
    try:
        columns.table_length(table)
    except ValueError as error:
        raise StoreError(str(error)) from None
    return table


def as_loaded_table(data: Any) -> dict[str, Column]:
    """Return what was loaded as a table.

    Parameters
    ----------
    data : object

    Raises
    ------
    DamagedFileError
        If it is none.

    Examples
    --------
    >>> as_loaded_table({"a": (1, 2)})
    {'a': [1, 2]}
    """
    if not isinstance(data, Mapping):
        raise DamagedFileError(f"It holds a {type(data).__name__}, not a dict of columns.")
    try:
        return as_table(data)
    except StoreError as error:
        raise DamagedFileError(f"It does not hold a table: {error}") from error


def _as_column(name: str, column: Sequence[Any] | npt.NDArray[Any]) -> Column:
    if not isinstance(name, str):
        raise UnsupportedDataError(
            f"Column names must be str, not {type(name).__name__}: {name!r}"
        )
    if isinstance(column, list) or (isinstance(column, np.ndarray) and column.ndim):
        return column
    if isinstance(column, str | bytes | Mapping | np.ndarray) or not hasattr(column, "__iter__"):
        raise UnsupportedDataError(
            f'Column "{name}" is a {type(column).__name__}, not a sequence.'
        )
    return list(column)


def one_row(filename: StorePath, table: Columns, row: int) -> dict[str, Column]:
    """Return one row of a table, as columns of length 1.

    Parameters
    ----------
    filename : path
        Where the table is from, for the message.
    table : mapping from str to column
    row : int

    Raises
    ------
    IndexError
        If there is no such row.

    Examples
    --------
    >>> one_row("table.json", {"a": [1, 2, 3]}, 1)
    {'a': [2]}
    """
    check_row(filename, row, columns.table_length(table))
    return {name: column[row : row + 1] for name, column in table.items()}


def check_row(filename: StorePath, row: int, length: int) -> None:
    """Raise IndexError if a table of `length` rows has no row `row`."""
    if not 0 <= row < length:
        raise IndexError(f"{os.fspath(filename)} has no row {row}; it has {length} rows.")
