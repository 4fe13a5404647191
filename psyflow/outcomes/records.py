"""Outcomes: what became of items that were evaluated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from psyflow.columns import Columns
from psyflow.outcomes.states import State

__all__ = ["SKIPPED", "Failure", "Rows", "Writer"]

SKIPPED = State.SKIPPED.value
"""The kind of a failure that is none: `execute` wanted the item left out."""

Items = npt.NDArray[np.int64]


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
    refused_by : str
        Of rows that the run's store cannot hold, which are kept for another: what refused them.
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
    refused_by: str = ""


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


class Writer(Protocol):
    """What outcomes are written to: a shard, as a rule."""

    def write_rows(self, rows: Rows) -> int:
        """Append result rows, and return how long they are, in bytes."""

    def write_failure(self, failure: Failure) -> None:
        """Append a failure."""

    def sync(self) -> None:
        """Return when what was appended is on the disk."""
