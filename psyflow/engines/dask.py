"""Calls on Dask."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from typing import Any

from psyflow.engines.link import Link, module_of
from psyflow.exceptions import PsyflowError, PsyflowWarning
from psyflow.texts import exception_text

__all__ = ["DaskLink"]

UNPACK = "__import__('pickle').loads(packed)()"
"""Calls what was packed. A worker of Dask that finds nobody to unpickle a call by ends, with all
that it has; so it is told as a text, and a psyflow that is not there is an error of the call."""
LONGEST_PAUSE = 0.05
PATIENCE_SECONDS = 600.0
"""How long to wait for a scheduler that has answered before, and does not any more."""
TRY_SECONDS = 3.0
"""How long it may take to answer: nobody else is heard meanwhile."""
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
        self._distributed = module_of("distributed", "Dask", "dask")
        self._address = address
        if address is not None:
            self._client = _connected(self._distributed, address)
        else:
            try:
                self._client = self._distributed.get_client()
            except ValueError:
                raise PsyflowError(
                    "There is no Dask cluster to work on. Connect to one, or start one here: "
                    "from dask.distributed import Client; client = Client()"
                ) from None
        self._options = options or {}
        self._death: type[Exception] = self._distributed.scheduler.KilledWorker
        self._lost: deque[Any] = deque()
        self._silent_since: float | None = None
        self._begin_with_client()

    def _begin_with_client(self) -> None:
        self._under_way: set[Any] = set()
        self._name = self._client.scheduler.address
        with self._client.as_current():
            self._done = self._distributed.as_completed([], raise_errors=False)

    @property
    def _is_connected(self) -> bool:
        is_running: bool = self._client.status == "running"
        return is_running

    def count_workers(self) -> int:
        """Return how many threads the cluster has now, at least 1."""
        n_threads = self._n_threads()
        return self._n_workers if n_threads is None else max(1, n_threads)

    def _n_threads(self) -> int | None:
        """Return how many there are; None if the scheduler does not answer."""
        scheduler = self._client.scheduler
        if scheduler is None or not self._is_connected:
            return None
        try:
            threads = self._client.sync(scheduler.ncores, callback_timeout=TRY_SECONDS)
        except (OSError, TimeoutError):
            return None
        n_threads: int = sum(threads.values())
        return n_threads

    @property
    def most_at_once(self) -> float:
        """None as long as the scheduler does not answer."""
        return super().most_at_once if self._is_connected else 0

    def send(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Have a function called."""
        import cloudpickle

        packed = cloudpickle.dumps(functools.partial(function, *args))
        how = {"key": f"{function.__name__}-{uuid.uuid4()}", **self._options, **options}
        future = self._client.submit(eval, UNPACK, {"packed": packed}, pure=False, **how)
        self._under_way.add(future)
        self._done.add(future)
        return future

    def wait(self, seconds: float | None = None) -> Any:
        """Wait until a call is done, or lost with a scheduler that was restarted.

        Raises
        ------
        PsyflowError
            If the scheduler does not come back.
        """
        pause = 0.001
        begin = looked = time.monotonic()
        while not (self._lost or self._done.has_ready()):
            now = time.monotonic()
            if seconds is not None and now - begin > seconds:
                return None
            time.sleep(pause)
            pause = min(1.5 * pause, LONGEST_PAUSE)
            if not self._is_connected:
                self._look_for_scheduler()
                continue
            self._silent_since = None
            if now - looked > LOOK_SECONDS:
                looked = now
                self._warn_of_no_workers()
        handle = self._lost.popleft() if self._lost else next(self._done)
        self._under_way.discard(handle)
        return handle

    def _look_for_scheduler(self) -> None:
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
            warnings.warn(
                f"The scheduler of the Dask cluster, {self._name}, does not answer any more; "
                f"waiting for it for {PATIENCE_SECONDS / 60:.0f} minutes at the most. What is "
                "done is kept. Ctrl-C ends the waiting.",
                PsyflowWarning,
                stacklevel=2,
            )
        # For a while, a client tries by itself.
        if self._client.status != "closed":
            return
        if not self._address or now - self._silent_since > PATIENCE_SECONDS:
            raise PsyflowError(
                f"The scheduler of the Dask cluster, {self._name}, is gone. "
                "Start it again, with its workers, and then this; what is done is kept."
            )
        with contextlib.suppress(OSError):
            self._client = self._distributed.Client(
                self._address, set_as_default=False, timeout=TRY_SECONDS
            )
            self._lost.extend(self._under_way)
            self._begin_with_client()

    def _warn_of_no_workers(self) -> None:
        # Those of a cluster may be queued for hours: that is no error.
        if self._n_threads() == 0:
            warnings.warn(
                f"The Dask cluster {self._name} has no workers; waiting for "
                "some. If it has given up those that died, start it again with the option "
                "distributed.deploy.lost-worker-timeout: 1 hour. Ctrl-C ends the waiting.",
                PsyflowWarning,
                stacklevel=2,
            )

    def result(self, handle: Any) -> Any:
        """Return what a call has returned."""
        if handle.client is not self._client:
            raise CancelledError("its scheduler is gone")
        return handle.result()

    def is_death(self, error: Exception) -> bool:
        """Tell whether `error` says that a worker died."""
        return isinstance(error, self._death)

    def tell_all(self, function: Callable[..., Any], *args: Any) -> None:
        """Call a function in each worker, beside what it is doing."""
        # Not longer than a moment: one that hangs would be waited for.
        teller = threading.Thread(target=self._tell_all, args=(function, *args), daemon=True)
        teller.start()
        teller.join(TRY_SECONDS)

    def _tell_all(self, function: Callable[..., Any], *args: Any) -> None:
        # What is not reached is gone, or hears by other ways.
        with contextlib.suppress(OSError, TimeoutError, RuntimeError, CancelledError):
            if self._is_connected:
                self._client.run(function, *args, on_error="ignore")

    def close(self) -> None:
        """Leave the cluster, if this link has entered it; else take back what it has sent."""
        if self._address is not None:
            self._client.close()
        elif self._under_way and self._is_connected:
            self._client.cancel(list(self._under_way))


def _connected(distributed: Any, address: str) -> Any:
    try:
        return distributed.Client(address or None, set_as_default=False)
    except (OSError, ValueError) as error:
        raise PsyflowError(
            f"The Dask cluster {address} cannot be reached: {exception_text(error)}. "
            f"Is its scheduler there? One is started with: dask scheduler"
        ) from error
