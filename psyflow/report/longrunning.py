"""Items that have been running for long, as whoever looks sees them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psyflow.exceptions import StoreError
from psyflow.messages import duration
from psyflow.outcomes.table import Piece
from psyflow.record.plan import Plan
from psyflow.work.longrunning import told_in

__all__ = ["LongRunner", "long_runners", "median_duration", "seems_to_hang"]

_MOST_PIECES = 20
_MOST_BYTES = 1 << 20
_SUSPICIOUS = 20.0
_SUSPICIOUS_SECONDS = 30.0


@dataclass(frozen=True)
class LongRunner:
    """An item that has been running for some seconds at least.

    Attributes
    ----------
    item : int
        Its number in the plan.
    since : float
        Seconds since 1970.
    host : str
    job : str
        Name of the lease of its job.
    """

    item: int
    since: float
    host: str
    job: str = ""

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return max(0.0, time.time() - self.since)

    def __str__(self) -> str:
        return f"item {self.item} for {duration(self.seconds)}"


def long_runners(plan: Plan) -> list[LongRunner]:
    """Return the items of a plan that have been running for long, the longest first."""
    found = [LongRunner(*told) for told in told_in(plan.frozen.leases)]
    return sorted(found, key=lambda runner: runner.since)


def median_duration(pieces: Sequence[Piece]) -> float | None:
    """Return the median of how long items with a result took, in seconds, judging by some of them.

    Parameters
    ----------
    pieces : sequence of Piece
        Of which large ones, and all but some, are left alone.

    Returns
    -------
    float or None
        None if there are none.
    """
    small = [piece for piece in pieces if piece.n_bytes <= _MOST_BYTES]
    some = small[:: max(1, len(small) // _MOST_PIECES)]
    durations = [d for piece in some for d in _durations(piece)]
    return float(np.median(durations)) if durations else None


def _durations(piece: Piece) -> list[float]:
    # What cannot be read here is told by those who need it.
    with contextlib.suppress(StoreError, OSError):
        taken: list[float] = piece.read().bookkeeping["duration"].tolist()
        return [seconds for seconds in taken if seconds == seconds]
    return []


def seems_to_hang(runner: LongRunner, median: float | None) -> bool:
    """Tell whether an item takes so much longer than others that it should be looked at."""
    return median is not None and runner.seconds > max(_SUSPICIOUS_SECONDS, _SUSPICIOUS * median)
