"""When a worker looks whether items have changed the conditions, and what follows if they have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from time import monotonic

from psyflow.work.conditions import Conditions
from psyflow.work.integrity import Integrity
from psyflow.work.kept import Kept
from psyflow.work.prepared import Prepared

__all__ = ["QUICK_SECONDS", "Looks"]

QUICK_SECONDS = 0.001
"""Items that took less are looked after together, and their failures are written together."""
LOOK_SECONDS = 0.01


class Looks:
    """Looks after items, and puts back what they have changed.

    To look takes longer than an item that takes no time. So several of these are looked after
    together. If something has changed, any but the first may have suffered from one before: their
    rows are given up, and from then on each item is looked after by itself.

    Parameters
    ----------
    kept : Kept
        Holds the rows of those not looked after yet, and writes none of them.
    integrity : Integrity, optional
    leave_if_forked : callable
        Ends this process if it is a child that the function has forked.
    prepared : Prepared

    Attributes
    ----------
    conditions : Conditions or None
        If None, nobody looks: the process is not psyflow's own.
    due : float
        From when on it is time for a look (`time.monotonic`).
    again : list of int
        Items that are left: what became of some was given up, and others have not begun.
    """

    def __init__(
        self,
        kept: Kept,
        integrity: Integrity | None,
        leave_if_forked: Callable[[], None],
        prepared: Prepared,
    ) -> None:
        self.conditions: Conditions | None = None
        self.due = 0.0
        self.again: list[int] = []
        self._left: Iterator[int] = iter(())
        self._kept = kept
        self._integrity = integrity
        self._leave_if_forked = leave_if_forked
        # With a context, an evaluation may go on where one before it was: none is for nothing.
        self._is_careful = prepared.contexts is not None

    def begin(self, items: list[int]) -> Iterator[int]:
        """Yield `items`, up to where some have to be given up: these and the rest are `again`."""
        self.again = []
        self._left = iter(items)
        self._settle()
        return self._left

    def look(self, failing: int | None = None) -> bool:
        """Put back what items have changed since the last look.

        Parameters
        ----------
        failing : int, optional
            The last of these items, if its failure is not kept yet.

        Returns
        -------
        bool
            Whether that failure is to be kept, since no other item is to blame for it.

        Raises
        ------
        BrokenProcessError
            If they have also broken the process.
        """
        stands = True
        if self.conditions is not None and (changed := self.conditions.changed()):
            stands = self._put_back(self.conditions, changed, failing)
        self._settle()
        return stands

    def _put_back(self, conditions: Conditions, changed: list[int], failing: int | None) -> bool:
        self._leave_if_forked()
        if self._integrity is not None:
            # Before anything is given up: whoever accounts for it needs all that may have done it.
            self._integrity.check()
        if not conditions.put_back(changed):
            return True
        self._is_careful = True
        first, again = self._kept.give_up()
        stands = failing is None or first is None
        if failing is not None and not stands:
            again.append(failing)
        if again:
            self.again += [*again, *self._left]
        return stands

    def _settle(self) -> None:
        now = monotonic()
        if self.conditions is not None:
            self._kept.settled = now
        self.due = -math.inf if self._is_careful and self.conditions else now + LOOK_SECONDS
