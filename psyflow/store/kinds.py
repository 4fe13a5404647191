"""Which values can be in one column of a file together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from psyflow.columns import Column, Numbers
from psyflow.store._encode import family
from psyflow.store._forms import FAMILIES

__all__ = ["kinds_of"]


def kinds_of(column: Column) -> Iterator[str | None]:
    """Yield the kind of each value; those of one kind can be in one column of NPZ and HDF5 files.

    None stands for the values that can be among those of any kind: None and NaN.

    Examples
    --------
    >>> list(kinds_of([1, 2.5, "a", None, float("nan"), [1], np.zeros(2)]))
    ['number', 'number', 'text', None, None, 'list', 'number']
    """
    if isinstance(column, Numbers):
        column = column.array
    if isinstance(column, np.ndarray) and column.dtype.kind in FAMILIES and column.ndim > 1:
        yield from [FAMILIES[column.dtype.kind]] * len(column)
    else:
        yield from map(_kind, column)


def _kind(value: Any) -> str | None:
    is_absent = value is None or (isinstance(value, float) and value != value)
    return None if is_absent else family(value)
