"""What `init` begins, and `finalize` ends."""

from __future__ import annotations

import atexit
import os
import sys
import warnings
from dataclasses import dataclass
from typing import Any

from psyflow.exceptions import PsyflowWarning, UsageError
from psyflow.mapper.arguments import check_backend
from psyflow.mapper.engines.named import as_executor
from psyflow.survey.carbon import Carbon
from psyflow.survey.logfile import LogFile
from psyflow.survey.settings import BACKENDS, settings
from psyflow.system.allotted import usable_cpus

__all__ = [
    "Session",
    "backend",
    "current_core_count",
    "current_resources",
    "finalize",
    "init",
    "session",
]


@dataclass
class Session:
    """What counts from `init` to `finalize`.

    Attributes
    ----------
    settings : dict
    ray : dict
        What `init` was told for Ray.
    log : LogFile
    has_limited_threads : bool
        Whether it has set ``OMP_NUM_THREADS``.
    """

    settings: dict[str, Any]
    ray: dict[str, Any]
    log: LogFile
    has_limited_threads: bool = False

    @property
    def n_workers(self) -> int:
        """How many workers there are at once."""
        n_cores: int | None = self.settings["ncores"]
        if n_cores is None or n_cores == 0:
            return usable_cpus()
        return n_cores if n_cores > 0 else max(1, usable_cpus() + n_cores)

    @property
    def carbon(self) -> Carbon | None:
        """The server to tell how far it is, if there is one."""
        chosen = self.settings
        if not chosen["carbon_server"]:
            return None
        return Carbon(
            chosen["carbon_server"], chosen["carbon_port"], chosen["carbon_prefix"], self.log.write
        )


_THREADS = "OMP_NUM_THREADS"

_sessions: list[Session] = []


def init(backend: Any = None, **keywords: Any) -> None:
    """Begin a survey.

    Parameters
    ----------
    backend : str or Executor, optional
        ``"multiprocessing"``, the default, or ``"ray"``; or any that `psyflow.map` takes.
    **keywords
        ``verbose`` and ``vstats`` (0: say nothing, 1: every 30 seconds, the default; 2: every
        second; 3: of every pset), ``limit``, ``ncores`` (negative: all but so many),
        ``max_tasks_per_child``, ``group_size``, ``carbon_server``, ``carbon_port``,
        ``carbon_prefix``, ``pslogger_prefix``, ``pslogger_fd``, and ``ray``, a dict for
        ``ray.init``. A variable such as ``PARAMSURVEY_LIMIT``, or ``PSYFLOW_LIMIT``, overrides
        the keyword.

    Raises
    ------
    TypeError
        If there is no such keyword.
    ValueError
        If one has a value that it cannot have.
    RuntimeError
        If a survey has begun on another backend. Another one on the same goes on with the first,
        and this is a warning.

    Examples
    --------
    >>> from psyflow import survey
    >>> survey.init(ncores=2, verbose=0, pslogger_fd=2)
    >>> survey.backend()
    'multiprocessing'
    >>> survey.finalize()
    """
    of_backend = {name: keywords.pop(name, None) or {} for name in BACKENDS}
    notes: list[str] = []
    chosen = settings(None, {"backend": backend, **keywords}, notes.append)
    if _sessions:
        present = _sessions[0].settings["backend"]
        if present != chosen["backend"]:
            raise RuntimeError(
                f"The survey has begun with backend={present!r}. Call finalize() before another."
            )
        warnings.warn(PsyflowWarning("init() was called before; ignored."), stacklevel=2)
        return
    try:
        check_backend("processes" if chosen["backend"] == "multiprocessing" else chosen["backend"])
    except UsageError as error:
        raise ValueError(str(error)) from error
    if limits_threads := _THREADS not in os.environ:
        notes.append(f"{_THREADS} is not set; workers compute with one thread each.")
    log = LogFile(chosen["pslogger_prefix"], chosen["pslogger_fd"])
    log.begin()
    for note in notes:
        log.write(note)
        if chosen["verbose"]:
            print(note, file=sys.stderr)
    log.write(f"settings: {chosen}")
    if limits_threads:
        os.environ[_THREADS] = "1"
    _sessions.append(Session(chosen, dict(of_backend["ray"]), log, limits_threads))
    atexit.register(finalize)


def session() -> Session:
    """Return the survey that has begun; one with all defaults if none has."""
    if not _sessions:
        init()
    return _sessions[0]


def finalize() -> None:
    """End the survey. A later `init` begins another.

    Examples
    --------
    >>> from psyflow import survey
    >>> survey.finalize()
    """
    atexit.unregister(finalize)
    if not _sessions:
        return
    ended = _sessions.pop()
    log = ended.log
    log.close()
    if ended.has_limited_threads:
        os.environ.pop(_THREADS, None)
    if log.n_exceptions and log.path is not None and ended.settings["verbose"]:
        print(f"The tracebacks of {log.n_exceptions} psets are in {log.path}", file=sys.stderr)
    if ended.settings["backend"] == "ray" and (ray := sys.modules.get("ray")) is not None:
        ray.shutdown()


def backend() -> str:
    """Return the name of the backend.

    Examples
    --------
    >>> from psyflow import survey
    >>> survey.init("serial", pslogger_fd=2)
    >>> survey.backend()
    'serial'
    >>> survey.finalize()
    """
    found = session().settings["backend"]
    return type(found).__name__ if as_executor(found) is not None else str(found)


def current_core_count() -> int:
    """Return how many psets are evaluated at once.

    Examples
    --------
    >>> from psyflow import survey
    >>> survey.init(ncores=1, pslogger_fd=2)
    >>> survey.current_core_count()
    1
    >>> survey.finalize()
    """
    of = session()
    if of.settings["backend"] == "ray":
        ray = sys.modules.get("ray")
        if ray is not None and ray.is_initialized():
            return int(ray.cluster_resources().get("CPU", 1))
    return of.n_workers


def current_resources() -> list[dict[str, Any]]:
    """Return what each node has: its number of cores, and its memory in bytes.

    Examples
    --------
    >>> from psyflow import survey
    >>> survey.init(ncores=1, pslogger_fd=2)
    >>> [node["num_cores"] for node in survey.current_resources()]
    [1]
    >>> survey.finalize()
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return [{"num_cores": current_core_count(), "memory": memory}]
