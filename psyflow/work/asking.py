"""How a worker gets items from its supervisor, which claims for all workers of the job."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from os import getppid, kill
from time import sleep

from psyflow.work.slot import Answer, Slot, Wish

__all__ = ["Asking"]

SHORTEST_PAUSE, LONGEST_PAUSE = 0.00005, 0.01


class Asking:
    """Asks for positions of the batch, one wish after the other.

    Parameters
    ----------
    slot : Slot
    is_stopping : callable
        Whether to wait no longer.
    """

    def __init__(self, slot: Slot, is_stopping: Callable[[], bool]) -> None:
        self._slot = slot
        self._is_stopping = is_stopping
        self.number = 0
        """Of the last wish."""

    def ask(self, most: int, least: int, rate: float) -> tuple[Answer, int, int]:
        """Ask for items, as of `Wish`, and return the answer, and from where to where.

        Raises
        ------
        OSError
            If the supervisor could not claim any.
        """
        self.number += 1
        self._slot.wish(Wish(self.number, most, least, rate))
        # As a child's end does, this wakes it. An item may have left the process another user's.
        with contextlib.suppress(OSError):
            kill(getppid(), signal.SIGCHLD)
        pause = SHORTEST_PAUSE
        while (answer := self._slot.answered(self.number)) is None:
            if self._is_stopping():
                return Answer.NOTHING, 0, 0
            sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        if answer[0] is Answer.FAILED:
            raise OSError(answer[1], os.strerror(answer[1]), "the claim log")
        return answer
