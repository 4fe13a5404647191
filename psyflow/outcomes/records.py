"""Outcomes: what became of items that were evaluated."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.columns import Columns
from psyflow.exceptions import CommandFailedError, Skip
from psyflow.outcomes.states import State
from psyflow.reprs import pset_repr
from psyflow.texts import exception_text, message_of, traceback_text, users_frames

__all__ = [
    "OF_PROGRAMS",
    "OF_RESULT",
    "SKIPPED",
    "UNKNOWN",
    "Attempt",
    "Failure",
    "Rows",
    "Writer",
]

OF_RESULT = "result"
"""The kind of a failure where it is what the function returned that cannot be kept."""

SKIPPED = State.SKIPPED.value
"""The kind of a failure that is none: `execute` wanted the item left out."""

UNKNOWN = -1
"""In place of a position or an amount that nobody noted."""

OF_PROGRAMS: Mapping[str, np.generic] = {
    "exit_code": np.int16(-1),
    "signal": np.int8(0),
    "cpu": np.float64(np.nan),
    "peak_memory": np.int64(-1),
}
"""What is noted of the programs of an item, and what stands for that where nothing is known.

Exit code of the last one, and the number of the signal that ended it; CPU seconds of all, and the
bytes of the largest.
"""

Items: TypeAlias = "npt.NDArray[np.int64]"


@dataclass
class Rows:
    """Result rows of some items, with their bookkeeping.

    Attributes
    ----------
    items : ndarray of int64, shape (n,)
        Item numbers.
    columns : mapping from str to column of length n
        What the function returned.
    start, duration : ndarray of float64, shape (n,)
        Seconds since 1970, and seconds.
    attempt : ndarray of int16, shape (n,)
    host : str
    pid : int
    log : str
        Name of the file with what the items printed; empty if it was not kept.
    printed : ndarray of int64, shape (n, 2), or None
        From which byte to which of the log each item printed, −1 if nothing; None if none did.
    peak_kib : int, or ndarray of int32, shape (n,)
        The most memory that the worker's process had while it computed the row, or the rows that
        were written with it, in KiB; `UNKNOWN` if nobody looked.
    refused_by : str
        Of rows that the run's store cannot hold, which are kept for another: what refused them.
    programs : mapping from str to ndarray of shape (n,), or None
        `OF_PROGRAMS`, if any of the items has run some.
    """

    items: Items
    columns: Columns
    start: npt.NDArray[np.float64]
    duration: npt.NDArray[np.float64]
    attempt: npt.NDArray[np.int16]
    host: str
    pid: int
    log: str = ""
    printed: npt.NDArray[np.int64] | None = None
    peak_kib: int | npt.NDArray[np.int32] = UNKNOWN
    refused_by: str = ""
    programs: Mapping[str, npt.NDArray[Any]] | None = None


@dataclass
class Attempt:
    """One attempt that gave no row: of what, when, and in which process.

    Attributes
    ----------
    item : int
    pset : mapping from str to object
        As far as it is known here.
    start, duration : float
        Seconds since 1970, and seconds.
    number : int
        Counted from 1 within a job.
    pid : int
    log : str
        Name of the file with what the item printed; empty if it was not kept.
    host : str
    """

    item: int
    pset: Mapping[str, Any]
    start: float
    duration: float
    number: int = 1
    pid: int = 0
    log: str = ""
    host: str = field(default_factory=socket.gethostname)


@dataclass
class Failure:
    """What became of an item that has no result.

    Attributes
    ----------
    item : int
    kind : str
        ``"error"`` (an exception), ``"oom"``, ``"crash"`` (its process died), ``"timeout"``,
        ``"result"`` (what it returned is no dict, or nothing that the store can hold), or
        `SKIPPED`: it is no failure, but wanted to be left out.
    exception : str
        The exception's type and message, or what happened instead.
    traceback : str
    pset : dict from str to str
        The ``repr`` of each parameter.
    start, duration : float
        Seconds since 1970, and seconds.
    attempt : int
    host : str
    pid : int
    log : str
        Name of the file with what the item printed; empty if it was not kept.
    printed : (int, int) or None
        From which byte to which of the log.
    programs : dict or None
        What of `OF_PROGRAMS` is known, if it has run any.
    """

    item: int
    kind: str
    exception: str
    traceback: str = ""
    pset: dict[str, str] = field(default_factory=dict)
    start: float = 0.0
    duration: float = 0.0
    attempt: int = 1
    host: str = ""
    pid: int = 0
    log: str = ""
    printed: tuple[int, int] | None = None
    programs: dict[str, Any] | None = None

    @classmethod
    def of_exception(
        cls, attempt: Attempt, error: BaseException, *, is_of_result: bool = False
    ) -> Failure:
        """Return what is recorded of an exception.

        Parameters
        ----------
        attempt : Attempt
        error : BaseException
            What the function raised, through frames of psyflow's own; `Skip` if it wanted the
            item left out.
        is_of_result : bool
            Whether it is what is wrong with the result that the function returned.

        Examples
        --------
        >>> attempt = Attempt(3, {"x": 0}, 0.0, 0.1)
        >>> failure = Failure.of_exception(attempt, ValueError("no zero"))
        >>> failure.kind, failure.exception, failure.pset
        ('error', 'ValueError: no zero', {'x': '0'})
        """
        kind = OF_RESULT if is_of_result else _kind_of(error)
        text = message_of(error) if kind == SKIPPED else exception_text(error)
        trace = "" if kind in (OF_RESULT, SKIPPED) else _user_traceback(error)
        return cls._of(attempt, kind, text, trace)

    @classmethod
    def of_death(cls, attempt: Attempt, kind: str, what: str, stack: str = "") -> Failure:
        """Return what is recorded of an item with which its process ended.

        Parameters
        ----------
        attempt : Attempt
        kind : str
            ``"crash"``, ``"oom"`` or ``"timeout"``.
        what : str
            What happened, in words.
        stack : str
            Where in the code it was; empty if nobody knows.

        Examples
        --------
        >>> Failure.of_death(Attempt(3, {}, 0.0, 0.1), "crash", "Its process died.").kind
        'crash'
        """
        return cls._of(attempt, kind, what, stack)

    def told(self, again: str = "") -> str:
        """Return what is said of it in a log; `again` says that it is no outcome yet."""
        what = "is skipped" if self.kind == SKIPPED else f"failed{again}"
        return f"Item {self.item} {what}: {self.exception}\n{self.traceback}"

    @classmethod
    def _of(cls, attempt: Attempt, kind: str, what: str, traceback: str = "") -> Failure:
        return cls(
            item=attempt.item,
            kind=kind,
            exception=what,
            traceback=traceback,
            pset=pset_repr(attempt.pset),
            start=attempt.start,
            duration=attempt.duration,
            attempt=attempt.number,
            host=attempt.host,
            pid=attempt.pid,
            log=attempt.log,
        )


def _kind_of(error: BaseException) -> str:
    if isinstance(error, Skip):
        return SKIPPED
    if isinstance(error, CommandFailedError):
        return error.kind
    return "oom" if isinstance(error, MemoryError) else "error"


def _user_traceback(error: BaseException) -> str:
    if isinstance(error, CommandFailedError):
        return traceback_text(error, None)  # no frame of it is the user's
    frames = error.__traceback__
    # Where the function is psyflow's own, as in examples, only the first frame is the call of it.
    return traceback_text(error, users_frames(frames) or (frames and frames.tb_next))


class Writer(Protocol):
    """What outcomes are written to: a shard, as a rule."""

    def write_rows(self, rows: Rows) -> int:
        """Append result rows, and return how long they are, in bytes."""

    def write_failures(self, failures: Sequence[Failure]) -> None:
        """Append failures."""

    def sync(self) -> None:
        """Return when what was appended is on the disk."""
