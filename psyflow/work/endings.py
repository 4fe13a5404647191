"""What follows from the end of a worker."""

from __future__ import annotations

import enum
import signal

from psyflow.system.exits import BROKEN, NOTHING_KEPT, OUT_OF_TIME, RECYCLED, STOPPED

__all__ = ["Ending", "ending_of"]

_ENDED_BY_US = (-signal.SIGTERM, -signal.SIGKILL)


class Ending(enum.Enum):
    """Why a worker has ended, and so what its supervisor has to do."""

    FINISHED = "there is nothing left to claim for it"
    RECYCLED = "another one takes its place"
    GAVE_WAY = "an item has left its process unfit: that is recorded, and another takes its place"
    OUT_OF_TIME = "the next items would not be done in time"
    NOTHING_KEPT = "none of the first results can be kept: all stop"
    GAVE_UP = "no item's fault, and the same for all: the task does not load, the disk is full …"
    STOPPED = "we have ended it: what it was doing counts as never begun"
    DIED = "of an item, if one was running: that is recorded, and another takes its place"


_OF_ITSELF = {
    0: Ending.FINISHED,
    RECYCLED: Ending.RECYCLED,
    BROKEN: Ending.GAVE_WAY,
    OUT_OF_TIME: Ending.OUT_OF_TIME,
    NOTHING_KEPT: Ending.NOTHING_KEPT,
}


def ending_of(exit_code: int, *, has_ended: bool, is_stopping: bool, is_condemned: bool) -> Ending:
    """Tell why a worker has ended.

    Parameters
    ----------
    exit_code : int
        Negative: the number of the signal that killed it.
    has_ended : bool
        Whether it has said in its slot that it ends because it wants to.
    is_stopping : bool
        Whether all workers were told to stop.
    is_condemned : bool
        Whether it was killed for an item that took too long.

    Examples
    --------
    >>> how = {"has_ended": False, "is_condemned": False}
    >>> [ending_of(-9, is_stopping=stopping, **how).name for stopping in (False, True)]
    ['DIED', 'STOPPED']
    """
    # One that says it was stopped, though nobody here has, was told to by somebody else.
    if has_ended and exit_code != STOPPED:
        return _OF_ITSELF.get(exit_code, Ending.GAVE_UP)
    if is_stopping and not is_condemned and exit_code in _ENDED_BY_US:
        return Ending.STOPPED
    return Ending.DIED
