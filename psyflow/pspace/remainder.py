"""What one parameter space has and another has not."""

from __future__ import annotations

from typing import Any

from psyflow.exceptions import AmbiguousOperationError
from psyflow.pspace.depth import shallow
from psyflow.pspace.param import as_space
from psyflow.pspace.select import remaining
from psyflow.pspace.show import about
from psyflow.pspace.space import ParameterSpace, Selection

__all__ = ["missing"]


def missing(minuend: ParameterSpace, subtrahend: Any) -> ParameterSpace:
    """Return the psets of `minuend` that equal none of `subtrahend`, on the minuend's names.

    The subtrahend may have more names, such as those of results. Rows are compared whole, NaN
    equals NaN, and if a pset occurs more than once, it is removed as often.

    Parameters
    ----------
    minuend : ParameterSpace
    subtrahend : ParameterSpace, list of dicts, dict of columns, or DataFrame
        Such as what `psyflow.load` gives.

    Raises
    ------
    AmbiguousOperationError
        If the subtrahend has psets, but lacks a name of the minuend.
    TypeError
        If the subtrahend is no table.

    Examples
    --------
    >>> from psyflow.pspace import Param
    >>> missing(Param(a=[1, 2, 3]), Param(a=[2], c=[4])).build()
    {'a': [1, 3]}
    """
    subtrahend = as_space(subtrahend)
    names = frozenset(minuend.keys())
    absent = sorted(names.difference(subtrahend.keys()))
    if absent and len(subtrahend):
        raise AmbiguousOperationError(
            about(absent, "not existent in subtrahend")
            + " To compare on the names that the subtrahend has, use minuend - subtrahend."
        )
    subtrahend = shallow(subtrahend)
    return Selection(minuend, remaining((None, subtrahend, names)), subtrahend)
