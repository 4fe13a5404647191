"""Calls on Dask."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from psyflow.engines.link import Link, module_of
from psyflow.exceptions import PsyflowError, PsyflowWarning
from psyflow.texts import exception_text

__all__ = ["DaskLink"]

LONGEST_PAUSE = 0.05
LOOK_SECONDS = 30.0
"""How often to see whether there are workers at all, when nothing comes back."""


class DaskLink(Link):
    """A link to a Dask cluster.

    Parameters
    ----------
    address : str, optional
        Of its scheduler; if it is empty, the one that is configured, or a cluster of this machine.
        None for that of the client that there is.
    options : mapping, optional
        For each call: ``resources``, ``workers``, ``priority``, …

    Raises
    ------
    PsyflowError
        If Dask is not installed, or nobody answers.
    """

    def __init__(self, address: str | None = None, options: Mapping[str, Any] | None = None):
        super().__init__()
        distributed = module_of("distributed", "Dask", "dask")
        self._own = None
        if address is not None:
            self._own = self._client = _connected(distributed, address)
        else:
            try:
                self._client = distributed.get_client()
            except ValueError:
                raise PsyflowError(
                    "There is no Dask cluster to work on. Connect to one, or start one here: "
                    "from dask.distributed import Client; client = Client()"
                ) from None
        self._options = options or {}
        with self._client.as_current():
            self._done = distributed.as_completed([], raise_errors=False)
        self._death: type[Exception] = distributed.scheduler.KilledWorker

    def count_workers(self) -> int:
        """Return how many threads the cluster has now, at least 1."""
        n_threads: int = sum(self._client.nthreads().values())
        return max(1, n_threads)

    def send(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Have a function called."""
        how = {**self._options, **options}
        future = self._client.submit(function, *args, pure=False, **how)
        self._done.add(future)
        return future

    def wait(self, seconds: float | None = None) -> Any:
        """Wait until a call is done."""
        pause = 0.001
        begin = looked = time.monotonic()
        while not self._done.has_ready():
            now = time.monotonic()
            if seconds is not None and now - begin > seconds:
                return None
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)
            if now - looked > LOOK_SECONDS:
                looked = now
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

    def result(self, handle: Any) -> Any:
        """Return what a call has returned."""
        return handle.result()

    def is_death(self, error: Exception) -> bool:
        """Tell whether `error` says that a worker died."""
        return isinstance(error, self._death)

    def tell_all(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function in each worker, beside what it is doing."""
        self._client.run(function, *args, on_error="ignore")

    def close(self) -> None:
        """Leave the cluster, if this link has entered it."""
        if self._own is not None:
            self._own.close()


def _connected(distributed: Any, address: str) -> Any:
    try:
        return distributed.Client(address or None, set_as_default=False)
    except (OSError, ValueError) as error:
        raise PsyflowError(
            f"The Dask cluster {address} cannot be reached: {exception_text(error)}. "
            f"Is its scheduler there? One is started with: dask scheduler"
        ) from error
