"""New psets that differ from done ones only in the last digits of a float."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, Columns, Numbers
from psyflow.pspace.keys import Keys, column_keys, match
from psyflow.pspace.values import value_hash

__all__ = ["about_last_digits"]

# Of the 53 bits of a float, as many as no chain of a few roundings changes: 12 decimal digits.
_BITS = 40


def about_last_digits(new: Columns, n_new: int, done: Columns, n_done: int) -> str:
    """Say how many new psets differ from done ones only in the last digits.

    Parameters
    ----------
    new, done : Columns
        Psets without a result, and psets with one that are none of the new ones.
    n_new, n_done : int

    Returns
    -------
    str
        What the numbers are, and what to do; empty if there are none.
    """
    zeros = {name: _has_zero(new[name]) or _has_zero(done.get(name, [])) for name in new}
    near = match(_rough_keys(new, n_new, zeros), _rough_keys(done, n_done, zeros))
    places = np.flatnonzero(near >= 0)
    if not len(places):
        return ""
    first, its = int(places[0]), int(near[places[0]])
    pairs = [(n, done[n][its], new[n][first]) for n in new if n in done]
    name, old, present = next(p for p in pairs if value_hash(p[1]) != value_hash(p[2]))
    return (
        f"{len(places)} of the new psets differ from done ones only in the last digits of "
        f"`{name}` ({old} is done, {present} is new). They count as others. To keep the results, "
        "give the numbers as they were; psyflow.linspace, arange and logspace give a grid and "
        "its refinements the same ones."
    )


def _has_zero(column: Column) -> bool:
    numbers = _floats(column)
    return numbers is not None and bool((numbers == 0).any())


def _rough_keys(columns: Columns, length: int, has_zero: Mapping[str, bool]) -> Keys:
    rough = {n: _rough(column, has_zero.get(n, False)) for n, column in columns.items()}
    return column_keys(rough, length)


def _rough(column: Column, has_zero: bool) -> Column:
    """Return a column with its floats rounded; next to 0, what is as good as 0 becomes 0."""
    numbers = _floats(column)
    if numbers is None:
        return column
    mantissa, exponent = np.frexp(numbers)
    rough = np.asarray(np.ldexp(np.round(mantissa * 2**_BITS), exponent - _BITS))
    if has_zero:
        finite = np.abs(numbers[np.isfinite(numbers)])
        rough[np.abs(numbers) < 2.0**-50 * finite.max(initial=0)] = 0
    return rough


def _floats(column: Any) -> npt.NDArray[np.float64] | None:
    """Return a column of numbers as floats; None if it is of anything else."""
    if isinstance(column, Numbers):
        column = column.array
    elif isinstance(column, list):
        if not set(map(type, column)) <= {int, float} or float not in map(type, column):
            return None
        try:
            return np.array(column, dtype=np.float64)
        except OverflowError:
            return None
    is_float = column.dtype.kind == "f" and column.ndim == 1
    return np.asarray(column, dtype=np.float64) if is_float else None
