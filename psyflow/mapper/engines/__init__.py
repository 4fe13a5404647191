"""What evaluates psets, by the names that users give it."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from psyflow.exceptions import UsageError
from psyflow.mapper.call import Call
from psyflow.mapper.engines.base import Engine
from psyflow.mapper.engines.here import Serial, Threads
from psyflow.mapper.engines.workers import Workers
from psyflow.system.allotted import usable_cpus

__all__ = ["BACKENDS", "Engine", "as_executor", "check_limits", "engine_for"]


def _dask(call: Call, n_workers: int) -> Engine:
    from psyflow.mapper.engines.dask import Dask

    return Dask(call)


def _pool(kind: str, call: Call, n_workers: int) -> Engine:
    from psyflow.mapper.engines.futures import Pool, loky_pool, multiprocessing_pool

    return Pool(
        call, n_workers, {"loky": loky_pool, "multiprocessing": multiprocessing_pool}[kind]
    )


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
        For processes: see `Workers`. For Ray: see `Ray`.

    Raises
    ------
    PsyflowError
        If the engine is not installed, or has not been started.
    ValueError
        If there is no such backend.
    """
    n_known = n_workers or usable_cpus()
    if backend == "processes":
        return Workers(call, n_known, **limits)
    if backend == "ray":
        from psyflow.mapper.engines.ray import Ray

        return Ray(call, **limits)
    if isinstance(backend, str) and backend in _MAKERS:
        return _MAKERS[backend](call, n_known)
    if (executor := as_executor(backend)) is not None:
        from psyflow.mapper.engines.futures import OnExecutor

        return OnExecutor(call, n_workers or _width_of(executor), executor)
    from psyflow.mapper.engines.joblib import Joblib

    return Joblib(call, backend, n_workers or -1)


def as_executor(backend: Any) -> Any:
    """Return a backend if it is an executor, of whatever library; else None."""
    if "concurrent.futures" not in sys.modules or isinstance(backend, str | type):
        return None
    has_interface = all(callable(getattr(backend, name, None)) for name in ("submit", "shutdown"))
    return backend if has_interface else None


def _width_of(executor: Any) -> int:
    for name in ("_max_workers", "max_workers", "num_workers"):
        if isinstance(width := getattr(executor, name, None), int) and width > 0:
            return width
    return usable_cpus()


def check_limits(backend: Any, **limits: Any) -> None:
    """Raise UsageError if there are limits that only processes of psyflow's keep."""
    for name, value in limits.items():
        if value is not None and backend != "processes":
            raise UsageError(
                f'`{name}` works with backend="processes", whose workers can be ended one by one. '
                f"Leave out `{name}`, or `backend`."
            )
