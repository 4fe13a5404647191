"""Evaluating a space through joblib: on its own processes, or on Dask and Ray.

Engines need no shared files: batches of psets go out, and their outcomes, failures too, come back
to the process that asked for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from psyflow.evaluate import Evaluator
from psyflow.exceptions import PsyflowError
from psyflow.prepared import Prepared
from psyflow.pspace import ParameterSpace
from psyflow.shard import Failure, Rows

__all__ = ["Returned", "evaluate_through"]

BATCHES_PER_WORKER = 16
BATCHES_PER_ROUND = 2
_BYTES_PER_ROW = 64


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
        Number of workers; −1 for all that there are.
    function : callable
    space : ParameterSpace
    check : callable
        Raises UnsupportedDataError for a result row that nobody could keep.

    Raises
    ------
    PsyflowError
        If the engine is not installed, or has not been started.
    """
    import joblib

    _make_known(backend)
    with joblib.parallel_config(backend=backend, n_jobs=n_jobs):
        n_workers = joblib.effective_n_jobs(n_jobs)
        size = max(1, -(-len(space) // (BATCHES_PER_WORKER * n_workers)))
        calls = [
            joblib.delayed(_evaluate)(function, check, space[start : start + size], start)
            for start in range(0, len(space), size)
        ]
        try:
            parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1)
        except ValueError:
            # Not every engine hands results over before all are there: a few at a time, then.
            for start in range(0, len(calls), BATCHES_PER_ROUND * n_workers):
                some = calls[start : start + BATCHES_PER_ROUND * n_workers]
                yield from joblib.Parallel(batch_size=1)(some)
        else:
            yield from parallel(calls)


def _evaluate(
    function: Callable[..., Mapping[str, Any]],
    check: Callable[[Mapping[str, Any]], None],
    batch: ParameterSpace,
    first: int,
) -> Returned:
    returned = Returned()
    evaluator = Evaluator(Prepared(function, check=check), returned)
    evaluator.evaluate(np.arange(first, first + len(batch)), batch.columns(0, len(batch)))
    evaluator.flush()
    return returned


def _make_known(backend: Any) -> None:
    if backend == "ray":
        try:
            from ray.util.joblib import register_ray
        except ImportError:
            raise _not_installed("Ray", "ray") from None
        register_ray()  # type: ignore[no-untyped-call, unused-ignore]
    if backend == "dask":
        try:
            from distributed import get_client
        except ImportError:
            raise _not_installed("Dask", "dask") from None
        try:
            get_client()
        except ValueError:
            raise PsyflowError(
                "There is no Dask cluster to work on. Connect to one, or start one here: "
                "from dask.distributed import Client; client = Client()"
            ) from None


def _not_installed(engine: str, extra: str) -> PsyflowError:
    return PsyflowError(f"{engine} is not installed. Type: pip install 'psyflow[{extra}]'")
