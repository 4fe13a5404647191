"""Calls by executors of `concurrent.futures`: pools of ours, and any that a user has."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from typing import Any

from psyflow.engines.link import Link
from psyflow.exceptions import PsyflowError
from psyflow.system.allotted import usable_cpus
from psyflow.system.limits import share_processors
from psyflow.texts import exception_text

__all__ = ["ExecutorLink", "PoolLink", "loky_pool", "multiprocessing_pool", "width_of"]


class _Futures(Link):
    """What has futures for handles."""

    def __init__(self, n_workers: int) -> None:
        super().__init__()
        self._n_processes = n_workers
        self._running: set[Future[Any]] = set()

    def count_workers(self) -> int:
        """Return how many processes there are, as far as is known."""
        return self._n_processes

    def _submit(
        self, executor: Executor, function: Callable[..., Any], args: tuple[Any, ...]
    ) -> Future[Any]:
        future = executor.submit(function, *args)
        self._running.add(future)
        return future

    def wait(self, seconds: float | None = None) -> Any:
        """Wait until a call is done."""
        done, self._running = wait(self._running, seconds, return_when=FIRST_COMPLETED)
        if not done:
            return None
        handle, *others = done
        self._running.update(others)
        return handle

    def result(self, handle: Any) -> Any:
        """Return what a call has returned."""
        return handle.result()


class ExecutorLink(_Futures):
    """Any executor that a user has; nobody but the user ends it.

    Parameters
    ----------
    executor : Executor
    n_workers : int
        How many processes it has, as far as is known.
    """

    def __init__(self, executor: Executor, n_workers: int) -> None:
        super().__init__(n_workers)
        self._executor = executor

    def send(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Have a function called.

        Raises
        ------
        PsyflowError
            If the executor takes no call any more.
        """
        try:
            return self._submit(self._executor, function, args)
        except RuntimeError as error:
            raise PsyflowError(
                f"The executor takes no more work: {exception_text(error)}. Give a new one."
            ) from error

    def result(self, handle: Any) -> Any:
        """Return what a call has returned.

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


class PoolLink(_Futures):
    """Processes that are made when they are needed, and again when one of them has died.

    With one, all calls are lost that the pool has.

    Parameters
    ----------
    n_workers : int or None
        None for as many as the pool has, as far as that tells.
    make : callable
        Makes the pool.
    is_kept : bool
        Whether nobody ends it, since it ends by itself.
    """

    def __init__(
        self, n_workers: int | None, make: Callable[[], Executor], *, is_kept: bool = False
    ) -> None:
        super().__init__(n_workers or 1)
        self._make = make
        self._is_kept = is_kept
        self._pool: Executor | None = None
        if n_workers is None:
            self._n_processes = width_of(self._started())

    @property
    def most_at_once(self) -> float:
        """As many as there are workers."""
        return self._n_processes

    def send(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Have a function called."""
        try:
            return self._submit(self._started(), function, args)
        except BrokenExecutor:
            # A worker has died that had nothing to do any more.
            self._pool = None
            return self._submit(self._started(), function, args)

    def _started(self) -> Executor:
        if self._pool is None:
            self._pool = self._make()
        return self._pool

    def is_death(self, error: Exception) -> bool:
        """Tell whether `error` says that a worker died."""
        return isinstance(error, BrokenExecutor)

    def recall(self) -> None:
        """Take back what has not begun."""
        for future in self._running:
            future.cancel()

    def close(self) -> None:
        """End the pool, whatever it is doing, unless it is kept for the next map."""
        self.recall()
        if self._pool is None or self._is_kept:
            return
        is_busy = not all(future.done() for future in self._running)
        # What they are doing is wanted no more, and may take hours.
        processes = dict(getattr(self._pool, "_processes", None) or {}) if is_busy else {}
        self._pool.shutdown(wait=not is_busy)
        for process in processes.values():
            process.kill()


def width_of(executor: Any) -> int:
    """Return how many calls an executor does at once, as far as it tells."""
    for name in ("_max_workers", "max_workers", "num_workers"):
        if isinstance(width := getattr(executor, name, None), int) and width > 0:
            return width
    return usable_cpus()


SHARED_MEMORY = "/dev/shm"
IDLE_SECONDS = 300.0
"""After how long the processes of a pool that is kept end if they have nothing to do."""

_kept: dict[str, tuple[tuple[int, dict[str, str]], Any]] = {}


@contextlib.contextmanager
def _told_of_semaphores(kind: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ImportError) as error:
        # Python needs them in shared memory, which is read-only, full or not there.
        raise PsyflowError(
            f"The processes of {kind} cannot be set up here: {exception_text(error)}. They need "
            f'semaphores in {SHARED_MEMORY}; backend="processes" needs none.'
        ) from error


def loky_pool(n_workers: int) -> Executor:
    """Return a pool of joblib's kind: the one of the last map, if it is of use.

    It is not joblib's own, though, which nobody else may get from loky: ``joblib.Parallel`` would
    find one there that it cannot use.

    Raises
    ------
    PsyflowError
        If the machine has no semaphores for it.
    """
    from joblib.externals.loky import ProcessPoolExecutor as Loky

    environment = dict(os.environ)
    share_processors(usable_cpus(), n_workers, environment)
    wanted = (n_workers, environment)
    had, pool = _kept.get("loky", (None, None))
    if pool is None or had != wanted or pool._flags.broken or pool._flags.shutdown:
        if pool is not None:
            pool.shutdown(wait=False)
        with _told_of_semaphores("loky"):
            pool = Loky(n_workers, timeout=IDLE_SECONDS, env=environment)
        _kept["loky"] = (wanted, pool)
    found: Executor = pool
    return found


def multiprocessing_pool(n_workers: int) -> Executor:
    """Return a pool of processes that are forks of this one.

    Raises
    ------
    PsyflowError
        If the machine has no semaphores for it.
    """
    import multiprocessing

    with _told_of_semaphores("multiprocessing"):
        return ProcessPoolExecutor(n_workers, multiprocessing.get_context("fork"))
