"""What evaluates psets, by the names that users give it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any

from psyflow.exceptions import UsageError
from psyflow.mapper.call import Call
from psyflow.mapper.engines.base import Engine
from psyflow.mapper.engines.here import Serial, Threads
from psyflow.mapper.engines.remote import Remote
from psyflow.mapper.engines.workers import Workers
from psyflow.system.allotted import usable_cpus
from psyflow.texts import exception_text
from psyflow.work.gpu import uses_gpu

__all__ = ["BACKENDS", "Engine", "as_executor", "check_limits", "engine_for"]


def _dask(call: Call, n_workers: int) -> Engine:
    from psyflow.engines.dask import DaskLink

    return Remote(call, DaskLink)


def _pool(kind: str, call: Call, n_workers: int) -> Engine:
    from psyflow.engines.executors import PoolLink, loky_pool, multiprocessing_pool

    make = {"loky": loky_pool, "multiprocessing": multiprocessing_pool}[kind]
    is_kept = kind == "loky"
    return Remote(call, lambda: PoolLink(n_workers, lambda: make(n_workers), is_kept=is_kept))


def _processes(call: Call, n_workers: int, **limits: Any) -> Engine:
    """Return forks of this process; fresh ones if it uses a GPU, which its forks could not."""
    if not uses_gpu():
        return Workers(call, n_workers, **limits)
    for name, value in limits.items():
        if value is not None:
            raise UsageError(
                f"This process uses a GPU, which its forks could not, and only these keep "
                f"`{name}`. Leave the GPU to the workers, as in `setup`, or leave out `{name}`."
            )
    try:
        return _pool("loky", call, n_workers)
    except UsageError as error:
        raise UsageError(
            "This process uses a GPU, which its forks could not, and the function cannot be sent "
            f"to others: {exception_text(error.__cause__ or error)}. Leave the GPU to the "
            "workers, as in `setup`."
        ) from error


def _ray(
    call: Call,
    options: Mapping[str, Any] | None = None,
    of_items: Mapping[int, Mapping[str, Any]] | None = None,
    init: Mapping[str, Any] | None = None,
) -> Engine:
    from psyflow.engines.ray import RayLink

    return Remote(call, lambda: RayLink(options, init), of_items)


_MAKERS: dict[str, Callable[[Call, int], Engine]] = {
    "serial": lambda call, n_workers: Serial(call),
    "threads": Threads,
    "threading": Threads,
    "loky": functools.partial(_pool, "loky"),
    "multiprocessing": functools.partial(_pool, "multiprocessing"),
    "dask": _dask,
}
BACKENDS = ("processes", "serial", "threads", "dask", "ray", "loky", "multiprocessing")
"""The names that are told; whatever else joblib knows is one, too."""


def engine_for(backend: Any, call: Call, n_workers: int | None, **limits: Any) -> Engine:
    """Return what evaluates psets.

    Parameters
    ----------
    backend : str, Executor or joblib backend
    call : Call
    n_workers : int or None
        None for as many as there are processors.
    **limits
        For processes: see `Workers`. For Ray: ``options``, ``of_items`` and ``init``.

    Raises
    ------
    PsyflowError
        If the engine is not installed, or has not been started.
    ValueError
        If there is no such backend.
    """
    n_known = n_workers or usable_cpus()
    if backend == "processes":
        return _processes(call, n_known, **limits)
    if backend == "ray":
        return _ray(call, **limits)
    if isinstance(backend, str) and backend in _MAKERS:
        return _MAKERS[backend](call, n_known)
    if (executor := as_executor(backend)) is not None:
        from psyflow.engines.executors import ExecutorLink, width_of

        return Remote(call, lambda: ExecutorLink(executor, n_workers or width_of(executor)))
    from psyflow.mapper.engines.joblib import Joblib

    return Joblib(call, backend, n_workers or -1)


def as_executor(backend: Any) -> Any:
    """Return a backend if it is an executor, of whatever library; else None."""
    if "concurrent.futures" not in sys.modules or isinstance(backend, str | type):
        return None
    has_interface = all(callable(getattr(backend, name, None)) for name in ("submit", "shutdown"))
    return backend if has_interface else None


def check_limits(backend: Any, **limits: Any) -> None:
    """Raise UsageError if there are limits that only processes of psyflow's keep."""
    for name, value in limits.items():
        if value is not None and backend != "processes":
            raise UsageError(
                f'`{name}` works with backend="processes", whose workers can be ended one by one. '
                f"Leave out `{name}`, or `backend`."
            )
