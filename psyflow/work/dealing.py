"""Claims of one job, dealt out to its workers by their supervisor.

If each worker claimed for itself, as many processes as a run has workers would meet in the folder
of the claim log. So the supervisor claims for all of them, and they ask it by a few bytes of
shared memory (`psyflow.work.asking`): who has what is then known without a look at the log.

When the log is exhausted, one worker looks what jobs that have ended left behind, and the others
do if it finds something. Should the supervisor be killed, all that it had claimed is left behind
itself, dealt or not, and others take up what has no outcome.
"""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable, Iterable

import numpy as np

from psyflow.system.owner import Owner
from psyflow.work.capture import say
from psyflow.work.claims import ClaimLog
from psyflow.work.crew import Claimant
from psyflow.work.pacer import CLAIM_SECONDS, MAX_CLAIM, Pacer
from psyflow.work.slot import Answer, Slot, Wish
from psyflow.work.takeover import finished_in, lease_name
from psyflow.work.worker import Items, Work

__all__ = ["Dealer", "claim_seconds"]

CLAIMS_PER_SECOND = 5
"""Claims that all jobs of a log make together: each is a dozen operations in one folder."""

RECALL_SECONDS = 5.0
"""For how long to wait for what a worker is to give back: an item may let no other thread run."""

_NOTHING = Answer.NOTHING, 0, 0


def claim_seconds(n_jobs: int) -> float:
    """Return for how long a claim of one of so many jobs is to last its workers.

    Examples
    --------
    >>> [claim_seconds(n) for n in (1, 10, 500)]
    [0.25, 2.0, 100.0]
    """
    return max(CLAIM_SECONDS, n_jobs / CLAIMS_PER_SECOND)


class Dealer:
    """Claims for the workers of a job, and deals out to them what they wish.

    Parameters
    ----------
    job : Work
    shard : str
        Name of the supervisor's shard, by which its claims go.
    n_workers : int
        Of this job.
    slot_of : callable
        Given a worker, returns its slot.
    """

    def __init__(
        self, job: Work, shard: str, n_workers: int, slot_of: Callable[[Claimant], Slot]
    ) -> None:
        self._job = job
        self._shard = shard
        self._n_workers = n_workers
        self._slot_of = slot_of
        self._log = ClaimLog(job.claims, len(job.items))
        self._n_jobs = max(1, math.ceil(job.n_workers / n_workers))
        self._start = self._stop = 0  # what is claimed, and not dealt out
        self._size = 0  # of the last claim
        self._unclaimed = len(job.items)  # as far as this job has seen
        self._is_exhausted = False
        self._dealt: dict[str, tuple[int, int]] = {}
        self._numbers: dict[str, int] = {}  # of the wishes that had these, unless it is given back
        self._recalls: dict[str, tuple[int, float]] = {}
        self._given_back: list[tuple[int, int]] = []
        self._scout: Claimant | None = None
        self._has_found = False  # whether others have left something
        self._lookers: set[str] = set()

    def heed(self, children: Iterable[Claimant]) -> int:
        """Answer what workers wish, and return how many of them were answered."""
        children, n_answered = list(children), 0
        # First these: what one has given back before it asks is there when it has asked.
        wishes = [(child, self._slot_of(child).wished) for child in children]
        for child in children:
            self.take_back(child)
        for child, wish in wishes:
            slot = self._slot_of(child)
            answer = None if wish is None else self._answer(child, wish, children)
            if wish is not None and answer is not None:
                slot.answer(wish.number, *answer)
                n_answered += 1
        return n_answered

    def take_back(self, child: Claimant) -> None:
        """Take note of what a worker has given back, for others."""
        shard = child.shard.name
        number = self._numbers.get(shard)
        back = self._slot_of(child).given_back(number) if number is not None else None
        if back is not None:
            del self._numbers[shard]
            self._dealt[shard] = self._dealt[shard][0], back[0]
            if back[0] < back[1]:
                self._given_back.append(back)

    @property
    def has_items(self) -> bool:
        """Whether there are items that a worker has given back, and nobody else has got."""
        return bool(self._given_back)

    def may_have_left(self, child: Claimant) -> bool:
        """Tell whether a worker may have had more items than it was to evaluate."""
        return child.first is not None or child.shard.name in self._lookers

    def left_by(self, child: Claimant, finished: Items) -> Items | None:
        """Return what a worker had, and has not finished; None if it has had nothing."""
        items = self._taken_by(child)
        items = child.first if items is None else items
        return None if items is None else np.setdiff1d(items, finished)

    def _taken_by(self, child: Claimant) -> Items | None:
        """Return what a worker has taken last; None if it has taken nothing."""
        shard = child.shard.name
        if self._job.feed is not None:
            return self._job.feed.block_of(shard)
        # What others left is had only when there is nothing else.
        claim = self._log.taken_over_by(shard) if shard in self._lookers else None
        if claim is not None:
            items = self._job.items[claim.start : claim.stop]
            return np.setdiff1d(items, self._finished_elsewhere(shard))
        if shard not in self._dealt:
            return None
        start, stop = self._dealt[shard]
        return self._job.items[start:stop]

    def _finished_elsewhere(self, shard: str) -> Items:
        """Return what other jobs have finished; those of a claim that was taken over may have."""
        shards = self._job.out.glob(f"{shard.partition('.')[0]}.*.rows")
        others = (path for path in shards if lease_name(path.name) != lease_name(shard))
        return finished_in(others, self._job.retries)

    def _answer(
        self, child: Claimant, wish: Wish, children: list[Claimant]
    ) -> tuple[Answer, int, int] | None:
        """Return what to answer; None if that is not known yet."""
        if self._start == self._stop and self._given_back:
            self._start, self._stop = self._given_back.pop()
        try:
            if self._start == self._stop and not (self._is_exhausted or self._claim(wish)):
                self._is_exhausted = True
        except FileNotFoundError as error:
            return _NOTHING if self._job.is_gone() else _failed(error)
        except OSError as error:
            return _failed(error)
        if self._start == self._stop:
            may_come = [self._is_to_give_back(other) for other in children if other is not child]
            return None if any(may_come) else self._nothing_left(child, children)
        start = self._start
        self._start = min(self._stop, start + self._share(wish))
        self._dealt[child.shard.name] = start, self._start
        self._numbers[child.shard.name] = wish.number
        return Answer.DEALT, start, self._start

    def _is_to_give_back(self, child: Claimant) -> bool:
        """Have a worker give back what it has not begun; return whether to wait for that."""
        shard, slot = child.shard.name, self._slot_of(child)
        number = self._numbers.get(shard)
        if number is None or slot.wished is not None:
            return False
        start, stop = self._dealt[shard]
        if stop - start < 2:
            return False  # it has begun all
        told, since = self._recalls.get(shard, (0, 0.0))
        if told != number:
            self._recalls[shard] = number, (since := time.monotonic())
            slot.recall(number)
        return time.monotonic() - since < RECALL_SECONDS

    def _share(self, wish: Wish) -> int:
        """Return how many of the claimed items a worker gets: fewer and fewer towards the end."""
        here = (self._stop - self._start) / (2 * self._n_workers)
        fair = math.ceil(here + self._unclaimed / (2 * self._job.n_workers))
        return max(1, min(wish.most, max(fair, wish.least)))

    def _claim(self, wish: Wish) -> bool:
        """Claim items for all workers; return whether there were any."""
        if self._job.is_gone():
            return False
        claim = self._log.claim(Owner.here(), self._shard, lambda left: self._portion(left, wish))
        if claim is None:
            return False
        self._start, self._stop = claim.start, claim.stop
        self._size = claim.stop - claim.start
        self._unclaimed = len(self._job.items) - claim.stop
        return True

    def _portion(self, left: int, wish: Wish) -> int:
        """Return how many items to claim at once."""
        seconds = claim_seconds(self._n_jobs)
        if self._job.deadline is not None:
            seconds = min(seconds, max(0.0, self._job.deadline - time.monotonic()))
        affordable = math.ceil(self._n_workers * wish.rate * seconds)
        # Nobody knows how long the first ones take: one for each worker.
        most = min(affordable, Pacer.GROWTH * self._size) if self._size else self._n_workers
        fair = math.ceil(left / (2 * self._n_jobs))
        own = min(wish.most, max(math.ceil(left / (2 * self._job.n_workers)), wish.least))
        return min(MAX_CLAIM * self._n_workers, max(own, min(most, fair)))

    def _nothing_left(
        self, child: Claimant, children: list[Claimant]
    ) -> tuple[Answer, int, int] | None:
        """Have one worker look for what others left, and the others if it finds something."""
        shard = child.shard.name
        if self._job.leases is None or shard in self._lookers:
            return _NOTHING
        scout = self._scout
        is_next = scout is None or (child.index == scout.index and child is not scout)
        if is_next:
            self._scout = child
        elif scout is not None and not self._has_found:
            if not any(other.index == scout.index for other in children):
                return _NOTHING
            if scout not in children or self._slot_of(scout).read()[0] < 0:
                return None  # it is looking, or whoever takes its place will
            self._has_found = True
        self._lookers.add(shard)
        return Answer.LOOK, 0, 0


def _failed(error: OSError) -> tuple[Answer, int, int]:
    say(f"Cannot claim items: {error}")
    return Answer.FAILED, error.errno or errno.EIO, 0
