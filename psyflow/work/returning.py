"""How a worker gives back what it was dealt and has not begun, while an item of it is running.

An item may run for long, or for ever, and what was dealt with it would wait for it, while other
workers have nothing to do. The thread that writes takes it from the iterators of the main one.
Each of its two steps is one of CPython's, during which no other thread runs: so what it takes, the
main one never gets, and what that one has got, it does not take.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from os import getppid, kill

import numpy as np
import numpy.typing as npt

from psyflow.work.slot import Slot

__all__ = ["Returning"]

_HAS_STEPS = bool(getattr(sys, "_is_gil_enabled", lambda: True)())


class Returning:
    """Gives back the end of a deal, if the supervisor wants it.

    Parameters
    ----------
    slot : Slot
    take_begun : callable
        Takes, in one step, those of the items that are being evaluated that have not begun.
    """

    def __init__(self, slot: Slot, take_begun: Callable[[], list[int]]) -> None:
        self._slot = slot
        self._take_begun = take_begun
        # Held while something is given back: who asks for more has not still to say so.
        self._lock = threading.Lock()
        self._dealt = 0, 0, 0
        self._number = self._stop = self._n_items = self._n_given = 0
        self._starts: Iterator[int] = iter(())
        self._items: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def dealt(self, number: int, start: int, stop: int) -> None:
        """Take note of what the answer to the wish of that number was."""
        self._dealt = number, start, stop

    def blocks(self, items: npt.NDArray[np.int64], size: int) -> Iterator[int]:
        """Return where the blocks of `items` begin; these may be given back if they are a deal."""
        starts = iter(range(0, len(items), size))
        with self._lock:
            (number, start, stop), self._dealt = self._dealt, (0, 0, 0)
            self._items, self._starts, self._n_given = items, starts, 0
            self._n_items, self._stop = len(items), stop
            # What a worker that has died has left, or a job, is no deal.
            is_whole = stop - start == len(items)
            self._number = number if is_whole and _HAS_STEPS else 0
        return starts

    def end(self) -> int:
        """Return how many of the items were given back; from now on, none are."""
        with self._lock:
            self._number = 0
            return self._n_given

    def heed(self) -> None:
        """Give back what has not begun, if that is wanted; for another thread."""
        with self._lock:
            if not self._number or self._slot.recalled != self._number:
                return
            # In this order: else the main one could begin a block between those taken.
            later = [*self._starts]
            begun = self._take_begun()
            cut = later[0] if later else self._n_items
            first = cut - begun.__len__()
            if self._items[first:cut].tolist() != begun:
                raise RuntimeError("What has not begun of a deal is not its end.")
            self._n_given = self._n_items - first
            self._slot.give_back(self._number, self._stop - self._n_given, self._stop)
            self._number = 0
        with contextlib.suppress(OSError):
            kill(getppid(), signal.SIGCHLD)
