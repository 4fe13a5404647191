"""Fixed batches: each job has its own items."""

from __future__ import annotations

import numpy as np

from psyflow.backend.base import Backend, Items

__all__ = ["DistributeBackend"]


class DistributeBackend(Backend):
    """Gives each process job an equal batch of the items; the last ones take the remainder.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> backend = DistributeBackend(SimpleNamespace(max_jobs=3, min_items=2))
    >>> [batch.tolist() for batch in backend.batches(np.arange(8), backend.n_jobs(8))]
    [[0, 1], [2, 3, 4], [5, 6, 7]]
    """

    def batches(self, items: Items, n_jobs: int) -> list[Items]:
        """Return `n_jobs` batches of consecutive items, equal in length but for the remainder."""
        size, remainder = divmod(len(items), n_jobs)
        sizes = np.full(n_jobs, size)
        sizes[n_jobs - remainder :] += 1
        return np.split(items, np.cumsum(sizes)[:-1])

    def batch_of(self, job: int) -> int:
        """Return `job`: each job has a batch of its own."""
        return job

    def proc_id(self, job: int, worker: int, pool_size: int) -> int:
        """Return a number that no two workers of the run share; that of a job with one worker."""
        return job * pool_size + worker
