"""Calls on Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from psyflow.engines.link import Link, module_of
from psyflow.exceptions import PsyflowError
from psyflow.texts import exception_text

__all__ = ["RayLink"]


class RayLink(Link):
    """A link to a Ray cluster: the one that this process is connected to, or else another.

    Parameters
    ----------
    options : mapping, optional
        What Ray is to reserve for each call: ``num_cpus``, ``num_gpus``, ``memory``, ``name``.
    init : mapping, optional
        What to connect with, if this process is not connected yet.
    """

    def __init__(
        self, options: Mapping[str, Any] | None = None, init: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self._ray = ray = module_of("ray", "Ray", "ray")
        self._is_own = not ray.is_initialized()
        if self._is_own:
            _connect(ray, init or {})
        self._remote: dict[Callable[..., Any], Any] = {}
        self._waiting: list[Any] = []
        self._options = options or {}

    def count_workers(self) -> int:
        """Return how many calls fit into the processors that the cluster has, at least 1."""
        n_cpus = self._ray.cluster_resources().get("CPU", 1)
        return max(1, int(n_cpus / max(self._options.get("num_cpus", 1), 0.01)))

    def send(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Have a function called."""
        if function not in self._remote:
            self._remote[function] = self._ray.remote(max_retries=0)(function)
        call = self._remote[function].options(**{**self._options, **options})
        handle = call.remote(*args)
        self._waiting.append(handle)
        return handle

    def wait(self, seconds: float | None = None) -> Any:
        """Wait until a call is done."""
        done, self._waiting = self._ray.wait(self._waiting, num_returns=1, timeout=seconds)
        return done[0] if done else None

    def result(self, handle: Any) -> Any:
        """Return what a call has returned.

        Raises
        ------
        PsyflowError
            If the node is gone by which this process is connected: no call comes back then, and
            none of the psets is to blame for it.
        """
        try:
            return self._ray.get(handle)
        except self._ray.exceptions.LocalRayletDiedError as error:
            raise PsyflowError(
                f"Ray does not work here any more: {exception_text(error)} "
                "Start it again, and then this; what is done is kept."
            ) from error

    def is_death(self, error: Exception) -> bool:
        """Tell whether `error` says that a worker died."""
        errors = self._ray.exceptions
        # An error of the task is what it raised; the others are what happened to it.
        return isinstance(error, errors.RayError) and not isinstance(error, errors.RayTaskError)

    def close(self) -> None:
        """End what runs, with the processes that do it."""
        for handle in self._waiting:
            self._ray.cancel(handle, force=True)


def _connect(ray: Any, init: Mapping[str, Any]) -> None:
    try:
        ray.init(**init)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise PsyflowError(
            f"The Ray cluster cannot be reached: {exception_text(error)}. "
            f"Is it there? One is started with: ray start --head"
        ) from error
