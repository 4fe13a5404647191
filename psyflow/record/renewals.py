"""When items were asked for anew although they had a result: see `Renewals`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from psyflow.outcomes.table import Items

__all__ = ["Renewals"]


@dataclass(frozen=True, eq=False)
class Renewals:
    """When items of a space were last asked for anew, by ``psy run --again``.

    A plan keeps the numbers of its space, and bookkeeping those of its plan. An outcome counts for
    a pset only if both plans, that by which it came to be and the present one, say the same of it.
    So nothing is rewritten when results are asked for anew, and whatever dies on the way leaves
    the old answer or the new one. Of times only that they are equal matters: no clock is trusted.

    Attributes
    ----------
    items : ndarray of int64
        Those that were asked for anew at all, ascending.
    times : ndarray of int64
        When, in nanoseconds since 1970.

    Examples
    --------
    >>> renewals = Renewals().renewed(np.array([3, 4, 5]), 17).renewed(np.array([4]), 18)
    >>> renewals.to_json()
    [[3, 4, 17], [4, 5, 18], [5, 6, 17]]
    >>> renewals.times_of(np.array([0, 4]))
    array([ 0, 18])
    """

    items: Items | tuple[()] = ()
    times: Items | tuple[()] = ()

    @classmethod
    def from_json(cls, ranges: Sequence[Sequence[int]]) -> Renewals:
        """Return what `to_json` gave."""
        if not ranges:
            return cls()
        items = [np.arange(start, stop, dtype=np.int64) for start, stop, _ in ranges]
        times = [np.full(stop - start, time, dtype=np.int64) for start, stop, time in ranges]
        return cls(np.concatenate(items), np.concatenate(times))

    def to_json(self) -> list[list[int]]:
        """Return ``[start, stop, time]`` of each range of items with one time."""
        if not len(self.items):
            return []
        is_first = (np.diff(self.items) != 1) | (np.diff(self.times) != 0)
        starts = np.concatenate([[0], np.flatnonzero(is_first) + 1])
        lasts = np.append(starts[1:], len(self.items)) - 1
        columns = (self.items[starts], self.items[lasts] + 1, self.times[starts])
        ranges: list[list[int]] = np.stack(columns, axis=1).tolist()
        return ranges

    def times_of(self, items: Items) -> Items:
        """Return when each of some items, in any order, was asked for anew; 0 for never."""
        if not len(self.items):
            return np.zeros(len(items), dtype=np.int64)
        places = np.minimum(np.searchsorted(self.items, items), len(self.items) - 1)
        return np.where(self.items[places] == items, self.times[places], 0)

    def renewed(self, items: Items, time: int) -> Renewals:
        """Return the same after some items were asked for anew once more."""
        every = np.union1d(self.items, items).astype(np.int64)
        return Renewals(every, np.where(np.isin(every, items), time, self.times_of(every)))

    def numbered(self, items: Items | None) -> Renewals:
        """Return the same for another space.

        Parameters
        ----------
        items : ndarray of int64 or None
            Where the items of this one are in that, −1 for those that are not; None if each is
            where it was.
        """
        if items is None or not len(self.items):
            return self
        new = items[self.items]
        # Equal psets count as one.
        order = np.lexsort((self.times, new))
        new, times = new[order], self.times[order]
        is_last = np.append(new[1:] != new[:-1], True)[: len(new)] & (new >= 0)
        return Renewals(new[is_last], times[is_last])

    def is_equal(self, other: Renewals) -> bool:
        """Return whether the same is said of all items."""
        if not len(self.items) and not len(other.items):
            return True
        is_same = np.array_equal(self.items, other.items)
        return is_same and np.array_equal(self.times, other.times)
