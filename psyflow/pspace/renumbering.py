"""From the positions of psets in one parameter space to those of equal psets in another."""

from __future__ import annotations

import functools
import math
from typing import TypeAlias

import numpy as np

from psyflow.pspace.alike import KeyedSpace, n_alike
from psyflow.pspace.keys import first_positions, match, no_keys
from psyflow.pspace.space import Product
from psyflow.pspace.table import Items

__all__ = ["renumbered"]

_Names: TypeAlias = "tuple[str, ...]"
_Factors: TypeAlias = "dict[_Names, KeyedSpace]"


def renumbered(planned: KeyedSpace, present: KeyedSpace) -> Items | None:
    """Find for each pset of one space its position in another, as `match` does by their keys.

    Parameters
    ----------
    planned, present : KeyedSpace

    Returns
    -------
    ndarray of int64, shape (len(planned),), or None
        −1 where there is no equal pset (left). None if the other space begins with this one.

    Examples
    --------
    >>> from psyflow.pspace import Param
    >>> old, new = KeyedSpace(Param(a=[1, 2]), {}), KeyedSpace(Param(a=[1, 2, 3]), {})
    >>> renumbered(old, new) is None, renumbered(new, old).tolist()
    (True, [0, 1, -1])
    """
    n = n_alike(planned, present)
    if n == len(planned):
        return None
    if not len(present):
        return np.full(len(planned), -1)
    by_factors = _by_factors(planned, present)
    if by_factors is not None:
        return by_factors
    rest = match(planned.keys(n), present.keys(n))
    return np.concatenate((np.arange(n), np.where(rest < 0, -1, rest + n)))


def _by_factors(planned: KeyedSpace, present: KeyedSpace) -> Items | None:
    """Do what `renumbered` says factor by factor; None if that is not possible."""
    own, its = _factors(planned), _factors(present)
    every = dict.fromkeys([*own, *its])
    if max(len(own), len(its)) < 2 or not _are_comparable(own, its):
        return None
    places = [_places(own.get(names), its.get(names)) for names in every]
    strides = _strides(its)
    # So far below 0 that no sum with it is a position: there is one at least.
    absent = -len(present) - 1
    offsets = []
    for names, place in zip(every, places, strict=True):
        if place is None:
            return None
        offsets.append(np.where(place < 0, absent, place * strides.get(names, 0)))
    return np.maximum(functools.reduce(lambda a, b: np.add.outer(a, b).ravel(), offsets), -1)


def _factors(keyed: KeyedSpace) -> _Factors:
    space = keyed.space
    factors = space.factors if isinstance(space, Product) else (space,)
    return {tuple(factor.keys()): keyed.over(factor) for factor in factors}


def _are_comparable(own: _Factors, its: _Factors) -> bool:
    """Tell whether each name is in one factor only, and common factors are in the same order."""
    names = [name for some in {**own, **its} for name in some]
    return len(names) == len(set(names)) and [n for n in own if n in its] == [
        n for n in its if n in own
    ]


def _places(own: KeyedSpace | None, its: KeyedSpace | None) -> Items | None:
    """Return where the psets of a factor are in the other's; one that is not there is all NaN.

    None if equal psets of the products would not be matched in order of their occurrence.
    """
    if own is not None and its is not None and n_alike(own, its) == len(own) == len(its):
        return np.arange(len(own))
    keys, others = (no_keys(1) if factor is None else factor.keys() for factor in (own, its))
    if any(len(first_positions(some)) < len(some) for some in (keys, others)):
        return None
    return match(keys, others)


def _strides(factors: _Factors) -> dict[_Names, int]:
    lengths = [len(factor) for factor in factors.values()]
    return {names: math.prod(lengths[i + 1 :]) for i, names in enumerate(factors)}
