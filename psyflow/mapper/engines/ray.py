"""Evaluating on Ray."""

from __future__ import annotations

from typing import Any

from psyflow.mapper.batches import Batch, Returned
from psyflow.mapper.call import Call
from psyflow.mapper.engines.remote import Packed, Remote, evaluate_packed, module_of

__all__ = ["Ray"]


class Ray(Remote):
    """A Ray cluster: the one that this process is connected to, or one on this machine."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._ray = ray = module_of("ray", "Ray", "ray")
        if not ray.is_initialized():
            ray.init()
        self._evaluate: Any = ray.remote(max_retries=0)(evaluate_packed)
        self._waiting: list[Any] = []

    def count_workers(self) -> int:
        """Return how many processors the cluster has now, at least 1."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def send(self, packed: Packed, batch: Batch) -> Any:
        """Hand a batch over."""
        handle = self._evaluate.remote(packed, batch.items, batch.columns)
        self._waiting.append(handle)
        return handle

    def wait(self) -> Any:
        """Wait until a batch is done."""
        (handle,), self._waiting = self._ray.wait(self._waiting, num_returns=1)
        return handle

    def result(self, handle: Any) -> Returned:
        """Return the outcomes of a batch."""
        returned: Returned = self._ray.get(handle)
        return returned

    def is_death(self, error: Exception) -> bool:
        """Tell whether `error` says that a worker died."""
        errors = self._ray.exceptions
        # An error of the task is what it raised; the others are what happened to it.
        return isinstance(error, errors.RayError) and not isinstance(error, errors.RayTaskError)
