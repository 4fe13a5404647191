"""How far two parameter spaces have equal psets, position by position.

Spaces of millions of psets are seldom changed but at one end. What they are made of tells how far
they are alike, as a rule without the key of any pset: two ranges, the parts of two sums, the
factors of two products. Keys tell the rest, block by block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from psyflow.pspace.identity import identity_keys
from psyflow.pspace.keys import Keys, n_equal_at_first, pset_key
from psyflow.pspace.param import Param
from psyflow.pspace.space import ParameterSpace, Product, Selection, Sum
from psyflow.repeats import are_alike, is_repeated

__all__ = ["KeyedSpace", "n_alike"]

_BLOCK = 1 << 16


@dataclass(frozen=True)
class KeyedSpace:
    """A parameter space, and what does not count in it for the keys of its psets.

    Attributes
    ----------
    space : ParameterSpace
    defaults : mapping from str to object
        Values of parameters that are as good as absent.
    """

    space: ParameterSpace
    defaults: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.space)

    def keys(self, start: int = 0, stop: int | None = None) -> Keys:
        """Return the keys of the psets from `start` to `stop`; both count as in a slice."""
        rows = range(len(self))[start:stop]
        return identity_keys(self.space, self.defaults, np.arange(rows.start, rows.stop))

    def over(self, space: ParameterSpace) -> KeyedSpace:
        """Return another space, a part of this one, with the same defaults."""
        return replace(self, space=space)


def n_alike(a: KeyedSpace, b: KeyedSpace) -> int:
    """Return how many psets at the beginning of two spaces have equal keys, pair by pair.

    Examples
    --------
    >>> old, new = Param(a=range(10**9)), Param(a=range(10**9 + 1)) + Param(a=[-1])
    >>> n_alike(KeyedSpace(old, {}), KeyedSpace(new, {}))
    1000000000
    """
    start, stop = _n_surely_alike(a, b), min(len(a), len(b))
    while start < stop:
        end = min(start + _BLOCK, stop)
        n = n_equal_at_first(a.keys(start, end), b.keys(start, end))
        start += n
        if start < end:
            break
    return start


def _n_surely_alike(a: KeyedSpace, b: KeyedSpace) -> int:
    """Return how many psets at the beginning need no keys to be known as equal."""
    if not _are_defaults_alike(a, b):
        return 0
    match a.space, b.space:
        case (Param() as own, Param() as its):
            return _n_alike_in_levels(own, its)
        case (Sum(), _) | (_, Sum()):
            return _n_alike_in_sums(a, b)
        case (Product() as own, Product() as its):
            return _n_alike_in_products(a, own, b, its)
        case (Selection() as own, Selection() as its):
            return _n_alike_in_selections(a, own, b, its)
    return 0


def _are_defaults_alike(a: KeyedSpace, b: KeyedSpace) -> bool:
    names = {*a.space.keys(), *b.space.keys()}
    of_a, of_b = ({n: v for n, v in s.defaults.items() if n in names} for s in (a, b))
    return of_a.keys() == of_b.keys() and pset_key(of_a) == pset_key(of_b)


def _n_alike_in_levels(a: Param, b: Param) -> int:
    own, its = a._levels, b._levels
    are_fixed_alike = a._fixed.keys() == b._fixed.keys() and pset_key(a._fixed) == pset_key(
        b._fixed
    )
    if own.keys() != its.keys() or not are_fixed_alike:
        return 0
    # Without levels, there is one pset, of fixed values.
    return min((_n_equal(own[name], its[name]) for name in own), default=min(len(a), len(b)))


def _n_equal(a: Any, b: Any) -> int:
    """Return how long the shorter one is if the other begins with it, and that is quick to see."""
    n = min(len(a), len(b))
    if isinstance(a, range) and isinstance(b, range):
        return n if a[:n] == b[:n] else 0
    if not (isinstance(a, np.ndarray) and isinstance(b, np.ndarray)):
        return 0
    if is_repeated(a) or is_repeated(b):
        return n if is_repeated(a) and is_repeated(b) and are_alike(a, b) else 0
    is_plain = a.dtype == b.dtype and not a.dtype.hasobject
    return n if is_plain and np.array_equal(a[:n], b[:n]) else 0


def _n_alike_in_sums(a: KeyedSpace, b: KeyedSpace) -> int:
    total = 0
    for part, other in zip(_parts(a), _parts(b), strict=False):
        total += (n := n_alike(part, other))
        if not n == len(part) == len(other):
            break
    return total


def _parts(keyed: KeyedSpace) -> Iterator[KeyedSpace]:
    space = keyed.space
    return map(keyed.over, space._parts if isinstance(space, Sum) else (space,))


def _n_alike_in_products(a: KeyedSpace, own: Product, b: KeyedSpace, its: Product) -> int:
    pairs = [*zip(map(a.over, own.factors), map(b.over, its.factors), strict=False)]
    if [len(f) for f in own.factors[1:]] != [len(f) for f in its.factors[1:]]:
        return 0
    if any(n_alike(one, other) < len(one) for one, other in pairs[1:]):
        return 0
    return sum(n_alike(*pair) for pair in pairs[:1]) * math.prod(map(len, own.factors[1:]))


def _n_alike_in_selections(a: KeyedSpace, own: Selection, b: KeyedSpace, its: Selection) -> int:
    (base, places), (other, others) = own._resolved(), its._resolved()
    n = _n_equal(places, others)
    known = n_alike(a.over(base), b.over(other)) if n else 0
    if isinstance(places, range):
        furthest = max(places[0], places[n - 1]) if n else 0
    else:
        furthest = int(places[:n].max(initial=0))
    return n if furthest < known else 0
