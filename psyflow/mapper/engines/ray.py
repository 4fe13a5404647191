"""Evaluating on Ray."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psyflow.mapper.batches import Batch, Returned
from psyflow.mapper.call import Call
from psyflow.mapper.engines.remote import Packed, Remote, evaluate_packed, module_of

__all__ = ["Ray"]


class Ray(Remote):
    """A Ray cluster: the one that this process is connected to, or one on this machine.

    Parameters
    ----------
    call : Call
    options : mapping, optional
        What Ray is to reserve for each batch: ``num_cpus``, ``num_gpus``, ``memory``, ``name``.
    of_items : mapping from int to mapping, optional
        The same for some items; then each of these goes alone.
    init : mapping, optional
        What to connect with, if this process is not connected yet.
    """

    def __init__(
        self,
        call: Call,
        options: Mapping[str, Any] | None = None,
        of_items: Mapping[int, Mapping[str, Any]] | None = None,
        init: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(call)
        self._ray = ray = module_of("ray", "Ray", "ray")
        if not ray.is_initialized():
            ray.init(**(init or {}))
        self._evaluate: Any = ray.remote(max_retries=0)(evaluate_packed)
        self._waiting: list[Any] = []
        self._options, self._of_items = options or {}, of_items or {}

    def count_workers(self) -> int:
        """Return how many processors the cluster has now, at least 1."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def send(self, packed: Packed, batch: Batch) -> Any:
        """Hand a batch over."""
        own = self._of_items.get(int(batch.items[0]), {}) if len(batch) == 1 else {}
        evaluate = self._evaluate.options(**{**self._options, **own})
        handle = evaluate.remote(packed, batch.items, batch.columns)
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

    @property
    def room(self) -> int:
        """As for any; if psets have needs of their own, one at a time."""
        return min(1, super().room) if self._of_items else super().room
