"""What can be read from every parameter space."""

from __future__ import annotations

import itertools
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, unpacked
from psyflow.pspace.keys import Keys, no_keys

__all__ = ["Items", "LazyTable", "Show", "blocks", "by_part"]

Items: TypeAlias = "npt.NDArray[np.int64]"
Show: TypeAlias = Callable[[object], str]

# As many as a processor's own cache holds the intermediate results of.
_KEY_BLOCK = 1 << 14
_ROW_BLOCK = 1024
_BLOCK_BYTES = 1 << 22


def blocks(start: int, stop: int, size: int) -> Iterator[Items]:
    """Yield the item numbers from `start` to `stop` in blocks of at most `size`."""
    for begin in range(start, stop, size):
        yield np.arange(begin, min(begin + size, stop), dtype=np.int64)


def by_part(items: Items, ends: Items) -> tuple[Items, list[tuple[int, Items]]]:
    """Tell which items belong to which of some parts that follow each other.

    Parameters
    ----------
    items : ndarray of int64, shape (n,)
        Item numbers in the whole.
    ends : ndarray of int64, shape (parts,)
        The item number at which each part ends, exclusively.

    Returns
    -------
    order : ndarray of int64, shape (n,)
        Order of `items` by part.
    visits : list of (int, ndarray of int64)
        The number of each part that is met, and the items in it, counted from its start.
    """
    owner = np.searchsorted(ends, items, side="right")
    order = np.argsort(owner, kind="stable")
    owner = owner[order]
    starts = np.concatenate((np.zeros(1, np.int64), ends))
    own = items[order] - starts[owner]
    cuts = np.flatnonzero(np.diff(owner)) + 1
    bounds = [0, *cuts.tolist(), len(items)] if len(items) else []
    return order, [(int(owner[a]), own[a:b]) for a, b in itertools.pairwise(bounds)]


class LazyTable(ABC):
    """A lazy, finite, ordered table of psets: the reading half of `ParameterSpace`."""

    depth = 0
    """How deep its operands are nested."""
    of_columns: ClassVar[Callable[[Mapping[str, Column], int], Any]]
    """Makes a space of the rows of a table; `Param` provides it, which builds upon this."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of psets."""

    @abstractmethod
    def _text(self, show: Show) -> str:
        """Return the space as an expression; `show` is ``str`` or ``repr``, for the operands."""

    def __str__(self) -> str:
        return self._text(str)

    def __repr__(self) -> str:
        return self._text(repr)

    @abstractmethod
    def _sorted_names(self) -> tuple[str, ...]:
        """Return the names, sorted."""

    @abstractmethod
    def _take(self, items: Items) -> dict[str, Column]:
        """Do what `take_packed` says, for items that exist."""

    @abstractmethod
    def _key_take(self, items: Items, names: frozenset[str] | None) -> Keys:
        """Do what `key_take` says, for items that exist."""

    def keys(self) -> list[str]:
        """Return the names of the parameters, sorted.

        Examples
        --------
        >>> from psyflow.pspace import Param
        >>> (Param(b=[1, 2]) * Param(a=[3])).keys()
        ['a', 'b']
        """
        return list(self._sorted_names())

    def take(self, items: npt.ArrayLike) -> dict[str, Column]:
        """Return the psets at some positions as a table.

        Parameters
        ----------
        items : ndarray of int64, shape (n,)
            Positions, in any order, as often as wanted.

        Returns
        -------
        dict from str to column
            One column of n values for each name, in the order of `keys`.

        Raises
        ------
        IndexError
            If there is no such item.

        Examples
        --------
        >>> from psyflow.pspace import Param
        >>> (Param(a=[1, 2]) * Param(b=[3, 4])).take([3, 0])
        {'a': [2, 1], 'b': [4, 3]}
        """
        return unpacked(self._take(self._checked(items)))

    def take_packed(self, items: npt.ArrayLike) -> dict[str, Column]:
        """Do what `take` says, but give Python numbers that are at hand as `Numbers` as such.

        Parameters
        ----------
        items : ndarray of int64, shape (n,)

        Raises
        ------
        IndexError
            If there is no such item.

        Examples
        --------
        >>> from psyflow.pspace import Param
        >>> Param(a=range(10, 20)).take_packed([3, 0])
        {'a': Numbers(array([13, 10]))}
        """
        return self._take(self._checked(items))

    def key_take(self, items: npt.ArrayLike, names: Collection[str] | None = None) -> Keys:
        """Return the keys of the psets at some positions.

        Parameters
        ----------
        items : ndarray of int64, shape (n,)
        names : collection of str, optional
            The names which make up the key; all by default.

        Returns
        -------
        ndarray of uint64, shape (n, 2)
            The low and the high half of each key.

        Raises
        ------
        IndexError
            If there is no such item.
        UnstableValueError
            If a value has no content that is the same in every process.

        Examples
        --------
        >>> from psyflow.pspace import Param
        >>> space = Param(a=[1, 2, 3], trial=[0, 0, 1])
        >>> first, second = space.key_take([0, 1], names=["trial"]).tolist()
        >>> first == second
        True
        """
        checked = self._checked(items)
        cuts = range(0, len(checked), _KEY_BLOCK)
        return self._keys_of((checked[at : at + _KEY_BLOCK] for at in cuts), len(checked), names)

    def _keys_of(self, parts: Iterable[Items], length: int, names: Collection[str] | None) -> Keys:
        wanted = None if names is None else frozenset(names)
        keys = no_keys(length)
        begin = 0
        for items in parts:
            keys[begin : begin + len(items)] = self._key_take(items, wanted)
            begin += len(items)
        return keys

    def _checked(self, items: npt.ArrayLike) -> Items:
        checked = np.asarray(items)
        if checked.size == 0:
            return np.zeros(0, np.int64)
        if checked.ndim != 1 or checked.dtype.kind not in "iu":
            raise TypeError("Items must be given as a sequence of integers.")
        if checked.min() < 0 or int(checked.max()) >= len(self):
            raise IndexError(f"The space has {len(self)} items, numbered from 0.")
        return checked.astype(np.int64, copy=False)

    def columns(self, start: int = 0, stop: int | None = None) -> dict[str, Column]:
        """Return the psets from `start` to `stop` as a table; both count as in a slice.

        Parameters
        ----------
        start, stop : int, optional
            All psets if they are not given.

        Returns
        -------
        dict from str to column
            In the order of `keys`; a column is a list or an array (see `psyflow.columns`).

        Examples
        --------
        >>> from psyflow.pspace import Param
        >>> (Param(a=[1, 2]) * Param(b=[3, 4])).columns(-2)
        {'a': [2, 2], 'b': [3, 4]}
        """
        rows = range(len(self))[start:stop]
        return unpacked(self._take(np.arange(rows.start, rows.stop, dtype=np.int64)))

    def build(self) -> dict[str, list[Any]]:
        """Return all psets as a dict from each name to the list of its values.

        Examples
        --------
        >>> from psyflow.pspace import Param
        >>> Param(a=[1, 2], b=3).build()
        {'a': [1, 2], 'b': [3, 3]}
        """
        return {name: list(column) for name, column in self.columns().items()}

    def iterate(self) -> Iterator[dict[str, Any]]:
        """Yield the psets one after the other; only a small block of them exists at any time.

        Examples
        --------
        >>> from psyflow.pspace import Param
        >>> next((Param(a=range(10**6)) * Param(b=range(10**6))).iterate())
        {'a': 0, 'b': 0}
        """
        for items in self._row_blocks():
            columns = self._take(items)
            if not columns:
                yield from ({} for _ in items)
            for values in zip(*columns.values(), strict=True):
                yield dict(zip(columns, values, strict=True))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.iterate()

    def _row_blocks(self) -> Iterator[Items]:
        length = len(self)
        if length:
            # Parameters may be large arrays, of which a product makes many copies.
            first = self._take(np.zeros(1, np.int64)).values()
            row_bytes = sum(c.nbytes for c in first if isinstance(c, np.ndarray))
            size = max(1, min(_ROW_BLOCK, _BLOCK_BYTES // max(1, row_bytes)))
            yield from blocks(0, length, size)

    def _pset(self, index: Any) -> dict[str, Any]:
        length, position = len(self), operator.index(index)
        if not -length <= position < length:
            raise IndexError(f"There is no item {position}: the space has {length} items.")
        columns = self._take(np.array([position % length], dtype=np.int64))
        return {name: column[0] for name, column in columns.items()}

    def pset_keys(
        self, start: int = 0, stop: int | None = None, names: Collection[str] | None = None
    ) -> Keys:
        """Return the keys of the psets from `start` to `stop`; both count as in a slice.

        Parameters
        ----------
        start, stop : int, optional
            All psets if they are not given.
        names : collection of str, optional
            The names which make up the key; all by default.

        Returns
        -------
        ndarray of uint64, shape (n, 2)
            The low and the high half of each key.

        Raises
        ------
        UnstableValueError
            If a value has no content that is the same in every process.

        Examples
        --------
        >>> from psyflow.pspace import Param
        >>> bool((Param(a=[1, 2]).pset_keys() == Param(a=[1.0, 3]).pset_keys()).all(axis=1)[0])
        True
        """
        rows = range(len(self))[start:stop]
        return self._keys_of(blocks(rows.start, rows.stop, _KEY_BLOCK), len(rows), names)
