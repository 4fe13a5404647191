"""The worker: claims items, evaluates them, and appends their outcomes to its shard."""

from __future__ import annotations

import math
import signal
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.claims import ClaimLog, Owner
from psyflow.evaluate import Evaluator, Prepared, StopNow
from psyflow.pspace import ParameterSpace
from psyflow.shard import ShardWriter

__all__ = ["STOPPED", "Pacer", "Slot", "Work", "work"]

STOPPED = 130
CLAIM_SECONDS = 0.25
MAX_CLAIM = 1 << 18
COLUMN_BLOCK = 1 << 13

Items: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Work:
    """What the workers of one job share.

    Attributes
    ----------
    space : ParameterSpace
        The run's frozen space.
    items : ndarray of int64
        The items of the batch; the claim log counts positions in it.
    claims : Path
        Folder of the claim log.
    out : Path
        Folder of the shards.
    prefix : str
        What the names of this job's shards begin with.
    prepare : callable
        Given the number of the worker within its job, 0 … `pool_size` − 1, loads the user's code.
    n_workers : int
        All workers that share the claim log, of every job.
    timeout : float or None
        Seconds an item may take.
    """

    space: ParameterSpace
    items: Items
    claims: Path
    out: Path
    prefix: str
    prepare: Callable[[int], Prepared]
    n_workers: int = 1
    timeout: float | None = None


class Slot:
    """A few bytes of shared memory in which a worker says what it is doing.

    Survives the worker, whatever it dies of: that is how the supervisor knows the item it died in.

    Parameters
    ----------
    memory : writable buffer of at least `Slot.size` bytes
    """

    _layout = struct.Struct("<qd")
    size = _layout.size

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory

    def running(self, item: int, start: float) -> None:
        """Say which item is running (−1: none) since when (seconds since 1970)."""
        self._layout.pack_into(self._memory, 0, item, start)

    def read(self) -> tuple[int, float]:
        """Return the running item (−1: none) and its start."""
        return self._layout.unpack_from(self._memory, 0)


class Pacer:
    """Decides how many items the next claim takes.

    Guided self-scheduling (Polychronopoulos and Kuck 1987, IEEE Trans. Comput. C-36, 1425–1439):
    never more than the remaining items divided by twice the number of workers, so that claims shrink
    as the work runs out and uneven items balance; and never more than what takes about a quarter of
    a second (longer with very many workers, whose claims meet in one folder), so that cheap items
    stay cheap and dear ones are claimed one by one.

    Parameters
    ----------
    n_workers : int
        All workers that share the claim log.

    Examples
    --------
    >>> pacer = Pacer(n_workers=2)
    >>> pacer.size(1000)
    1
    >>> pacer.took(1, 0.001)
    >>> pacer.size(1000)
    8
    """

    GROWTH = 8

    def __init__(self, n_workers: int) -> None:
        self._n_workers = n_workers
        self._seconds = max(CLAIM_SECONDS, 0.01 * n_workers)
        self._largest = 1

    def size(self, remaining: int) -> int:
        """Return how many of the `remaining` items to claim."""
        return min(self._largest, math.ceil(remaining / (2 * self._n_workers)), MAX_CLAIM)

    def took(self, n_items: int, seconds: float) -> None:
        """Learn that a claim of `n_items` took that long."""
        affordable = int(self._seconds * n_items / max(seconds, 1e-9))
        # Growing step by step guards against a first item that happens to be quick.
        self._largest = max(1, min(affordable, n_items * self.GROWTH))


class _StopSignal:
    """First SIGTERM: stop after the running item. Second: stop now."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        signal.signal(signal.SIGTERM, self)
        # A terminal's Ctrl-C reaches every process at once; the supervisor turns it into SIGTERM.
        signal.signal(signal.SIGINT, lambda number, frame: None)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._evaluator.stopping and self._evaluator.in_call:
            raise StopNow
        self._evaluator.stopping = True


def _claimed_batches(job: Work, shard: str, pacer: Pacer) -> Iterator[Items]:
    log = ClaimLog(job.claims, len(job.items))
    owner = Owner.here()
    while (claim := log.claim(owner, shard, pacer.size)) is not None:
        yield job.items[claim.start : claim.stop]


def _evaluate_batch(evaluator: Evaluator, space: ParameterSpace, items: Items) -> None:
    for start in range(0, len(items), COLUMN_BLOCK):
        block = np.asarray(items[start : start + COLUMN_BLOCK])
        evaluator.evaluate(block, space.take(block))
        if evaluator.stopping:
            break
    evaluator.flush()


def work(job: Work, index: int, shard: Path, slot: Slot, first: Items | None = None) -> int:
    """Be a worker until nothing is left to claim.

    Parameters
    ----------
    job : Work
    index : int
        Number of the worker within its job.
    shard : Path
        The worker's own shard.
    slot : Slot
    first : ndarray of int64, optional
        Items to evaluate before claiming: what a dead worker left of its claim.

    Returns
    -------
    int
        Exit status: 0, or `STOPPED` after a SIGTERM.
    """
    with ShardWriter(shard) as writer:
        evaluator = Evaluator(job.prepare(index), writer, slot.running)
        _StopSignal(evaluator)
        pacer = Pacer(job.n_workers)
        try:
            if first is not None:
                _evaluate_batch(evaluator, job.space, first)
            for items in [] if evaluator.stopping else _claimed_batches(job, shard.name, pacer):
                begin = time.perf_counter()
                _evaluate_batch(evaluator, job.space, items)
                pacer.took(len(items), time.perf_counter() - begin)
                if evaluator.stopping:
                    break
        except StopNow:
            evaluator.flush()
        return STOPPED if evaluator.stopping else 0
