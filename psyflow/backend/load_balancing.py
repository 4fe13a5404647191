"""Whoever is free takes the next items."""

from __future__ import annotations

from psyflow.backend.base import Backend, Items

__all__ = ["LoadBalancingBackend"]


class LoadBalancingBackend(Backend):
    """Lets all workers of all jobs draw from one claim log, so that uneven items balance.

    Examples
    --------
    >>> import numpy as np
    >>> from types import SimpleNamespace
    >>> backend = LoadBalancingBackend(SimpleNamespace(max_jobs=3, min_items=2))
    >>> [batch.tolist() for batch in backend.batches(np.arange(8), backend.n_jobs(8))]
    [[0, 1, 2, 3, 4, 5, 6, 7]]
    """

    def batches(self, items: Items, n_jobs: int) -> list[Items]:
        """Return one batch with all items."""
        return [items]

    def batch_of(self, job: int) -> int:
        """Return 0: all jobs draw from the one batch."""
        return 0

    def proc_id(self, job: int, worker: int, pool_size: int) -> int:
        """Return the worker's number within its job: a host's GPUs are counted from 0."""
        return worker
