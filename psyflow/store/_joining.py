"""Bringing blocks of rows together without a list of all their values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from psyflow.columns import Column, Columns, Numbers
from psyflow.store._encode import encode
from psyflow.store._forms import DType

__all__ = ["with_numpys_numbers"]

_KINDS = "biufc"


def with_numpys_numbers(blocks: Sequence[Columns]) -> list[Columns]:
    """Return blocks of a table with NumPy's numbers in columns that mix them with Python's.

    What has such a column cannot tell afterwards which was which. So a file looks the same, and
    earlier rows, which are read as arrays, go with new ones without being looked at one by one.

    Parameters
    ----------
    blocks : sequence of mappings from str to column

    Examples
    --------
    >>> with_numpys_numbers([{"a": np.array([1, 2])}, {"a": Numbers(np.array([3]))}])
    [{'a': array([1, 2])}, {'a': array([3])}]
    """
    dtypes = {
        name: _dtype_of(name, blocks) for name in dict.fromkeys(n for b in blocks for n in b)
    }
    return [{n: _as_array(n, c, dtypes[n]) for n, c in block.items()} for block in blocks]


def _dtype_of(name: str, blocks: Sequence[Columns]) -> DType | None:
    """Return of what dtype the arrays of numbers in a column are, if of one."""
    found = {c.dtype for b in blocks if isinstance(c := b.get(name), np.ndarray) and c.ndim == 1}
    dtype = found.pop() if len(found) == 1 else None
    return dtype if dtype is not None and dtype.kind in _KINDS else None


def _as_array(name: str, column: Column, dtype: DType | None) -> Column:
    if dtype is None or isinstance(column, np.ndarray):
        return column
    if isinstance(column, Numbers):
        return column.array if column.array.dtype == dtype else column
    numbers = (bool, int, float, complex, np.generic)
    if not all(issubclass(kind, numbers) for kind in set(map(type, column))):
        return column
    cells = encode(name, column)
    is_plain = cells.form.kind == "array" and cells.form.shape == () and not cells.form.masked
    return cells.parts["data"] if is_plain and cells.parts["data"].dtype == dtype else column
