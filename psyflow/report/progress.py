"""How far the workers of a plan are: a reader of their shards."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from psyflow.messages import duration
from psyflow.outcomes.shard import STATE_OF_KIND, ShardReader
from psyflow.outcomes.states import OUTCOMES, WITHOUT_ROW, State, Tally
from psyflow.report.longrunning import LongRunner, long_runners

if TYPE_CHECKING:
    from psyflow.record.plan import Plan

__all__ = ["Counts", "Follower", "n_left_of"]

LOOK_SECONDS = 1.0
_QUIET_SECONDS = 3.0
_QUIET_ITEMS = 5
"""As many items would have ended meanwhile, if all were as usual."""


@dataclass(frozen=True)
class Counts:
    """How far a run is.

    Attributes
    ----------
    tally : Tally
        How many items have an outcome.
    rate : float
        Finished items per second since the counting began.
    elapsed : float
        Seconds since then.
    long_runners : sequence of LongRunner
        The items that have been running for some seconds, the longest first.
    quiet : float
        Seconds since an item ended.
    """

    tally: Tally
    rate: float
    elapsed: float
    long_runners: Sequence[LongRunner] = ()
    quiet: float = 0.0

    @property
    def left(self) -> str:
        """How long the rest will take at this rate, in words, or for what it waits.

        Examples
        --------
        >>> Counts(Tally(9), 0.1, 1.0).left
        '1 min 30 s left'
        >>> since = time.time() - 35
        >>> Counts(Tally(1), 5.0, 40.0, [LongRunner(0, since, "node3")]).left
        'waiting for item 0 for 35 s'
        """
        remaining = self.tally.n_items - self.tally.n_ended
        if self.long_runners and (0 < remaining <= len(self.long_runners) or self._is_stuck):
            more = f" and {remaining - 1} more" if remaining > 1 else ""
            return f"waiting for {self.long_runners[0]}{more}"
        return f"{duration(remaining / self.rate)} left" if self.rate else "time left unknown"

    @property
    def _is_stuck(self) -> bool:
        """Whether nothing has ended for much longer than usual."""
        # What a worker has been given waits for the item that it is at.
        return bool(self.rate) and self.quiet > max(_QUIET_SECONDS, _QUIET_ITEMS / self.rate)

    @property
    def speed(self) -> str:
        """The rate in words.

        Examples
        --------
        >>> Counts(Tally(9), 1234.5, 1.0).speed, Counts(Tally(9), 0.01, 100.0).speed
        ('1234/s', '0.01/s')
        """
        return f"{self.rate:.0f}/s" if self.rate >= 10 else f"{self.rate:.2g}/s"

    def __str__(self) -> str:
        done, total = self.tally[State.DONE], self.tally.n_items
        return f"{done} of {total} done, {self.other}, {self.speed}, {self.left}"

    @property
    def other(self) -> str:
        """What became of the others in words: always how many failed, and the rest if there is."""
        first, *more = WITHOUT_ROW
        told = [first, *(state for state in more if self.tally[state])]
        return ", ".join(f"{self.tally[state]} {state}" for state in told)


def n_left_of(plan: Plan) -> int:
    """Return how many items of a plan have no outcome yet."""
    tally = Follower(plan).counts().tally
    return tally.n_items - tally.n_ended


class Follower:
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
        self._ended = {state: np.zeros(plan.n_items, dtype=np.bool_) for state in OUTCOMES}
        self._begin = time.monotonic()
        self._n_before: int | None = None if joins else 0
        self._runners: list[LongRunner] = []
        self._looked = float("-inf")
        self._n_ended = 0
        self._last_end = self._begin

    def counts(self) -> Counts:
        """Read what is new in the shards, and count."""
        for shard in self._plan.layout.shards(self._plan.run_id):
            reader = self._readers.setdefault(shard, ShardReader(shard))
            # A merge may remove shards at any moment.
            with suppress(FileNotFoundError):
                for frame in reader.new_frames():
                    if (state := STATE_OF_KIND.get(frame.kind)) is not None:
                        self._ended[state][frame.items] = True
        elapsed = time.monotonic() - self._begin
        counts = self._counted()
        n_new = sum(counts.values())
        if n_new != self._n_ended:
            self._n_ended, self._last_end = n_new, self._begin + elapsed
        if self._n_before is None:
            self._n_before = n_new
        n_items = self._plan.n_items - self._n_left_out
        counts[State.DONE] += n_items - self._plan.n_pending
        rate = (n_new - self._n_before) / elapsed if elapsed else 0.0
        quiet = self._begin + elapsed - self._last_end
        return Counts(Tally(n_items, counts), rate, elapsed, self._long_runners(), quiet)

    def _long_runners(self) -> list[LongRunner]:
        now = time.monotonic()
        if now - self._looked > LOOK_SECONDS:
            self._looked, self._runners = now, long_runners(self._plan)
        # What has ended since was told before that.
        ended = self._ended.values()
        return [r for r in self._runners if not any(items[r.item] for items in ended)]

    def _counted(self) -> dict[State, int]:
        """Count the items of the plan in each state; those with a row are done in any case."""
        done = self._ended[State.DONE]
        counts = {state: self._ended[state] & ~done for state in WITHOUT_ROW} | {State.DONE: done}
        return {state: int(np.count_nonzero(items)) for state, items in counts.items()}
