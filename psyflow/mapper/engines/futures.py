"""Evaluating by executors of `concurrent.futures`: pools of ours, and any that a user has."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from typing import Any

from psyflow.exceptions import PsyflowError
from psyflow.mapper.batches import Batch, Returned
from psyflow.mapper.call import Call
from psyflow.mapper.engines.remote import Packed, Remote, evaluate_packed
from psyflow.system.allotted import usable_cpus
from psyflow.system.limits import share_processors
from psyflow.texts import exception_text

__all__ = ["OnExecutor", "Pool", "loky_pool", "multiprocessing_pool"]


class _Futures(Remote):
    """What has futures for handles."""

    def __init__(self, call: Call, n_workers: int) -> None:
        super().__init__(call)
        self._n_processes = n_workers
        self._running: set[Future[Returned]] = set()

    def count_workers(self) -> int:
        """Return how many processes there are, as far as is known."""
        return self._n_processes

    def _submit(self, executor: Executor, packed: Packed, batch: Batch) -> Future[Returned]:
        future = executor.submit(evaluate_packed, packed, batch.items, batch.columns)
        self._running.add(future)
        return future

    def wait(self) -> Any:
        """Wait until a batch is done."""
        done, self._running = wait(self._running, return_when=FIRST_COMPLETED)
        handle, *others = done
        self._running.update(others)
        return handle

    def result(self, handle: Any) -> Returned:
        """Return the outcomes of a batch."""
        returned: Returned = handle.result()
        return returned


class OnExecutor(_Futures):
    """Any executor that a user has; nobody but the user ends it.

    Parameters
    ----------
    call : Call
    n_workers : int
        How many processes it has, as far as is known.
    executor : Executor
    """

    def __init__(self, call: Call, n_workers: int, executor: Executor) -> None:
        super().__init__(call, n_workers)
        self._executor = executor

    def send(self, packed: Packed, batch: Batch) -> Any:
        """Hand a batch over.

        Raises
        ------
        PsyflowError
            If the executor takes none any more.
        """
        try:
            return self._submit(self._executor, packed, batch)
        except RuntimeError as error:
            raise PsyflowError(
                f"The executor takes no more work: {exception_text(error)}. Give a new one."
            ) from error

    def result(self, handle: Any) -> Returned:
        """Return the outcomes of a batch.

        Raises
        ------
        PsyflowError
            If the executor broke, as those of processes do when one of these dies.
        """
        try:
            return super().result(handle)
        except BrokenExecutor as error:
            raise PsyflowError(
                f"The executor broke: {exception_text(error)}. With "
                'backend="processes", a process that dies costs its pset alone.'
            ) from error

    def is_death(self, error: Exception) -> bool:
        """Return False: what breaks the executor ends the map."""
        return False

    def close(self) -> None:
        """Take back what has not begun."""
        for future in self._running:
            future.cancel()


class Pool(_Futures):
    """Processes of this machine. With one that dies, all batches are lost that the pool has.

    Parameters
    ----------
    call : Call
    n_workers : int
    make : callable
        Given the number of workers, makes their pool.
    """

    def __init__(self, call: Call, n_workers: int, make: Callable[[int], Executor]) -> None:
        super().__init__(call, n_workers)
        self._make = make
        self._pool: Executor | None = None

    @property
    def most_at_once(self) -> float:
        """As many as there are workers."""
        return self._n_processes

    def send(self, packed: Packed, batch: Batch) -> Any:
        """Hand a batch over."""
        try:
            return self._submit(self._started(), packed, batch)
        except BrokenExecutor:
            # A worker has died that had nothing to do any more.
            self._pool = None
            return self._submit(self._started(), packed, batch)

    def _started(self) -> Executor:
        if self._pool is None:
            self._pool = self._make(self._n_processes)
        return self._pool

    def is_death(self, error: Exception) -> bool:
        """Tell whether `error` says that a worker died."""
        if not isinstance(error, BrokenExecutor):
            return False
        self._pool = None
        return True

    def close(self) -> None:
        """End the processes; loky's are kept for the next map, and end by themselves."""
        for future in self._running:
            future.cancel()
        if isinstance(self._pool, ProcessPoolExecutor):
            self._pool.shutdown(wait=not self._running, cancel_futures=True)


def loky_pool(n_workers: int) -> Executor:
    """Return a pool of joblib's."""
    from joblib.externals.loky import get_reusable_executor

    environment = dict(os.environ)
    share_processors(usable_cpus(), n_workers, environment)
    pool: Executor = get_reusable_executor(n_workers, env=environment)
    return pool


def multiprocessing_pool(n_workers: int) -> Executor:
    """Return a pool of processes that are forks of this one."""
    import multiprocessing

    return ProcessPoolExecutor(n_workers, multiprocessing.get_context("fork"))
