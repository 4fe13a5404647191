"""The factors that a space is the product of, or a part of the product of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from psyflow.pspace.param import Param
from psyflow.pspace.space import ParameterSpace, Product, Selection, Sum
from psyflow.pspace.table import Items

__all__ = ["factors", "is_sum", "is_whole", "numbers_in_factors", "shared_names"]


def factors(space: ParameterSpace) -> list[ParameterSpace]:
    """Return the factors of a product, also of one of which a part was taken.

    A factor that is part of a product in turn is replaced by the factors of that. What is no
    product, as a sum, is its only factor.

    Examples
    --------
    >>> square = Param(a=[1, 2, 3]) * Param(b=[1, 2, 3])
    >>> [factor.keys() for factor in factors(square.where(lambda a, b: a < b) * Param(c=[1, 2]))]
    [['a'], ['b'], ['c']]
    """
    return [factor for factor, _ in _digits(space, np.zeros(0, dtype=np.int64))]


def numbers_in_factors(space: ParameterSpace, items: Items) -> list[Items]:
    """Return for each factor which of its psets is in each of some items of the space.

    Examples
    --------
    >>> space = (Param(a=[1, 2, 3]) * Param(b=[1, 2])).where(lambda a, b: a != 2)
    >>> [numbers.tolist() for numbers in numbers_in_factors(space, np.arange(len(space)))]
    [[0, 0, 2, 2], [0, 1, 0, 1]]
    """
    return [numbers for _, numbers in _digits(space, items)]


def _digits(space: ParameterSpace, items: Items) -> Iterator[tuple[ParameterSpace, Items]]:
    base, own = _unselected(space, items)
    if not isinstance(base, Product):
        yield space, items
        return
    for factor, numbers in reversed([*base._digits(own)]):
        yield from _digits(factor, numbers)


def _unselected(space: ParameterSpace, items: Items) -> tuple[ParameterSpace, Items]:
    while isinstance(space, Selection):
        space, items = space._in_base(items)
    return space, items


def _base(space: ParameterSpace) -> ParameterSpace:
    return _unselected(space, np.zeros(0, dtype=np.int64))[0]


def is_whole(space: ParameterSpace) -> bool:
    """Tell whether the items of a space are all combinations of its factors, in their order.

    Examples
    --------
    >>> space = Param(a=[1, 2]) * Param(b=[3, 4])
    >>> is_whole(space), is_whole(space[1:])
    (True, False)
    """
    if isinstance(space, Product):
        return all(map(is_whole, space._factors))
    return not isinstance(_base(space), Product)


def is_sum(space: ParameterSpace) -> bool:
    """Tell whether a space is one after the other, or a part of such.

    Examples
    --------
    >>> is_sum((Param(a=1) + Param(b=2))[:1]), is_sum(Param(a=[1, 2]))
    (True, False)
    """
    return isinstance(_base(space), Sum)


def shared_names(space: ParameterSpace) -> list[str]:
    """Return the names of which a space was given one value for all of its psets.

    Examples
    --------
    >>> shared_names(Param(a=[1, 2], mode="fast"))
    ['mode']
    """
    base = _base(space)
    return list(base._fixed) if isinstance(base, Param) else []
