"""Which of the rows that a function returns are kept; the store is asked about few of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from psyflow.exceptions import UnsupportedDataError
from psyflow.work.copies import IMMUTABLE, snapshot
from psyflow.work.plain import LEAST, MOST, PlainRows
from psyflow.work.rows import beside, result_row

__all__ = ["Acceptance", "RefusedError"]

Row: TypeAlias = dict[str, Any]
Kind: TypeAlias = tuple[Any, ...]

_WIDE = 1 << 70
_LISTS = frozenset({list, tuple})


class RefusedError(Exception):
    """A row that the store cannot hold.

    Parameters
    ----------
    row : dict
        A copy, without the names that it shares with the parameters.
    reason : UnsupportedDataError
    """

    def __init__(self, row: Row, reason: UnsupportedDataError) -> None:
        super().__init__(str(reason))
        self.row = row
        self.reason = reason


@dataclass(frozen=True)
class _Look:
    """What is left to look at in each row of a kind.

    Attributes
    ----------
    copies : bool
        Whether some of its values could change, or are parameters.
    bounded : tuple of str
        Names of numbers that could be too large for the store.
    asks : bool
        Whether the store is asked about each row, since types do not tell what is in it.
    """

    copies: bool
    bounded: tuple[str, ...]
    asks: bool


class Acceptance:
    """Asks the store about the first row of each kind, and looks at the others as far as needed.

    Parameters
    ----------
    check : callable
        Raises UnsupportedDataError for a row that the store cannot hold.
    exclude : collection of str
        Names of results that nobody keeps.

    Attributes
    ----------
    simple : set of tuple
        The kinds of rows that are kept as they are: their names, and the types of their values.
    plain : PlainRows
        Knows some of these kinds, and others that are kept unless a number is too large.
    """

    def __init__(
        self, check: Callable[[Mapping[str, Any]], None], exclude: Collection[str] = ()
    ) -> None:
        self._check = check
        self._exclude = exclude
        self._looks: dict[Kind, _Look] = {}
        self.simple: set[Kind] = set()
        self.plain = PlainRows()

    def taken(self, kind: Kind, row: Row, pset: Mapping[str, Any]) -> Row:
        """Return what is kept of a row, which the function may change afterwards.

        Raises
        ------
        RefusedError
            If the store cannot hold it.
        Exception
            If it is no row of results, or whatever the classes of its values raise.
        """
        look = self._looks.get(kind)
        if look is None or look.copies:
            return self._looked_at(kind, row, pset)
        for name in look.bounded:
            if not LEAST <= row[name] <= MOST:
                self._ask(row)
        return row

    def _looked_at(self, kind: Kind, row: Row, pset: Mapping[str, Any]) -> Row:
        """Do what `taken` says, for a row of a kind that is new or takes more than numbers."""
        if np.ndarray in kind:
            kind = (*kind, *(_shape_of(value) for value in row.values()))
        look = self._looks.get(kind)
        # What no store can hold is told before what this one cannot.
        kept = snapshot(beside(pset, result_row(row)), self._exclude)
        if look is None or look.asks or any(_is_wide(row[name]) for name in look.bounded):
            self._ask(kept)
        if look is None:
            look = self._looks[kind] = self._look_at(kind, row, pset)
        if not look.copies:
            self.plain.learn(row, look.bounded)
            if not look.bounded:
                self.simple.add(kind)
        return kept

    def _ask(self, row: Row) -> None:
        try:
            self._check(row)
        except UnsupportedDataError as error:
            raise RefusedError(row, error) from error

    def _look_at(self, kind: Kind, row: Row, pset: Mapping[str, Any]) -> _Look:
        is_simple = row.keys().isdisjoint(pset) and all(
            type(value) in IMMUTABLE for value in row.values()
        )
        ints = [name for name, value in row.items() if type(value) is int]
        bounded = tuple(name for name in ints if not self._takes_wide(name))
        return _Look(not is_simple, bounded, not _LISTS.isdisjoint(kind))

    def _takes_wide(self, name: str) -> bool:
        try:
            self._check({name: _WIDE})
        except Exception:  # a store of somebody else's; it is asked again when there is one
            return False
        return True


def _is_wide(value: int) -> bool:
    return not LEAST <= value <= MOST


def _shape_of(value: Any) -> tuple[Any, ...]:
    """Return what decides, beside its type, whether a store holds an array."""
    return (value.dtype, value.ndim) if isinstance(value, np.ndarray) else ()
