"""The interface of backends: how items meet jobs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Backend", "TaskLimits"]

Items: TypeAlias = "npt.NDArray[np.int64]"


class TaskLimits(Protocol):
    """What a backend asks of a task."""

    max_jobs: int | None
    min_items: int


class Backend(ABC):
    """Decides how many process jobs there are and which claim log each draws from.

    A claim log is a batch of items from which every worker of every job that has it takes what
    comes next. So all that tells one backend from another is who shares a log with whom.

    Parameters
    ----------
    task : TaskLimits
        The task, for its ``max_jobs`` and ``min_items``.

    Examples
    --------
    >>> class DealingBackend(Backend):
    ...     def batches(self, items, n_jobs):
    ...         return [items[job::n_jobs] for job in range(n_jobs)]
    ...     def batch_of(self, job):
    ...         return job
    ...     def proc_id(self, job, worker, pool_size):
    ...         return job * pool_size + worker
    >>> from types import SimpleNamespace
    >>> backend = DealingBackend(SimpleNamespace(max_jobs=3, min_items=2))
    >>> [batch.tolist() for batch in backend.batches(np.arange(8), backend.n_jobs(8))]
    [[0, 3, 6], [1, 4, 7], [2, 5]]
    """

    def __init__(self, task: TaskLimits) -> None:
        self.max_jobs = task.max_jobs
        self.min_items = task.min_items

    def n_jobs(self, n_items: int) -> int:
        """Return the number of process jobs for `n_items` items: each has `min_items`, if it can.

        Parameters
        ----------
        n_items : int

        Returns
        -------
        int
            0 for no items, otherwise 1 … ``max_jobs``, if that is no None.
        """
        most = n_items if self.max_jobs is None else self.max_jobs
        return min(most, max(1, n_items // self.min_items), n_items)

    @abstractmethod
    def batches(self, items: Items, n_jobs: int) -> list[Items]:
        """Return the batches of items; each gets a claim log.

        Parameters
        ----------
        items : ndarray of int64, shape (n,)
            Numbers of the pending items.
        n_jobs : int
            What the method `n_jobs` says of them.

        Returns
        -------
        list of ndarray of int64
            Every item is in one of them.
        """

    @abstractmethod
    def batch_of(self, job: int) -> int:
        """Return the number of the batch that process job number `job` draws from.

        Parameters
        ----------
        job : int
            From 0.
        """

    @abstractmethod
    def proc_id(self, job: int, worker: int, pool_size: int) -> int:
        """Return what a task's ``setup`` is told about who it works for.

        Parameters
        ----------
        job, worker : int
            The number of the process job, and of the worker in it, from 0.
        pool_size : int
            Workers in each job.
        """
