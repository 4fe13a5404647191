"""The parameter ``repeat``, by which each pset of a space is evaluated several times."""

from __future__ import annotations

from psyflow.pspace.param import Param
from psyflow.pspace.space import ParameterSpace, Product

__all__ = ["FIRST", "REPEAT", "n_repeats", "repeated_space", "without_repeats"]

REPEAT = "repeat"
"""Name of the parameter, and of the setting that adds it."""
FIRST = {REPEAT: 0}
"""What does not count for a pset: its first repetition is the pset without that parameter."""


def repeated_space(space: ParameterSpace, n: int) -> ParameterSpace:
    """Return a space with the parameter ``repeat``, from 0 to `n` - 1, which varies fastest.

    Raises
    ------
    AmbiguousOperationError
        If the space has a parameter of that name.

    Examples
    --------
    >>> repeated_space(Param(a=[1, 2]), 2).build()
    {'a': [1, 1, 2, 2], 'repeat': [0, 1, 0, 1]}
    """
    return Product(space, Param(repeat=range(n)))


def n_repeats(space: ParameterSpace) -> int | None:
    """Return with which number `repeated_space` has made a space; None if it has not.

    Examples
    --------
    >>> n_repeats(repeated_space(Param(a=[1, 2]), 5)), n_repeats(Param(a=[1, 2]))
    (5, None)
    """
    last = space.factors[-1] if isinstance(space, Product) and space.factors else None
    return len(last) if last is not None and list(last.keys()) == [REPEAT] else None


def without_repeats(space: ParameterSpace) -> ParameterSpace:
    """Return the space that `repeated_space` has been given; any other as it is.

    Examples
    --------
    >>> without_repeats(repeated_space(Param(a=[1, 2]), 5)).build()
    {'a': [1, 2]}
    """
    if n_repeats(space) is None or not isinstance(space, Product):
        return space
    return Product(*space.factors[:-1])
