"""Psets as they are needed: of a space, or of any iterable."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from psyflow.columns import from_rows
from psyflow.exceptions import UsageError
from psyflow.mapper.batches import Batch
from psyflow.outcomes.table import Items
from psyflow.pspace import ParameterSpace
from psyflow.reprs import safe_repr

__all__ = ["OfIterable", "OfSpace", "Supply", "as_pset"]


class Supply(ABC):
    """Gives psets away, in batches of any size."""

    @property
    @abstractmethod
    def left(self) -> int:
        """How many there are; a large number if nobody knows."""

    @abstractmethod
    def take(self, n: int) -> Batch | None:
        """Return the next psets, `n` at most; None if there are no more."""

    @abstractmethod
    def end(self) -> None:
        """Raise what kept the last ones from coming, now that all before them are through."""


class OfSpace(Supply):
    """The psets of a space.

    Parameters
    ----------
    space : ParameterSpace
    items : ndarray of int64, optional
        Which of them; all if None.
    """

    def __init__(self, space: ParameterSpace, items: Items | None = None) -> None:
        self._space = space
        self._items = np.arange(len(space)) if items is None else items
        self._next = 0

    @property
    def left(self) -> int:
        """How many there are."""
        return len(self._items) - self._next

    def take(self, n: int) -> Batch | None:
        """Return the next psets, `n` at most; None if there are no more."""
        items = self._items[self._next : self._next + n]
        self._next += len(items)
        return Batch(items, self._space.take_packed(items)) if len(items) else None

    def end(self) -> None:
        """Do nothing: a space has all its psets."""


class OfIterable(Supply):
    """The psets of an iterable, which is asked for no more than is needed."""

    def __init__(self, psets: Iterable[Any]) -> None:
        self._psets = iter(psets)
        self._ahead: Mapping[str, Any] | None = None
        self._n_taken = 0
        self._error: Exception | None = None

    @property
    def left(self) -> int:
        """A large number: nobody knows."""
        return sys.maxsize

    def take(self, n: int) -> Batch | None:
        """Return the next psets, `n` at most; None if there are no more.

        All of a batch have the same names, so that none is called with a name that it lacks.
        """
        psets: list[Mapping[str, Any]] = []
        ahead = self._next()
        while ahead is not None and (not psets or ahead.keys() == psets[0].keys()):
            psets.append(ahead)
            ahead = self._next() if len(psets) < n else None
        self._ahead = ahead
        first = self._n_taken
        self._n_taken += len(psets)
        return Batch(np.arange(first, self._n_taken), from_rows(psets)) if psets else None

    def _next(self) -> Mapping[str, Any] | None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None or self._error is not None:
            return ahead
        try:
            given = next(self._psets, _END)
            return None if given is _END else as_pset(given)
        except Exception as error:
            # What was given before is as good as ever, and may have taken long.
            self._error = error
            return None

    def end(self) -> None:
        """Raise what the iterable has raised, or what is wrong with a pset of it."""
        if self._error is not None:
            raise self._error


_END = object()


def as_pset(given: Any) -> Mapping[str, Any]:
    """Return what was given as a pset, or raise UsageError saying what is wrong with it.

    Examples
    --------
    >>> as_pset({"a": 1})
    {'a': 1}
    >>> as_pset(3)
    Traceback (most recent call last):
        ...
    psyflow.exceptions.UsageError: A pset is a dict of names and values, such as {"x": 3}, not 3.
    """
    if type(given) is not dict and not isinstance(given, Mapping):
        raise UsageError(
            'A pset is a dict of names and values, such as {"x": 3}, not '
            f"{safe_repr(given, 60)}."
        )
    for name in given:
        if not isinstance(name, str):
            raise UsageError(f"The names in a pset are text, not {safe_repr(name, 60)}.")
    return given
