"""How far the workers of a plan are: a reader of their shards."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from psyflow.messages import duration
from psyflow.outcomes.shard import FAILURE, ROWS, SKIP, ShardReader

if TYPE_CHECKING:
    from psyflow.record.plan import Plan

__all__ = ["Counts", "Tally"]


@dataclass(frozen=True)
class Counts:
    """How far a run is.

    Attributes
    ----------
    total : int
        Number of items.
    done, failed, skipped : int
        With a result; with a failure and no result; and those that were left out.
    rate : float
        Finished items per second since the counting began.
    elapsed : float
        Seconds since then.
    """

    total: int
    done: int
    failed: int
    rate: float
    elapsed: float
    skipped: int = 0

    @property
    def left(self) -> str:
        """How long the rest will take at this rate, in words."""
        remaining = self.total - self.done - self.failed - self.skipped
        return f"{duration(remaining / self.rate)} left" if self.rate else "time left unknown"

    @property
    def speed(self) -> str:
        """The rate in words.

        Examples
        --------
        >>> Counts(100, 50, 0, 1234.5, 1.0).speed, Counts(100, 1, 0, 0.01, 100.0).speed
        ('1234/s', '0.01/s')
        """
        return f"{self.rate:.0f}/s" if self.rate >= 10 else f"{self.rate:.2g}/s"

    def __str__(self) -> str:
        return f"{self.done} of {self.total} done, {self.other}, {self.speed}, {self.left}"

    @property
    def other(self) -> str:
        """What became of the others in words."""
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.failed} failed{skipped}"


class Tally:
    """Counts the outcomes in the shards of a plan.

    Parameters
    ----------
    plan : Plan
    n_left_out : int
        Items without a result that the plan leaves alone.
    joins : bool
        Whether the workers may have begun before: what is there at the first count is no part of
        the rate.
    """

    def __init__(self, plan: Plan, n_left_out: int = 0, *, joins: bool = False) -> None:
        self._plan = plan
        self._n_left_out = n_left_out
        self._readers: dict[Path, ShardReader] = {}
        self._done = np.zeros(plan.n_items, dtype=np.bool_)
        self._failed = np.zeros(plan.n_items, dtype=np.bool_)
        self._skipped = np.zeros(plan.n_items, dtype=np.bool_)
        self._of_kind = {ROWS: self._done, FAILURE: self._failed, SKIP: self._skipped}
        self._begin = time.monotonic()
        self._n_before: int | None = None if joins else 0

    def counts(self) -> Counts:
        """Read what is new in the shards, and count."""
        for shard in self._plan.layout.shards(self._plan.run_id):
            reader = self._readers.setdefault(shard, ShardReader(shard))
            # A merge may remove shards at any moment.
            with suppress(FileNotFoundError):
                for frame in reader.new_frames():
                    # The failure of refused rows comes after them.
                    if (items := self._of_kind.get(frame.kind)) is not None:
                        items[frame.items] = True
        n_new = int(np.count_nonzero(self._done))
        n_failed = int(np.count_nonzero(self._failed & ~self._done))
        n_skipped = int(np.count_nonzero(self._skipped))
        elapsed = time.monotonic() - self._begin
        if self._n_before is None:
            self._n_before = n_new + n_failed + n_skipped
        return Counts(
            total=self._plan.n_items - self._n_left_out,
            done=self._plan.n_items - self._n_left_out - self._plan.n_pending + n_new,
            failed=n_failed,
            rate=(n_new + n_failed + n_skipped - self._n_before) / elapsed if elapsed else 0.0,
            elapsed=elapsed,
            skipped=n_skipped,
        )
