"""Combinations of factors and levels, as lists of dicts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from psyflow import pspace
from psyflow.exceptions import AmbiguousOperationError

__all__ = ["HashableDict", "geom", "igeom", "sweep"]


class HashableDict(dict[Any, Any]):
    """A dict that can be a key of dicts and an element of sets; it must not be changed then.

    Examples
    --------
    >>> {HashableDict(a=1, b=2): "first"}[HashableDict(b=2, a=1)]
    'first'
    """

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]
        try:
            return hash(frozenset(self.items()))
        except TypeError:  # a list among the values, for example
            return hash(frozenset(self))


def sweep(parameters: Mapping[Any, Any]) -> list[HashableDict]:
    """Return all combinations of the levels of some factors, the first factor outermost.

    `psyflow.sweep` makes a lazy space of the same factors.

    Parameters
    ----------
    parameters : mapping of factors to levels
        Levels are an iterable, or a dict: its keys are the levels, and its values are mappings
        like `parameters`, of factors that are explored for that level only. A text is one level.
        A factor without levels is left out.

    Returns
    -------
    list of HashableDict

    Raises
    ------
    AmbiguousOperationError
        If a factor is given again within one of its own or another factor's levels.
    TypeError
        If levels are no iterable, or what stands for a level's own factors is no mapping.

    Examples
    --------
    >>> sweep({"mesh": [1, 2], "solver": {"direct": {}, "cg": {"steps": [9, 99]}}})[:3]
    [{'mesh': 1, 'solver': 'direct'}, {'mesh': 1, 'solver': 'cg', 'steps': 9}, {'mesh': 1, 'solver': 'cg', 'steps': 99}]
    """  # noqa: E501
    if not isinstance(parameters, Mapping):
        raise TypeError(f"A sweep takes a dict of factors and levels, not {parameters!r:.60}.")
    factors = [list(_parts(name, levels)) for name, levels in parameters.items()]
    factors = [parts for parts in factors if parts]
    _check_names(factors)
    return [_joined(parts) for parts in itertools.product(*factors)]


def _joined(parts: Iterable[Mapping[Any, Any]]) -> HashableDict:
    combination = HashableDict()
    for part in parts:
        combination.update(part)
    return combination


def _parts(name: Any, levels: Any) -> Iterator[dict[Any, Any]]:
    """Yield what each level of a factor gives to a combination."""
    if not isinstance(levels, Mapping):
        yield from ({name: level} for level in _levels(name, levels))
        return
    for level, factors in levels.items():
        if not isinstance(factors, Mapping):
            raise TypeError(
                f"The levels of {name!r} are a dict, so each needs a dict of its own factors, "
                f"{{}} for none; it is {factors!r:.60}. For plain levels, give a list."
            )
        for combination in sweep(factors):
            if name in combination:
                raise _given_twice(name)
            yield {name: level, **combination}


def _levels(name: Any, levels: Any) -> Iterable[Any]:
    if isinstance(levels, str | bytes):
        return [levels]
    if not isinstance(levels, Iterable):
        raise TypeError(f"The levels of {name!r} have to be a list, not {levels!r:.60}.")
    return levels


def _check_names(factors: Iterable[Iterable[Mapping[Any, Any]]]) -> None:
    known: set[Any] = set()
    for parts in factors:
        names = {name for part in parts for name in part}
        for name in names & known:
            raise _given_twice(name)
        known |= names


def _given_twice(name: Any) -> AmbiguousOperationError:
    return AmbiguousOperationError(
        f"Factor {name!r} is given twice, once within the levels of a factor. Rename one of them."
    )


def geom(range_min: float, range_max: float, num_steps: int) -> list[float]:
    """Return a geometric progression of `num_steps` numbers, both ends included.

    The same as `psyflow.geom`.

    Parameters
    ----------
    range_min, range_max : float
        The ends, of one sign.
    num_steps : int

    Raises
    ------
    ValueError
        If the ends are zero, infinite, NaN or of opposite sign, or `num_steps` is less than 1.

    Examples
    --------
    >>> geom(1, 1000, 4)
    [1.0, 10.0, 100.0, 1000.0]
    """
    return pspace.geom(range_min, range_max, num_steps)


def igeom(range_min: int, range_max: int, num_steps: int) -> list[int]:
    """Return the distinct integers nearest to a geometric progression of `num_steps` numbers.

    The same as `psyflow.igeom`.

    Parameters
    ----------
    range_min, range_max, num_steps
        As in `geom`.

    Raises
    ------
    ValueError
        As in `geom`.

    Examples
    --------
    >>> igeom(128, 2048, 3)
    [128, 512, 2048]
    """
    return pspace.igeom(range_min, range_max, num_steps)
