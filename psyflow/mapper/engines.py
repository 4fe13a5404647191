"""Evaluating a space elsewhere: in pools of processes, on Dask and Ray, or through joblib.

Engines need no shared files: batches of psets go out, and their outcomes, failures too, come back
to the process that asked for them. Pools, Dask and Ray are called themselves, not by joblib's
backends: with these, a worker that dies leaves the caller waiting for ever (multiprocessing,
Dask), or takes what others had finished along (loky, Ray).
"""

from __future__ import annotations

import functools
import importlib
import math
import os
import time
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from typing import Any

from psyflow.exceptions import PsyflowError, PsyflowWarning
from psyflow.mapper.batches import Batch, Returned, accept, batch_size
from psyflow.pspace import ParameterSpace
from psyflow.system.limits import share_processors

__all__ = ["evaluate_through"]

BATCHES_PER_ROUND = 2
LONGEST_PAUSE = 0.05
LOOK_SECONDS = 30.0
"""How often to see whether Dask has workers at all, when nothing comes back."""


def evaluate_through(
    backend: Any,
    n_jobs: int,
    function: Callable[..., Mapping[str, Any]],
    space: ParameterSpace,
    check: Callable[[Mapping[str, Any]], None] = accept,
) -> Iterator[Returned]:
    """Evaluate all psets of `space`, and yield the outcomes of each batch when it is done.

    Parameters
    ----------
    backend : str or joblib backend
    n_jobs : int
        Number of workers; −1 for all that there are. Dask and Ray use all.
    function : callable
    space : ParameterSpace
    check : callable
        Raises UnsupportedDataError for a result row that nobody could keep.

    Raises
    ------
    PsyflowError
        If the engine is not installed, or has not been started.
    """
    whole = Batch(function, check, space, 0)
    if isinstance(backend, str) and backend in _ENGINES:
        engine = _ENGINES[backend](n_jobs)
        try:
            yield from _on_engine(engine, whole)
        finally:
            engine.close()
    else:
        yield from _by_joblib(backend, n_jobs, whole)


def _by_joblib(backend: Any, n_jobs: int, whole: Batch) -> Iterator[Returned]:
    import joblib

    with joblib.parallel_config(backend=backend, n_jobs=n_jobs):
        n_workers = joblib.effective_n_jobs(n_jobs)
        batches = whole.split(batch_size(len(whole.psets), n_workers))
        calls = [joblib.delayed(Batch.evaluate)(batch) for batch in batches]
        try:
            parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1)
        except ValueError:
            # Not every backend hands results over before all are there: a few at a time, then.
            for start in range(0, len(calls), BATCHES_PER_ROUND * n_workers):
                some = calls[start : start + BATCHES_PER_ROUND * n_workers]
                yield from joblib.Parallel(batch_size=1)(some)
        else:
            yield from parallel(calls)


class _Engine(ABC):
    """What takes batches, and says which one is done."""

    most_at_once: float = math.inf
    """How many batches it should have: where a death takes all of them along, few."""

    @abstractmethod
    def n_workers(self) -> int:
        """Return how many batches it evaluates at once."""

    @abstractmethod
    def submit(self, batch: Batch) -> Any:
        """Hand a batch over, and return a handle of it."""

    @abstractmethod
    def wait(self) -> Any:
        """Wait until a batch is done, and return its handle."""

    @abstractmethod
    def result(self, handle: Any) -> Returned:
        """Return the outcomes of a batch that is done, or raise what became of it."""

    def close(self) -> None:  # noqa: B027
        """End what was started for it."""

    @abstractmethod
    def is_death(self, error: Exception) -> bool:
        """Tell whether `error` says that a worker died with its batch."""

    def outcomes(self, handle: Any) -> Returned | Exception:
        """Return the outcomes of a batch, or what says that its worker died.

        Raises
        ------
        PsyflowError
            If the workers cannot evaluate a batch at all, so that it would be the same with all.
        """
        try:
            return self.result(handle)
        except Exception as error:
            if self.is_death(error):
                return error
            raise PsyflowError(
                f"The workers cannot evaluate the psets: {type(error).__name__}: {error}. "
                f"Have they the modules that the function needs, in the same versions?"
            ) from error


def _on_engine(engine: _Engine, whole: Batch) -> Iterator[Returned]:
    size = batch_size(len(whole.psets), engine.n_workers())
    waiting = deque(whole.split(size))
    batches: dict[Any, Batch] = {}
    suspects: list[Batch] = []
    while batches or waiting:
        while waiting and len(batches) < engine.most_at_once:
            batch = waiting.popleft()
            batches[engine.submit(batch)] = batch
        handle = engine.wait()
        batch = batches.pop(handle)
        returned = engine.outcomes(handle)
        n = len(batch.psets)
        if isinstance(returned, Returned):
            yield returned
        elif n == 1:
            suspects.append(batch)
        else:
            # The engine does not say which pset its worker died with: halve until it is alone.
            waiting += [batch.part(0, n // 2), batch.part(n // 2, n)]
    for batch in suspects:
        yield _alone(engine, batch)


def _alone(engine: _Engine, batch: Batch) -> Returned:
    """Evaluate a batch while there is no other: Dask also blames those that waited beside it."""
    engine.submit(batch)
    returned = engine.outcomes(engine.wait())
    return returned if isinstance(returned, Returned) else batch.crash(returned)


class _Dask(_Engine):
    def __init__(self, n_jobs: int) -> None:
        distributed = _module("distributed", "Dask", "dask")
        try:
            self._client = distributed.get_client()
        except ValueError:
            raise PsyflowError(
                "There is no Dask cluster to work on. Connect to one, or start one here: "
                "from dask.distributed import Client; client = Client()"
            ) from None
        self._done = distributed.as_completed([], raise_errors=False)
        self._death: type[Exception] = distributed.scheduler.KilledWorker

    def n_workers(self) -> int:
        n_threads: int = sum(self._client.nthreads().values())
        return max(1, n_threads)

    def submit(self, batch: Batch) -> Any:
        future = self._client.submit(Batch.evaluate, batch, pure=False)
        self._done.add(future)
        return future

    def wait(self) -> Any:
        pause, looked = 0.001, time.monotonic()
        while not self._done.has_ready():
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)
            if time.monotonic() - looked > LOOK_SECONDS:
                looked = time.monotonic()
                self._warn_of_no_workers()
        return next(self._done)

    def _warn_of_no_workers(self) -> None:
        # Those of a cluster may be queued for hours: that is no error.
        if not self._client.nthreads():
            warnings.warn(
                f"The Dask cluster {self._client.scheduler.address} has no workers; waiting for "
                "some. If it has given up those that died, start it again with the option "
                "distributed.deploy.lost-worker-timeout: 1 hour. Ctrl-C ends the waiting.",
                PsyflowWarning,
                stacklevel=2,
            )

    def result(self, handle: Any) -> Returned:
        returned: Returned = handle.result()
        return returned

    def is_death(self, error: Exception) -> bool:
        return isinstance(error, self._death)


class _Ray(_Engine):
    def __init__(self, n_jobs: int) -> None:
        self._ray = ray = _module("ray", "Ray", "ray")
        if not ray.is_initialized():
            ray.init()
        self._evaluate: Any = ray.remote(max_retries=0)(_evaluate)
        self._waiting: list[Any] = []

    def n_workers(self) -> int:
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def submit(self, batch: Batch) -> Any:
        handle = self._evaluate.remote(batch)
        self._waiting.append(handle)
        return handle

    def wait(self) -> Any:
        (handle,), self._waiting = self._ray.wait(self._waiting, num_returns=1)
        return handle

    def result(self, handle: Any) -> Returned:
        returned: Returned = self._ray.get(handle)
        return returned

    def is_death(self, error: Exception) -> bool:
        errors = self._ray.exceptions
        # An error of the task is what it raised; the others are what happened to it.
        return isinstance(error, errors.RayError) and not isinstance(error, errors.RayTaskError)


class _Pool(_Engine):
    """Processes of this machine. With one that dies, all batches are lost that the pool has."""

    def __init__(self, n_jobs: int, make: Callable[[int], Executor]) -> None:
        import joblib

        self._n_workers: int = joblib.effective_n_jobs(n_jobs)
        self.most_at_once = self._n_workers
        self._make = make
        self._pool: Executor | None = None
        self._running: set[Future[Returned]] = set()

    def n_workers(self) -> int:
        return self._n_workers

    def submit(self, batch: Batch) -> Any:
        try:
            future = self._started().submit(_evaluate, batch)
        except BrokenExecutor:
            # A worker has died that had nothing to do any more.
            self._pool = None
            future = self._started().submit(_evaluate, batch)
        self._running.add(future)
        return future

    def _started(self) -> Executor:
        if self._pool is None:
            self._pool = self._make(self._n_workers)
        return self._pool

    def wait(self) -> Any:
        done, self._running = wait(self._running, return_when=FIRST_COMPLETED)
        handle, *others = done
        self._running.update(others)
        return handle

    def result(self, handle: Any) -> Returned:
        returned: Returned = handle.result()
        return returned

    def is_death(self, error: Exception) -> bool:
        if not isinstance(error, BrokenExecutor):
            return False
        self._pool = None
        return True

    def close(self) -> None:
        # Loky's are kept for the next call, and end by themselves.
        if isinstance(self._pool, ProcessPoolExecutor):
            self._pool.shutdown(cancel_futures=True)


def _loky(n_workers: int) -> Executor:
    from joblib.externals.loky import get_reusable_executor

    environment = dict(os.environ)
    share_processors(None, n_workers, environment)
    pool: Executor = get_reusable_executor(n_workers, env=environment)
    return pool


def _multiprocessing(n_workers: int) -> Executor:
    import multiprocessing

    return ProcessPoolExecutor(n_workers, multiprocessing.get_context("fork"))


def _evaluate(batch: Batch) -> Returned:
    return batch.evaluate()


_ENGINES: dict[str, Callable[[int], _Engine]] = {
    "dask": _Dask,
    "ray": _Ray,
    "loky": functools.partial(_Pool, make=_loky),
    "multiprocessing": functools.partial(_Pool, make=_multiprocessing),
}


def _module(name: str, engine: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise PsyflowError(
            f"{engine} is not installed. Type: pip install 'psyflow[{extra}]'"
        ) from None
