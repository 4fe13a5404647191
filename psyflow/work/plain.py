"""What need not be asked of each item again: how the function is called, and which rows are kept.

Of items that take no time, all the time is what is done between them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import repeat
from operator import itemgetter
from types import FunctionType
from typing import Any

__all__ = ["LEAST", "MOST", "PlainRows", "argument_rows", "as_pset", "positions"]

LEAST, MOST = -(1 << 63), (1 << 64) - 1
"""Between which every store holds integers."""


class PlainRows:
    """Rows of one table whose values nobody could change any more: numbers and text.

    Attributes
    ----------
    names : tuple of str
        Those of each row; empty as long as none is known.

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
        self._n_names = 0
        self._only: str | None = None
        self._get: Callable[[Mapping[str, Any]], Any] = tuple
        # By the types of a row's values, or of its only one.
        self._bounded: dict[type | tuple[type, ...], tuple[int, ...]] = {}

    def learn(self, row: Mapping[str, Any], bounded: Collection[str]) -> None:
        """Take note of a kind of row that is kept as it is, if it is one of this table.

        Parameters
        ----------
        row : mapping from str to value
        bounded : collection of str
            Names of integers in it that the store may not hold if they are larger.
        """
        if not self.names and row:
            self.names, self._n_names = tuple(row), len(row)
            self._only = self.names[0] if len(row) == 1 else None
            self._get = itemgetter(*self.names)
        if row and self.names == tuple(row):
            types = tuple(map(type, row.values()))
            places = tuple(map(self.names.index, bounded))
            self._bounded[types[0] if self._only is not None else types] = places

    def values_of(self, returned: Any) -> tuple[Any, ...] | None:
        """Return the values of a row in the order of `names`; None if its kind is not known."""
        if type(returned) is not dict or len(returned) != self._n_names:
            return None
        try:
            if self._only is not None:
                row = (returned[self._only],)
                bounded = self._bounded.get(type(row[0]))
            else:
                row = self._get(returned)
                bounded = self._bounded.get((*map(type, row),))
        except Exception:
            return None  # it has other names, or whatever their class raises
        if bounded:
            for place in bounded:
                if not LEAST <= row[place] <= MOST:
                    return None
        return None if bounded is None else row


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
    pset = dict(zip(names, values, strict=True))
    return {name: pset[name] for name in psets}


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
