"""The worker: claims items, evaluates them, and appends their outcomes to its shard."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.outcomes.shard import ShardWriter
from psyflow.pspace import ParameterSpace
from psyflow.system.exits import BROKEN, NOTHING_KEPT, OUT_OF_TIME, RECYCLED, STOPPED
from psyflow.system.identity import FileId, identity
from psyflow.system.owner import Owner
from psyflow.system.processes import WARNINGS
from psyflow.work.account import Account
from psyflow.work.asking import Asking
from psyflow.work.capture import Output, Unheard
from psyflow.work.claims import ClaimLog
from psyflow.work.conditions import Conditions
from psyflow.work.crowd import sync_pause
from psyflow.work.evaluate import Evaluator, StopNow
from psyflow.work.feed import Feed
from psyflow.work.integrity import Integrity
from psyflow.work.pacer import Pacer
from psyflow.work.prepared import NO_RETRIES, Prepared, Retries
from psyflow.work.returning import Returning
from psyflow.work.slot import Answer, Slot
from psyflow.work.takeover import Remains

__all__ = ["Work", "work"]

COLUMN_BLOCK = 1 << 13

Items: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Work:
    """What the workers of one job share.

    Attributes
    ----------
    space : ParameterSpace or None
        The run's frozen space. None if only the user's code can make its values: then `prepare`
        gives it.
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
    load : callable or None
        Loads it for all workers, and returns what does the rest of `prepare`. None if each of
        them has to load it itself.
    n_workers : int
        All workers that share the claim log, of every job.
    timeout : float or None
        Seconds an item may take.
    retries : Retries
        Which failed evaluations are tried again.
    max_failures : float or None
        After how many failed items the job stops. If None, it stops after some that no other item
        can do better than.
    has_earlier : bool
        Whether the run has results already.
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

    space: ParameterSpace | None
    items: Items
    claims: Path
    out: Path
    prefix: str
    prepare: Callable[[int], Prepared]
    load: Callable[[], Callable[[int], Prepared]] | None = None
    n_workers: int = 1
    timeout: float | None = None
    retries: Retries = NO_RETRIES
    max_failures: float | None = None
    has_earlier: bool = False
    max_tasks_per_child: int | None = None
    log: Callable[[int], Path] | None = None
    leases: Path | None = None
    deadline: float | None = None
    n_jobs: int = 1  # all of the run
    home: FileId | None = None
    """The folder of the claim log, if it must not have been moved."""
    last_words: Callable[[int], str] = lambda item: ""
    """Given an item that took its worker along, what there is to add to that."""
    feed: Feed | None = None
    """What hands out the items, if nothing is claimed here; then there is one worker."""
    tells: bool = True  # whether each failure is said; else, whoever asked for them tells all

    def is_gone(self) -> bool:
        """Tell whether the run was moved or removed, or another one is in its place."""
        return self.home is not None and identity(self.claims) != self.home


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


def _batches(
    job: Work,
    shard: str,
    pacer: Pacer,
    first: Items | None,
    one_by_one: bool,
    is_stopping: Callable[[], bool],
    asking: Asking | None,
    returning: Returning,
) -> Iterator[tuple[Items, int]]:
    """Yield `first`, and then what can be had, each with how many to evaluate at once."""
    for items in () if first is None else _fitting(first, pacer):
        yield items, 1 if one_by_one else COLUMN_BLOCK
    if job.feed is not None:
        for items in job.feed.blocks(shard, is_stopping):
            yield items, COLUMN_BLOCK
        return
    try:
        dealt = _dealt(job, shard, pacer, asking, returning) if asking else None
        for items in dealt or _claims(job, shard, pacer):
            for portion in _fitting(items, pacer):
                yield portion, COLUMN_BLOCK
    except FileNotFoundError:
        if not job.is_gone():
            raise


def _fitting(items: Items, pacer: Pacer) -> Iterator[Items]:
    """Yield `items` in portions of not more than the worker may evaluate."""
    while len(items):
        n_items = len(items) if pacer.quota is None else pacer.quota
        yield items[:n_items]
        items = items[n_items:]


def _claims(job: Work, shard: str, pacer: Pacer) -> Iterator[Items]:
    """Yield what can be claimed, as long as the run is where it was."""
    log = ClaimLog(job.claims, len(job.items))
    while not job.is_gone() and (claim := log.claim(Owner.here(), shard, pacer.size)) is not None:
        yield job.items[claim.start : claim.stop]
    yield from _left_by_others(job, shard)


def _dealt(
    job: Work, shard: str, pacer: Pacer, asking: Asking, returning: Returning
) -> Iterator[Items]:
    """Yield what the supervisor deals out."""
    answer = Answer.DEALT
    while answer is Answer.DEALT:
        answer, start, stop = asking.ask(*pacer.wish())
        if start < stop:
            returning.dealt(asking.number, start, stop)
            yield job.items[start:stop]
    if answer is Answer.LOOK:
        yield from _left_by_others(job, shard)


def _left_by_others(job: Work, shard: str) -> Iterator[Items]:
    if job.leases is not None and not job.is_gone():
        log = ClaimLog(job.claims, len(job.items))
        remains = Remains(log, job.items, job.leases, job.out, job.retries)
        yield from remains.take(Owner.here(), shard)


def _evaluate_batch(
    evaluator: Evaluator,
    space: ParameterSpace,
    prepared: Prepared,
    returning: Returning,
    items: Items,
    size: int,
) -> int:
    """Evaluate items, and return how many; the others were given back."""
    for start in returning.blocks(items, size):
        left = np.asarray(items[start : start + size])
        while len(left) and not evaluator.stopping:
            arguments: dict[str, Iterable[Any]] = {**space.take(left)}
            if prepared.streams is not None:
                arguments["rng"] = prepared.streams.generators(space, left)
            if prepared.contexts is not None:
                arguments["ctx"] = prepared.contexts(space, left)
            left = evaluator.evaluate(left, arguments)
            # To the shard; a thread of the evaluator brings it to the disk within a second.
            evaluator.flush(sync=False)
    return len(items) - returning.end()


def _is_late(deadline: float | None) -> bool:
    return deadline is not None and monotonic() > deadline


def work(
    job: Work,
    index: int,
    shard: Path,
    slot: Slot,
    first: Items | None = None,
    attempts: Mapping[int, int] | None = None,
    *,
    one_by_one: bool = False,
    asks: bool = False,
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
    one_by_one : bool
        Whether the outcome of each of `first` is written at once, so that it can be told after
        which of them that is not possible any more.
    asks : bool
        Whether its parent claims for it.

    Returns
    -------
    int
        Exit status: 0, `STOPPED` after a SIGTERM, `RECYCLED` after ``max_tasks_per_child`` items,
        `OUT_OF_TIME` if the next items would not be done before the job is ended, `NOTHING_KEPT`
        if none of the first results could be kept.

    Raises
    ------
    Exception
        If the user's code cannot be loaded, the disk is full, or an item has broken the process.
    """
    prepared = job.prepare(index)
    if prepared.contexts is not None:
        prepared.contexts.heed(
            index, lambda: slot.stop_level > 0 or _is_late(job.deadline), job.is_gone
        )
    output = Output(job.log(index)) if job.log is not None else None
    heard, integrity = output if job.tells else Unheard(), Integrity()

    def note_failures(n_items: int) -> None:
        slot.failed(n_items)
        if evaluator.prospects.are_doomed:
            slot.doom()
        if job.max_failures is not None and n_items >= job.max_failures:
            # The supervisor, which counts those of all workers, may not have looked yet.
            evaluator.stop()

    writer = ShardWriter(shard)
    evaluator = Evaluator(
        prepared, writer, slot.running, job.retries, attempts, heard, note_failures, integrity
    )
    evaluator.sync_every(sync_pause(job.n_workers))
    evaluator.may_count_late = job.max_failures is None
    account = Account(evaluator, slot, integrity)
    with output or contextlib.nullcontext(), account, writer, evaluator, account:
        _StopSignal(evaluator, slot)
        os.register_at_fork(after_in_child=evaluator.leave_child)
        evaluator.looks.look_after(Conditions())
        pacer = Pacer(1 if asks else job.n_workers)
        pacer.quota = job.max_tasks_per_child
        is_stopping = lambda: evaluator.stopping or slot.stop_level > 0  # noqa: E731
        asking = Asking(slot, is_stopping) if asks else None
        returning = Returning(slot, evaluator.looks.take_left)
        evaluator.looks.do_beside(returning.heed)
        how = first, one_by_one, is_stopping, asking, returning
        batches = _batches(job, shard.name, pacer, *how)
        return _evaluate_all(job, prepared, evaluator, slot, batches, pacer, returning)


def _evaluate_all(
    job: Work,
    prepared: Prepared,
    evaluator: Evaluator,
    slot: Slot,
    batches: Iterator[tuple[Items, int]],
    pacer: Pacer,
    returning: Returning,
) -> int:
    """Evaluate batch after batch, and return the exit status."""
    space = prepared.space if job.space is None else job.space
    assert space is not None
    try:
        while not (evaluator.stopping or slot.stop_level):
            if job.deadline and not pacer.fits(job.deadline - monotonic()):
                return OUT_OF_TIME
            if (batch := next(batches, None)) is None:
                return 0
            begin = monotonic()
            n_items = _evaluate_batch(evaluator, space, prepared, returning, *batch)
            pacer.took(n_items, monotonic() - begin)
            if prepared.observe is not None and not prepared.observe(n_items):
                prepared.observe = None
            if pacer.quota is not None and pacer.quota <= 0:
                return RECYCLED
    except StopNow:
        evaluator.flush()
        if not (evaluator.stopping or slot.stop_level or job.is_gone()):
            # The item asked for it, because the job is ended soon.
            return OUT_OF_TIME
    if worn := evaluator.looks.worn:
        slot.give_way(Slot.IDLE, 0.0, f"An item has changed {worn} for good.")
        return BROKEN
    return NOTHING_KEPT if evaluator.keeps_nothing else STOPPED
