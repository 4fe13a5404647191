"""Whether all values of a parameter space have a key, without keeping any."""

from __future__ import annotations

import numpy as np

from psyflow.columns import Numbers
from psyflow.pspace.arrays import is_vectorised
from psyflow.pspace.identity import identity_keys
from psyflow.pspace.param import Param
from psyflow.pspace.space import ParameterSpace, Product, Sum
from psyflow.pspace.table import blocks

__all__ = ["check_values"]

_BLOCK = 1 << 16


def check_values(space: ParameterSpace) -> None:
    """Raise UnstableValueError if a value of a space has no key.

    Parameters
    ----------
    space : ParameterSpace

    Examples
    --------
    >>> check_values(Param(a=range(10**12)) * Param(b=["x", None]))
    """
    match space:
        case Product():
            parts = space.factors
        case Sum():
            parts = space._parts
        case _:
            _check_psets(space)
            return
    for part in parts:
        check_values(part)


def _check_psets(space: ParameterSpace) -> None:
    names = space.keys()
    if isinstance(space, Param):
        names = [name for name in names if not _is_of_numbers(space._levels.get(name))]
    for items in blocks(0, len(space), _BLOCK) if names else ():
        identity_keys(space, {}, items, names)


def _is_of_numbers(levels: object) -> bool:
    is_array = type(levels) is np.ndarray and is_vectorised(levels.dtype)
    return is_array or isinstance(levels, range | Numbers)
