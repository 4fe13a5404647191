"""Evaluating through backends that joblib knows, in rounds: not all of them say what is done."""

from __future__ import annotations

from typing import Any

from psyflow.mapper.batches import Batch, Returned
from psyflow.mapper.call import Call
from psyflow.mapper.engines.base import ANY_NUMBER, Engine
from psyflow.mapper.engines.remote import Packed, evaluate_packed

__all__ = ["Joblib"]

BATCHES_PER_ROUND = 2


class Joblib(Engine):
    """A backend of joblib's.

    Parameters
    ----------
    call : Call
    backend : str or joblib backend
    n_workers : int
        −1 for all that there are.

    Raises
    ------
    ValueError
        If joblib knows no such backend.
    """

    def __init__(self, call: Call, backend: Any, n_workers: int) -> None:
        import joblib

        self._joblib = joblib
        self._how = {"backend": backend, "n_jobs": n_workers}
        with joblib.parallel_config(**self._how):
            self._n_workers: int = joblib.effective_n_jobs(n_workers)
        self._packed = Packed(call)
        self._batches: list[Batch] = []

    @property
    def n_workers(self) -> int:
        """The number of workers."""
        return self._n_workers

    @property
    def room(self) -> int:
        """Any number until there is enough for a round."""
        return ANY_NUMBER if len(self._batches) < BATCHES_PER_ROUND * self._n_workers else 0

    @property
    def is_busy(self) -> bool:
        """Whether there is anything to evaluate."""
        return bool(self._batches)

    def submit(self, batch: Batch) -> None:
        """Take a batch."""
        self._batches.append(batch)

    def collect(self) -> list[Returned]:
        """Evaluate all of a round."""
        batches, self._batches = self._batches, []
        call = self._joblib.delayed(evaluate_packed)
        with self._joblib.parallel_config(**self._how):
            calls = (call(self._packed, batch.items, batch.columns) for batch in batches)
            found: list[Returned] = list(self._joblib.Parallel(batch_size=1)(calls))
        for returned, batch in zip(found, batches, strict=True):
            returned.batch = batch
        return found
