"""Which element is in which state, as one process knows it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from psyflow.work.keyclaims import NOBODY, Transfers

__all__ = ["Board"]

Positions = npt.NDArray[np.int64]


class Board:
    """The states of the elements 0, 1, 2 … of a catalogue.

    Parameters
    ----------
    n : int

    Examples
    --------
    >>> board = Board(3)
    >>> board.set_done([0])
    >>> board.skip([1])
    >>> board.todo(2), board.state("skipped").tolist()
    ([2], [1])
    """

    def __init__(self, n: int = 0) -> None:
        self.begin(n)

    def begin(self, n: int) -> None:
        """Begin with `n` elements of which nothing is known."""
        self._holders = array("Q", bytes(8 * n))
        self._done = bytearray(n)
        self._skipped = bytearray(n)
        # Not todo, for whatever reason: the next one that is todo is found as a byte is found.
        self._taken = bytearray(n)
        self._cursor = 0  # nothing before it is todo

    def release_all(self) -> None:
        """Forget who holds what."""
        self._holders = array("Q", bytes(8 * len(self._done)))
        self._settle_all()

    def forget_done(self) -> None:
        """Forget what is done."""
        self._done = bytearray(len(self._done))
        self._settle_all()

    def unskip_all(self) -> None:
        """Take `skip` back, of all elements."""
        self._skipped = bytearray(len(self._done))
        self._settle_all()

    def transfer(self, positions: Positions, records: Transfers) -> None:
        """Pass elements from holder to holder, as far as they are with the first one."""
        holders = self._holders
        rows = zip(positions.tolist(), *records[:, :2].T.tolist(), strict=True)
        for position, before, after in rows:
            if position >= 0 and holders[position] == before:
                holders[position] = after
                self._settle(position)

    def holders(self, positions: Iterable[int]) -> list[int]:
        """Return who holds each of some elements, `NOBODY` or a number."""
        return [self._holders[position] for position in positions]

    def held(self) -> dict[int, list[int]]:
        """Return the elements that are in progress, by their holders."""
        held: dict[int, list[int]] = {}
        for position in self.state("inprogress").tolist():
            held.setdefault(self._holders[position], []).append(position)
        return held

    def set_done(self, positions: Iterable[int]) -> None:
        """Mark elements as done, for ever; those at −1 are others'."""
        for position in positions:
            if position >= 0:
                self._done[position] = self._taken[position] = True

    def skip(self, positions: Iterable[int]) -> None:
        """Mark elements as skipped by this process."""
        for position in positions:
            self._skipped[position] = True
            self._settle(position)

    def unskip(self, positions: Iterable[int]) -> None:
        """Take `skip` back."""
        for position in positions:
            self._skipped[position] = False
            self._settle(position)

    def is_done(self, position: int) -> bool:
        """Tell whether an element is done."""
        return bool(self._done[position])

    def todo(self, n: int) -> list[int]:
        """Return the first `n` elements that are todo, or all if there are fewer."""
        found: list[int] = []
        begin = self._cursor
        while len(found) < n and (at := self._taken.find(False, begin)) != -1:
            found.append(at)
            begin = at + 1
        if n:
            self._cursor = found[0] if found else len(self._taken)
        return found

    def is_todo(self, position: int) -> bool:
        """Tell whether an element is todo."""
        return not self._taken[position]

    def is_free(self, position: int) -> bool:
        """Tell whether an element is neither held nor done."""
        return not self._done[position] and self._holders[position] == NOBODY

    def is_holding(self, holder: int) -> bool:
        """Tell whether a holder has anything in progress."""
        mine = np.array(self._holders, dtype=np.uint64) == holder
        return bool((mine & ~np.array(self._done, dtype=np.bool_)).any())

    def state(self, state: str) -> Positions:
        """Return the elements that are ``remaining``, ``skipped``, ``inprogress`` or ``done``."""
        return np.flatnonzero(self._masks()[state])

    def counts(self) -> dict[str, int]:
        """Return how many elements are in each state."""
        return {state: int(mask.sum()) for state, mask in self._masks().items()}

    def _masks(self) -> dict[str, npt.NDArray[np.bool_]]:
        done = np.array(self._done, dtype=np.bool_)
        held = np.array(self._holders, dtype=np.uint64) != NOBODY
        skipped = np.array(self._skipped, dtype=np.bool_)
        return {
            "remaining": ~(done | held | skipped),
            "skipped": skipped & ~(done | held),
            "inprogress": held & ~done,
            "done": done,
        }

    def _settle_all(self) -> None:
        self._taken = bytearray((~self._masks()["remaining"]).tobytes())
        self._cursor = 0

    def _settle(self, position: int) -> None:
        is_held = self._holders[position] != NOBODY
        self._taken[position] = is_held or self._done[position] or self._skipped[position]
        if not self._taken[position]:
            self._cursor = min(self._cursor, position)
