"""What a worker and its supervisor tell each other without a word: a few bytes of memory."""

from __future__ import annotations

import enum
import functools
import struct
from typing import NamedTuple

__all__ = ["Answer", "Slot", "Wish"]

_hash = hash  # items may replace that, and nobody has looked yet
_MOST_LOOKS = 100
"""How often to look at what is being written: not for ever, as its writer may have been killed."""
_LEAST_START = 1e-6
"""Of a start of which half is written, the exponent is still zero: it is less than this."""


class Wish(NamedTuple):
    """How many items a worker wants.

    Attributes
    ----------
    number : int
        Of its wishes, from 1.
    most, least : int
        Not more than `most`; and no use in balancing less than `least`.
    rate : float
        How many items it does in a second; 0 if it has done none.
    """

    number: int
    most: int
    least: int
    rate: float


class Answer(enum.IntEnum):
    """What a supervisor answers to a wish."""

    DEALT = 1  # these positions
    LOOK = 2  # nothing is left but what jobs that have ended left behind, perhaps
    NOTHING = 3  # nothing at all is left
    FAILED = 4  # it could not claim: the error's number is the first position


class Slot:
    """A few bytes of shared memory in which a worker says what it is doing.

    Survives the worker, whatever it dies of: that is how the supervisor knows the item it died in.
    Also tells the worker to stop claiming, for the user's code may have taken SIGTERM for itself,
    and the supervisor, why a worker has given way to another.

    Parameters
    ----------
    memory : writable buffer of at least `Slot.size` bytes

    Examples
    --------
    >>> slot = Slot(memoryview(bytearray(Slot.size)))
    >>> slot.running(7, 0.5)
    >>> slot.read()
    (7, 0.5)
    """

    IDLE = -1
    ENDED = -2
    _layout = struct.Struct("<qd")
    _stop = struct.Struct("<q")
    _failed = struct.Struct("<q")
    _doom = struct.Struct("<q")
    _gone = struct.Struct("<qq500s")
    _doom_at = _layout.size + _stop.size + _failed.size
    _gone_at = _doom_at + _doom.size
    # Of both, a hash of all that was told is at the end. Whoever reads while another writes finds
    # some of the new and some of the old; a mere XOR would take 3 to 3 for an answer after 0 to 3.
    _wish = struct.Struct("<qqqdq")
    _answer = struct.Struct("<qqqqq")
    _wish_at = _gone_at + _gone.size + 4
    _answer_at = _wish_at + _wish.size
    _recall = struct.Struct("<q")
    _back = struct.Struct("<qqqq")
    _recall_at = _answer_at + _answer.size
    _back_at = _recall_at + _recall.size
    size = _back_at + _back.size

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        # Not a method, because it is called twice per item.
        self.running = functools.partial(self._layout.pack_into, memory, 0)
        """Say which item is running (`IDLE`: none), and since when (`time.monotonic`)."""

    def clear(self) -> None:
        """Forget the last worker."""
        self.running(self.IDLE, 0.0)
        self.failed(0)
        self._doom.pack_into(self._memory, self._doom_at, False)
        self._gone.pack_into(self._memory, self._gone_at, False, self.IDLE, b"")
        self._wish.pack_into(self._memory, self._wish_at, 0, 0, 0, 0.0, 0)
        self._answer.pack_into(self._memory, self._answer_at, 0, 0, 0, 0, 0)
        self._recall.pack_into(self._memory, self._recall_at, 0)
        self._back.pack_into(self._memory, self._back_at, 0, 0, 0, 0)

    def end(self) -> None:
        """Say that the worker ends because it wants to, unless an item is what ends it."""
        if self.read()[0] < 0:
            self.running(self.ENDED, 0.0)

    def read(self) -> tuple[int, float]:
        """Return the running item, `IDLE` or `ENDED`, and the item's start.

        Python writes zeros over both, then the item, then the start. Who finds that, for its
        writer has been stopped there, or killed, is told that none is running: none had begun.
        """
        for _ in range(_MOST_LOOKS):
            item, start = self._layout.unpack_from(self._memory, 0)
            is_whole = item in (self.IDLE, self.ENDED) or (item >= 0 and start >= _LEAST_START)
            if is_whole and (item, start) == self._layout.unpack_from(self._memory, 0):
                return item, start
        return self.IDLE, 0.0

    def give_way(self, item: int, start: float, reason: str) -> None:
        """Say that the worker cannot go on, and which item did that; `IDLE` if it is not known."""
        text = reason.encode(errors="backslashreplace")
        self._gone.pack_into(self._memory, self._gone_at, True, item, text)
        self.running(self.ENDED, start)

    @property
    def has_given_way(self) -> bool:
        """Whether `give_way` was called."""
        return bool(self._gone.unpack_from(self._memory, self._gone_at)[0])

    @property
    def culprit(self) -> tuple[int, str]:
        """The item and the reason of `give_way`."""
        _, item, text = self._gone.unpack_from(self._memory, self._gone_at)
        return item, text.rstrip(b"\0").decode(errors="ignore")

    def wish(self, wish: Wish) -> None:
        """Say how many items the worker wants."""
        self._wish.pack_into(self._memory, self._wish_at, *wish, hash(wish))

    @property
    def wished(self) -> Wish | None:
        """What `wish` said, unless that was answered."""
        *told, check = self._wish.unpack_from(self._memory, self._wish_at)
        wish = Wish(*told)
        answered = self._answer.unpack_from(self._memory, self._answer_at)[0]
        return wish if check == hash(wish) and wish.number > answered else None

    def answer(self, number: int, what: Answer, start: int = 0, stop: int = 0) -> None:
        """Answer the wish of that number."""
        check = hash((number, int(what), start, stop))
        self._answer.pack_into(self._memory, self._answer_at, number, what, start, stop, check)

    def answered(self, number: int) -> tuple[Answer, int, int] | None:
        """Return the answer to the wish of that number; None if there is none yet."""
        *told, check = self._answer.unpack_from(self._memory, self._answer_at)
        said, what, start, stop = told
        if said != number or check != hash((*told,)):
            return None
        return Answer(what), start, stop

    def recall(self, number: int) -> None:
        """Want back what has not begun of the answer to the wish of that number."""
        self._recall.pack_into(self._memory, self._recall_at, number)

    @property
    def recalled(self) -> int:
        """What `recall` said, or 0; what is half-written may be any number."""
        number: int = self._recall.unpack_from(self._memory, self._recall_at)[0]
        return number

    def give_back(self, number: int, start: int, stop: int) -> None:
        """Say that of the answer to that wish these positions will not be begun here."""
        check = _hash((number, start, stop))
        self._back.pack_into(self._memory, self._back_at, number, start, stop, check)

    def given_back(self, number: int) -> tuple[int, int] | None:
        """Return from where to where `give_back` said for that wish; None if it has not."""
        *told, check = self._back.unpack_from(self._memory, self._back_at)
        said, start, stop = told
        return (start, stop) if said == number and check == _hash((*told,)) else None

    def failed(self, n_items: int) -> None:
        """Say how many items have failed."""
        self._failed.pack_into(self._memory, self._layout.size + self._stop.size, n_items)

    @property
    def n_failed(self) -> int:
        """What `failed` said."""
        position = self._layout.size + self._stop.size
        n_items: int = self._failed.unpack_from(self._memory, position)[0]
        return n_items

    def doom(self) -> None:
        """Say that an item has failed in a way that no other one can escape."""
        self._doom.pack_into(self._memory, self._doom_at, True)

    @property
    def is_doomed(self) -> bool:
        """Whether `doom` was called."""
        return bool(self._doom.unpack_from(self._memory, self._doom_at)[0])

    def tell_to_stop(self, level: int) -> None:
        """Have the worker claim no more (level 1), or stop at once when a SIGTERM comes (2)."""
        self._stop.pack_into(self._memory, self._layout.size, level)

    @property
    def stop_level(self) -> int:
        """What `tell_to_stop` said, or 0."""
        level: int = self._stop.unpack_from(self._memory, self._layout.size)[0]
        return level
