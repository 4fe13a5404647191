"""Builders of frequent parameter spaces and levels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from psyflow.pspace.param import Param, check_names
from psyflow.pspace.space import ParameterSpace, Product, Sum

__all__ = ["geom", "igeom", "sweep"]


def sweep(factors: Mapping[str, Any]) -> ParameterSpace:
    """Return every combination of the levels of some factors, the first factor outermost.

    Parameters
    ----------
    factors : mapping from str to levels
        Levels are a sequence, a single value, or a dict. A dict's keys are the levels, and its
        values are again factors (a mapping like this, or a parameter space), explored for that
        level only: elsewhere they are NaN. A factor without levels is left out.

    Raises
    ------
    AmbiguousOperationError
        If a factor is given again within one of its own or another factor's levels.
    TypeError
        If `factors` is no mapping, a name is not a string, or what stands for a level's own
        factors is neither a mapping nor a space.

    Examples
    --------
    >>> space = sweep({"mesh": [1, 2], "solver": {"direct": {}, "cg": {"steps": [9, 99]}}})
    >>> [(p["mesh"], p["solver"], p["steps"]) for p in space[:4]]
    [(1, 'direct', nan), (1, 'cg', 9), (1, 'cg', 99), (2, 'direct', nan)]
    """
    if not isinstance(factors, Mapping):
        raise TypeError(f"A sweep takes a dict of factors and levels, not {factors!r:.60}.")
    check_names(factors)
    spaces = (_factor(name, levels) for name, levels in factors.items())
    # A factor without levels would leave no combination at all.
    return Product(*(space for space in spaces if len(space)))


def _factor(name: str, levels: Any) -> ParameterSpace:
    if not isinstance(levels, Mapping):
        return Param(**{name: levels})
    return Sum(*(Param(**{name: [level]}) * _nested(name, sub) for level, sub in levels.items()))


def _nested(name: str, factors: Any) -> ParameterSpace:
    if isinstance(factors, ParameterSpace):
        return factors
    if isinstance(factors, Mapping):
        return sweep(factors)
    raise TypeError(
        f"The levels of `{name}` are a dict, so each needs a dict of its own factors, "
        f"{{}} for none; it is {factors!r:.60}. For plain levels, give a list."
    )


def geom(first: float, last: float, n: int) -> list[float]:
    """Return a geometric progression of `n` numbers, both ends included.

    Number i is ``first * (last / first) ** (i / (n - 1))``, rounded to 15 significant digits, so
    that it is the same on every machine. A single number is `first`.

    Parameters
    ----------
    first, last : float
        The ends, of one sign.
    n : int

    Raises
    ------
    ValueError
        If the ends are zero, infinite, NaN or of opposite sign, or `n` is less than 1.

    Examples
    --------
    >>> geom(1, 1000, 4)
    [1.0, 10.0, 100.0, 1000.0]
    """
    is_one_sign = first > 0 < last or first < 0 > last
    if not (is_one_sign and math.isfinite(first) and math.isfinite(last)):
        raise ValueError(
            f"There is no geometric progression from {first} to {last}: both must be positive, "
            "or both negative, and finite."
        )
    if n < 1:
        raise ValueError(f"A progression has at least one number, not {n}.")
    inner = (first * (last / first) ** (i / (n - 1)) for i in range(1, n - 1))
    ends = [float(last)] if n > 1 else []
    return [float(first), *(float(f"{number:.15g}") for number in inner), *ends]


def igeom(first: int, last: int, n: int) -> list[int]:
    """Return the distinct integers nearest to a geometric progression of `n` numbers.

    They are `geom` rounded to the nearest integer (halves to the even one), each integer once; so
    there are less than `n` of them where the progression is dense.

    Parameters
    ----------
    first, last, n
        As in `geom`.

    Raises
    ------
    ValueError
        As in `geom`.

    Examples
    --------
    >>> igeom(128, 2048, 3)
    [128, 512, 2048]
    >>> igeom(1, 10, 10)
    [1, 2, 3, 4, 5, 6, 8, 10]
    """
    return list(dict.fromkeys(map(round, geom(first, last, n))))
