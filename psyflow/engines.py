"""Evaluating a space elsewhere: through joblib, or on Dask and Ray.

Engines need no shared files: batches of psets go out, and their outcomes, failures too, come back
to the process that asked for them. Dask and Ray are called themselves, not by their backends for
joblib: with these, a worker that dies leaves Dask's caller waiting for ever, and takes what others
had finished along with Ray.
"""

from __future__ import annotations

import importlib
import socket
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from psyflow.evaluate import Evaluator
from psyflow.exceptions import PsyflowError, PsyflowWarning
from psyflow.outcomes import Failure, Rows, pset_repr
from psyflow.prepared import Prepared
from psyflow.pspace import ParameterSpace

__all__ = ["Returned", "evaluate_through"]

BATCHES_PER_WORKER = 16
BATCHES_PER_ROUND = 2
_BYTES_PER_ROW = 64
LONGEST_PAUSE = 0.05
LOOK_SECONDS = 30.0
"""How often to see whether Dask has workers at all, when nothing comes back."""


@dataclass
class Returned:
    """The outcomes of one batch; what an `Evaluator` writes to, where there are no files.

    Attributes
    ----------
    rows : list of Rows
    failures : list of Failure
    """

    rows: list[Rows] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def write_rows(self, rows: Rows) -> int:
        """Keep result rows."""
        self.rows.append(rows)
        return _BYTES_PER_ROW * len(rows.items)

    def write_failure(self, failure: Failure) -> None:
        """Keep a failure."""
        self.failures.append(failure)

    def sync(self) -> None:
        """Do nothing: there is no disk."""


@dataclass(frozen=True)
class _Batch:
    """Some psets, on their way to a worker."""

    function: Callable[..., Mapping[str, Any]]
    check: Callable[[Mapping[str, Any]], None]
    psets: ParameterSpace
    first: int

    def part(self, start: int, stop: int) -> _Batch:
        return _Batch(self.function, self.check, self.psets[start:stop], self.first + start)

    def split(self, size: int) -> list[_Batch]:
        n = len(self.psets)
        return [self.part(start, min(start + size, n)) for start in range(0, n, size)]

    def evaluate(self) -> Returned:
        returned = Returned()
        evaluator = Evaluator(Prepared(self.function, check=self.check), returned)
        n = len(self.psets)
        evaluator.evaluate(np.arange(self.first, self.first + n), self.psets.columns(0, n))
        evaluator.flush()
        return returned

    def crash(self, error: Exception) -> Returned:
        """Return the failure of the only pset of this batch, with which its worker died."""
        failure = Failure(
            item=self.first,
            kind="crash",
            exception=f"The engine gave it up: {type(error).__name__}: {error}",
            pset=pset_repr(self.psets[0]),
            start=time.time(),
            duration=0.0,
            attempt=1,
            host=socket.gethostname(),
            pid=0,
        )
        return Returned(failures=[failure])


def accept(row: Mapping[str, Any]) -> None:
    """Take any row; a function by name, since not every engine pickles others."""


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
    whole = _Batch(function, check, space, 0)
    if isinstance(backend, str) and backend in _ENGINES:
        yield from _on_engine(_ENGINES[backend](), whole)
    else:
        yield from _by_joblib(backend, n_jobs, whole)


def _batch_size(n_items: int, n_workers: int) -> int:
    return max(1, -(-n_items // (BATCHES_PER_WORKER * n_workers)))


def _by_joblib(backend: Any, n_jobs: int, whole: _Batch) -> Iterator[Returned]:
    import joblib

    with joblib.parallel_config(backend=backend, n_jobs=n_jobs):
        n_workers = joblib.effective_n_jobs(n_jobs)
        batches = whole.split(_batch_size(len(whole.psets), n_workers))
        calls = [joblib.delayed(_Batch.evaluate)(batch) for batch in batches]
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

    @abstractmethod
    def n_workers(self) -> int:
        """Return how many batches it evaluates at once."""

    @abstractmethod
    def submit(self, batch: _Batch) -> Any:
        """Hand a batch over, and return a handle of it."""

    @abstractmethod
    def wait(self) -> Any:
        """Wait until a batch is done, and return its handle."""

    @abstractmethod
    def result(self, handle: Any) -> Returned:
        """Return the outcomes of a batch that is done, or raise what became of it."""

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


def _on_engine(engine: _Engine, whole: _Batch) -> Iterator[Returned]:
    size = _batch_size(len(whole.psets), engine.n_workers())
    batches = {engine.submit(batch): batch for batch in whole.split(size)}
    suspects: list[_Batch] = []
    while batches:
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
            halves = batch.part(0, n // 2), batch.part(n // 2, n)
            batches |= {engine.submit(half): half for half in halves}
    for batch in suspects:
        yield _alone(engine, batch)


def _alone(engine: _Engine, batch: _Batch) -> Returned:
    """Evaluate a batch while there is no other: Dask also blames those that waited beside it."""
    engine.submit(batch)
    returned = engine.outcomes(engine.wait())
    return returned if isinstance(returned, Returned) else batch.crash(returned)


class _Dask(_Engine):
    def __init__(self) -> None:
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

    def submit(self, batch: _Batch) -> Any:
        future = self._client.submit(_Batch.evaluate, batch, pure=False)
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
    def __init__(self) -> None:
        self._ray = ray = _module("ray", "Ray", "ray")
        if not ray.is_initialized():
            ray.init()
        self._evaluate: Any = ray.remote(max_retries=0)(_evaluate)
        self._waiting: list[Any] = []

    def n_workers(self) -> int:
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def submit(self, batch: _Batch) -> Any:
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


def _evaluate(batch: _Batch) -> Returned:
    return batch.evaluate()


_ENGINES: dict[str, Callable[[], _Engine]] = {"dask": _Dask, "ray": _Ray}


def _module(name: str, engine: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise PsyflowError(
            f"{engine} is not installed. Type: pip install 'psyflow[{extra}]'"
        ) from None
