"""Outcomes: what became of items that were evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Columns

__all__ = ["SKIPPED", "Failure", "Rows", "pset_repr", "safe_repr"]

SKIPPED = "skipped"
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


def pset_repr(pset: Mapping[str, Any], limit: int = 500) -> dict[str, str]:
    """Return the ``repr`` of each value, cut to `limit` characters, for failure records."""
    return {name: safe_repr(value, limit) for name, value in pset.items()}


def safe_repr(value: Any, limit: int) -> str:
    """Return ``repr(value)``, cut to `limit` characters, even if the value's class has none."""
    try:
        text = repr(value)
    except Exception as error:
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
