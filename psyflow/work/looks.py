"""When a worker looks whether items have changed the conditions, and what follows if they have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from time import monotonic

from psyflow.work.conditions import Conditions
from psyflow.work.integrity import Integrity
from psyflow.work.kept import QUICK_SECONDS, Kept
from psyflow.work.prepared import Prepared

__all__ = ["Looks"]

SHARE = 0.05
"""What looks may take of a worker's time."""
LEAD_SECONDS = 0.001
"""How much of that time they may be ahead: not more, for a busy machine gives time to others."""
MOST_SECONDS = 1e-4
"""A look counts for no more: if it took longer, the process was not running."""
N_FIRST = 300
"""There is a look after each item until there were as many."""


class Looks:
    """Looks after items, and puts back what they have changed.

    To look takes longer than an item that takes no time. So there are as many looks as `SHARE`
    pays for: one after each of the first few hundred items, one after each that takes some 0.3 ms,
    and one after many together where these take no time for long. If something has changed
    then, any of them but the first may have suffered from one before: their rows are given up, and
    from then on each item is looked after by itself.

    Parameters
    ----------
    kept : Kept
        Holds the rows of those not looked after yet.
    integrity : Integrity, optional
    leave_if_forked : callable
        Ends this process if it is a child that the function has forked.
    stop : callable
        Has no other item begin here.
    prepared : Prepared

    Attributes
    ----------
    again : list of int
        Items that are left: what became of some was given up, and others have not begun.
    worn : str
        What could not be put back, so that no other item may begin here.
    """

    def __init__(
        self,
        kept: Kept,
        integrity: Integrity | None,
        leave_if_forked: Callable[[], None],
        stop: Callable[[], None],
        prepared: Prepared,
    ) -> None:
        self._next = -math.inf
        self.again: list[int] = []
        self.worn = ""
        self._conditions: Conditions | None = None
        self._left: Iterator[int] = iter(())
        self._kept = kept
        self._integrity = integrity
        self._leave_if_forked = leave_if_forked
        self._stop = stop
        # With a context, an evaluation may go on where one before it was: none is for nothing.
        self._is_careful = prepared.contexts is not None
        self._n_looks = 0

    @property
    def due(self) -> float:
        """From when on it is time for a look, or to write (`time.monotonic`)."""
        # Each item that fails asks, and `min` would take twice as long.
        next_look, next_write = self._next, self._kept.due
        return next_look if next_look < next_write else next_write

    def may_wait(self, begin: float) -> bool:
        """Tell whether an item that has just ended without a row took no time, and none is due."""
        now = monotonic()
        return not (now - begin > QUICK_SECONDS or now > self.due or self._kept.is_long)

    def do_beside(self, what: Callable[[], None]) -> None:
        """Have the thread that writes do something each time."""
        self._kept.beside = what

    def take_left(self) -> list[int]:
        """Take, in one step, the items that have not begun; for another thread, too."""
        return [*self._left]

    def look_after(self, conditions: Conditions) -> None:
        """Have each item begin under these, in a process that is psyflow's own."""
        self._conditions = conditions
        self._kept.is_clean = conditions.are_as_ever

    def begin(self, items: list[int], evaluate: Callable[[Iterator[int]], None]) -> None:
        """Evaluate `items`, up to where some have to be given up: these and the rest are `again`.

        Nobody looks after the last ones.
        """
        self.again = []
        self._left = left = iter(items)
        if self._conditions is None:
            self._next = math.inf
            evaluate(left)
        else:
            self._kept.settled = monotonic()
            self._conditions.under(lambda: evaluate(left))

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
        if self._conditions is None:
            return True
        begin, stands = monotonic(), True
        if changed := self._conditions.changed():
            stands = self._put_back(self._conditions, changed, failing)
        now = self._kept.settled = monotonic()
        self._n_looks += 1
        if not self._is_careful and self._n_looks > N_FIRST:
            price = min(now - begin, MOST_SECONDS) / SHARE
            self._next = max(self._next, now - LEAD_SECONDS) + price
        return stands

    def _put_back(self, conditions: Conditions, changed: list[int], failing: int | None) -> bool:
        self._leave_if_forked()
        if self._integrity is not None:
            # Before anything is given up: whoever accounts for it needs all that may have done it.
            self._integrity.check()
        # A thread may be about to take all for settled, because nothing is changed any more.
        with self._kept.lock:
            restored = conditions.put_back(changed)
            if restored.left:
                self.worn = ", ".join(dict.fromkeys(restored.left))
                self._stop()
            if not restored.was_changed:
                return True
            self._is_careful, self._next = True, -math.inf
            first, again = self._kept.give_up()
        stands = failing is None or first is None
        if failing is not None and not stands:
            again.append(failing)
        if again or self.worn:
            self.again += [*again, *self._left]
        return stands
