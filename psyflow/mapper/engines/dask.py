"""Evaluating on Dask."""

from __future__ import annotations

import time
import warnings
from typing import Any

from psyflow.exceptions import PsyflowError, PsyflowWarning
from psyflow.mapper.batches import Batch, Returned
from psyflow.mapper.call import Call
from psyflow.mapper.engines.remote import Packed, Remote, evaluate_packed, module_of

__all__ = ["Dask"]

LONGEST_PAUSE = 0.05
LOOK_SECONDS = 30.0
"""How often to see whether there are workers at all, when nothing comes back."""


class Dask(Remote):
    """A Dask cluster: the one of the client that there is."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        distributed = module_of("distributed", "Dask", "dask")
        try:
            self._client = distributed.get_client()
        except ValueError:
            raise PsyflowError(
                "There is no Dask cluster to work on. Connect to one, or start one here: "
                "from dask.distributed import Client; client = Client()"
            ) from None
        self._done = distributed.as_completed([], raise_errors=False)
        self._death: type[Exception] = distributed.scheduler.KilledWorker

    def count_workers(self) -> int:
        """Return how many threads the cluster has now, at least 1."""
        n_threads: int = sum(self._client.nthreads().values())
        return max(1, n_threads)

    def send(self, packed: Packed, batch: Batch) -> Any:
        """Hand a batch over."""
        what = (packed, batch.items, batch.columns)
        future = self._client.submit(evaluate_packed, *what, pure=False)
        self._done.add(future)
        return future

    def wait(self) -> Any:
        """Wait until a batch is done."""
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
        """Return the outcomes of a batch."""
        returned: Returned = handle.result()
        return returned

    def is_death(self, error: Exception) -> bool:
        """Tell whether `error` says that a worker died."""
        return isinstance(error, self._death)
