"""The worker: claims items, evaluates them, and appends their outcomes to its shard."""

from __future__ import annotations

import functools
import math
import os
import signal
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.claims import ClaimLog, Owner
from psyflow.evaluate import Evaluator, StopNow
from psyflow.exits import OUT_OF_TIME, RECYCLED, STOPPED
from psyflow.output import Output
from psyflow.prepared import NO_RETRIES, Prepared, Retries
from psyflow.pspace import ParameterSpace
from psyflow.remains import Remains
from psyflow.shard import ShardWriter

__all__ = ["Pacer", "Slot", "Work", "work"]

CLAIM_SECONDS = 0.25
SMALLEST_CLAIM_SECONDS = 0.01
MAX_CLAIM = 1 << 18
COLUMN_BLOCK = 1 << 13
REMEMBERED = 64
"""Claims by whose durations the next one's is judged."""
QUANTILE = 0.95

WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)
"""What schedulers send some time before they end a job, if they are asked to."""

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
    retries : Retries
        Which failed evaluations are tried again.
    max_failures : int or None
        After how many failed items the job stops.
    max_tasks_per_child : int or None
        After how many evaluations a worker is replaced.
    log : callable or None
        Given the number of the worker within its job, the file for what its items print; if None,
        that goes where this process prints.
    leases : Path or None
        Folder in which the jobs that share the claim log say that they live; None if there are no
        others.
    deadline : float or None
        When the workers have to be done (`time.monotonic`), because the job is then ended.
    """

    space: ParameterSpace
    items: Items
    claims: Path
    out: Path
    prefix: str
    prepare: Callable[[int], Prepared]
    n_workers: int = 1
    timeout: float | None = None
    retries: Retries = NO_RETRIES
    max_failures: int | None = None
    max_tasks_per_child: int | None = None
    log: Callable[[int], Path] | None = None
    leases: Path | None = None
    deadline: float | None = None


class Slot:
    """A few bytes of shared memory in which a worker says what it is doing.

    Survives the worker, whatever it dies of: that is how the supervisor knows the item it died in.
    Also tells the worker to stop claiming, for the user's code may have taken SIGTERM for itself.

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
    size = _layout.size + _stop.size + _failed.size

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        # Not a method, because it is called twice per item.
        self.running = functools.partial(self._layout.pack_into, memory, 0)
        """Say which item is running (`IDLE`: none), and since when (`time.monotonic`)."""

    def clear(self) -> None:
        """Forget the last worker."""
        self.running(self.IDLE, 0.0)
        self.failed(0)

    def end(self) -> None:
        """Say that the worker ends because it wants to, unless an item is what ends it."""
        if self.read()[0] < 0:
            self.running(self.ENDED, 0.0)

    def read(self) -> tuple[int, float]:
        """Return the running item, `IDLE` or `ENDED`, and the item's start."""
        return self._layout.unpack_from(self._memory, 0)

    def failed(self, n_items: int) -> None:
        """Say how many items have failed."""
        self._failed.pack_into(self._memory, self._layout.size + self._stop.size, n_items)

    @property
    def n_failed(self) -> int:
        """What `failed` said."""
        position = self._layout.size + self._stop.size
        n_items: int = self._failed.unpack_from(self._memory, position)[0]
        return n_items

    def tell_to_stop(self, level: int) -> None:
        """Have the worker claim no more (level 1), or stop at once when a SIGTERM comes (2)."""
        self._stop.pack_into(self._memory, self._layout.size, level)

    @property
    def stop_level(self) -> int:
        """What `tell_to_stop` said, or 0."""
        level: int = self._stop.unpack_from(self._memory, self._layout.size)[0]
        return level


class Pacer:
    """Decides how many items the next claim takes.

    Guided self-scheduling (Polychronopoulos and Kuck 1987, IEEE Trans. Comput. C-36, 1425–1439):
    never more than the remaining items divided by twice the number of workers, so that claims
    shrink as the work runs out and uneven items balance; and never more than what takes about a
    quarter of a second (longer with very many workers, whose claims meet in one folder), so that
    cheap items stay cheap and dear ones are claimed one by one. Nor is it less than what takes a
    hundredth of a second: a claim costs a file, and to balance less than that gains nothing.

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
        self._smallest = 1
        self._recent: deque[float] = deque(maxlen=REMEMBERED)
        self.quota: int | None = None
        """How many items may still be claimed, if that is limited."""

    def size(self, remaining: int) -> int:
        """Return how many of the `remaining` items to claim."""
        fair = max(math.ceil(remaining / (2 * self._n_workers)), self._smallest)
        quota = MAX_CLAIM if self.quota is None else self.quota
        return min(self._largest, fair, remaining, MAX_CLAIM, quota)

    def fits(self, seconds: float) -> bool:
        """Tell whether the next claim would be done in `seconds`, as far as the last ones tell."""
        return not self._recent or float(np.quantile(self._recent, QUANTILE)) <= seconds

    def took(self, n_items: int, seconds: float) -> None:
        """Learn that a claim of `n_items` took that long."""
        self._recent.append(seconds)
        if self.quota is not None:
            self.quota -= n_items
        rate = n_items / max(seconds, 1e-9)
        affordable = int(self._seconds * rate)
        self._smallest = int(SMALLEST_CLAIM_SECONDS * rate)
        # Growing step by step guards against a first item that happens to be quick.
        self._largest = max(1, min(affordable, n_items * self.GROWTH))


class _StopSignal:
    """SIGTERM: stop after the running item, or at once if the supervisor wants it.

    A scheduler that ends a job may signal its every process, so one SIGTERM to the supervisor can
    be two to a worker: counting them would interrupt items that have the time to finish.
    """

    def __init__(self, evaluator: Evaluator, slot: Slot) -> None:
        self._evaluator = evaluator
        self._slot = slot
        signal.signal(signal.SIGTERM, self)
        # Some schedulers send these to every process; the supervisor turns them into SIGTERM.
        for number in (signal.SIGINT, *WARNINGS):
            signal.signal(number, lambda number, frame: None)
        # A child that the user's function forks must end at a SIGTERM, or whoever sends it, such
        # as a pool of processes, waits for ever. None may come before it is back to doing so.
        os.register_at_fork(
            before=lambda: self._mask(signal.SIG_BLOCK),
            after_in_parent=lambda: self._mask(signal.SIG_UNBLOCK),
            after_in_child=self._leave_child,
        )

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._evaluator.stop(now=self._slot.stop_level > 1)

    def _mask(self, how: int) -> None:
        if signal.getsignal(signal.SIGTERM) is self:
            signal.pthread_sigmask(how, [signal.SIGTERM])

    def _leave_child(self) -> None:
        if signal.getsignal(signal.SIGTERM) is self:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _batches(job: Work, shard: str, pacer: Pacer, first: Items | None) -> Iterator[Items]:
    """Yield `first`, and then what can be claimed."""
    if first is not None:
        yield first
    log = ClaimLog(job.claims, len(job.items))
    owner = Owner.here()
    while (claim := log.claim(owner, shard, pacer.size)) is not None:
        yield job.items[claim.start : claim.stop]
    if job.leases is not None:
        yield from Remains(log, job.items, job.leases, job.out).take(owner, shard)


def _evaluate_batch(
    evaluator: Evaluator, space: ParameterSpace, prepared: Prepared, items: Items
) -> None:
    for start in range(0, len(items), COLUMN_BLOCK):
        block = np.asarray(items[start : start + COLUMN_BLOCK])
        arguments: dict[str, Iterable[Any]] = {**space.take(block)}
        if prepared.streams is not None:
            arguments["rng"] = prepared.streams.generators(space, block)
        if prepared.contexts is not None:
            arguments["ctx"] = prepared.contexts(space, block)
        evaluator.evaluate(block, arguments)
        if evaluator.stopping:
            break
    # To the shard; a thread of the evaluator brings it to the disk within a second.
    evaluator.flush(sync=False)


def _is_late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline


def work(
    job: Work,
    index: int,
    shard: Path,
    slot: Slot,
    first: Items | None = None,
    attempts: Mapping[int, int] | None = None,
) -> int:
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
    attempts : mapping from int to int, optional
        How often items have been tried before, by their numbers.

    Returns
    -------
    int
        Exit status: 0, `STOPPED` after a SIGTERM, `RECYCLED` after ``max_tasks_per_child`` items,
        `OUT_OF_TIME` if the next items would not be done before the job is ended.
    """
    prepared = job.prepare(index)
    if prepared.contexts is not None:
        prepared.contexts.heed(lambda: slot.stop_level > 0 or _is_late(job.deadline))
    output = Output(job.log(index)) if job.log is not None else None

    def note_failures(n_items: int) -> None:
        slot.failed(n_items)
        if job.max_failures is not None and n_items >= job.max_failures:
            # The supervisor, which counts those of all workers, may not have looked yet.
            evaluator.stop()

    with (
        ShardWriter(shard) as writer,
        Evaluator(
            prepared, writer, slot.running, job.retries, attempts, output, note_failures
        ) as evaluator,
    ):
        _StopSignal(evaluator, slot)
        pacer = Pacer(job.n_workers)
        pacer.quota = job.max_tasks_per_child
        batches = _batches(job, shard.name, pacer, first)
        try:
            while not (evaluator.stopping or slot.stop_level):
                if job.deadline and not pacer.fits(job.deadline - time.monotonic()):
                    return OUT_OF_TIME
                if (items := next(batches, None)) is None:
                    return 0
                begin = time.monotonic()
                _evaluate_batch(evaluator, job.space, prepared, items)
                pacer.took(len(items), time.monotonic() - begin)
                if pacer.quota is not None and pacer.quota <= 0:
                    return RECYCLED
        except StopNow:
            evaluator.flush()
            if not (evaluator.stopping or slot.stop_level):
                # The item asked for it, because the job is ended soon.
                return OUT_OF_TIME
        return STOPPED
