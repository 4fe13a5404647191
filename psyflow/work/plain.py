"""What need not be asked of each item again: how the function is called, and which rows are kept.

Of items that take no time, all the time is what is done between them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from types import FunctionType
from typing import Any, TypeAlias

__all__ = ["LEAST", "MOST", "PlainRows", "argument_rows", "as_pset", "positions"]

ValuesOf: TypeAlias = "Callable[[Any], tuple[Any, ...] | None]"

LEAST, MOST = -(1 << 63), (1 << 64) - 1
"""Between which every store holds integers."""


class PlainRows:
    """Rows of one table whose values nobody could change any more: numbers and text.

    Attributes
    ----------
    names : tuple of str
        Those of each row; empty as long as none is known.
    values_of : callable
        Returns the values of a row in the order of `names`, or None if its kind is not known. It
        is another one after `learn`.

    Examples
    --------
    >>> plain = PlainRows()
    >>> plain.learn({"a": 1, "b": "x"}, ["a"])
    >>> plain.values_of({"b": "y", "a": 2})
    (2, 'y')
    >>> plain.values_of({"a": 2.5, "b": "y"}), plain.values_of({"a": 1 << 70, "b": "y"})
    (None, None)
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        # By the types of a row's values, or of its only one.
        self._bounded: dict[Any, tuple[int, ...]] = {}
        # A function, and not a method, because it is called for each item.
        self.values_of: ValuesOf = _not_known

    def learn(self, row: Mapping[str, Any], bounded: Collection[str]) -> None:
        """Take note of a kind of row that is kept as it is, if it is one of this table.

        Parameters
        ----------
        row : mapping from str to value
        bounded : collection of str
            Names of integers in it that the store may not hold if they are larger.
        """
        if not self.names and row:
            self.names = tuple(row)
            make = _values_of_one if len(row) == 1 else _values_of_several
            self.values_of = make(self.names, self._bounded)
        if row and self.names == tuple(row):
            types = tuple(map(type, row.values()))
            places = tuple(map(self.names.index, bounded))
            self._bounded[types[0] if len(row) == 1 else types] = places


def _not_known(returned: Any) -> tuple[Any, ...] | None:
    return None


def _values_of_one(names: tuple[str, ...], bounded: dict[Any, tuple[int, ...]]) -> ValuesOf:
    (name,), places_of = names, bounded.get

    def values_of(returned: Any) -> tuple[Any, ...] | None:
        if type(returned) is not dict or len(returned) != 1:
            return None
        try:
            value = returned[name]
            places = places_of(type(value))
        except Exception:
            return None  # it has other names, or whatever their class raises
        if places and not LEAST <= value <= MOST:
            return None
        return None if places is None else (value,)

    return values_of


def _values_of_several(names: tuple[str, ...], bounded: dict[Any, tuple[int, ...]]) -> ValuesOf:
    n_names, get, places_of = len(names), itemgetter(*names), bounded.get

    def values_of(returned: Any) -> tuple[Any, ...] | None:
        if type(returned) is not dict or len(returned) != n_names:
            return None
        try:
            row: tuple[Any, ...] = get(returned)
            places = places_of((*map(type, row),))
        except Exception:
            return None  # it has other names, or whatever their class raises
        for place in places or ():
            if not LEAST <= row[place] <= MOST:
                return None
        return None if places is None else row

    return values_of


def argument_rows(
    psets: Mapping[str, Iterable[Any]], names: tuple[str, ...]
) -> Iterable[tuple[Any, ...]]:
    """Return the values of each pset, in the order of `names`, which are all that there are.

    Examples
    --------
    >>> list(argument_rows({"a": [1, 2], "b": "xy"}, ("b", "a")))
    [('x', 1), ('y', 2)]
    """
    return zip(*(psets[name] for name in names), strict=True) if names else repeat(())


def as_pset(
    psets: Mapping[str, object], names: tuple[str, ...], values: tuple[Any, ...]
) -> dict[str, Any]:
    """Return a pset, with names in the order of `psets`; its values are in that of `names`.

    Examples
    --------
    >>> as_pset({"a": [1], "b": [2]}, ("b", "a"), (2, 1))
    {'a': 1, 'b': 2}
    """
    pset = dict(zip(names, values))  # noqa: B905 (asked for by each item that fails)
    return pset if names == tuple(psets) else {name: pset[name] for name in psets}


def positions(function: Callable[..., Any], names: Sequence[str]) -> tuple[str, ...]:
    """Return the order in which `function` takes the arguments `names` without their names.

    Python takes several times as long to give arguments by names. Empty if the call would be
    another one, or if nobody can tell.

    Examples
    --------
    >>> positions(lambda b, a, c=0: {}, ["a", "b"])
    ('b', 'a')
    >>> positions(lambda a, c=0, b=0: {}, ["a", "b"]), positions(lambda *, a: {}, ["a"])
    ((), ())
    >>> positions(print, ["end"])
    ()
    """
    if type(function) is not FunctionType:
        return ()
    code = function.__code__
    if code.co_posonlyargcount or len(names) > code.co_argcount:
        return ()
    first = code.co_varnames[: len(names)]
    return first if set(first) == set(names) else ()
