"""What a job may use: its time, and its processors."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

__all__ = [
    "THREAD_VARIABLES",
    "deadline",
    "libraries_at_start",
    "limit_loaded_libraries",
    "loaded_libraries",
    "need_no_threads",
    "share_processors",
]

END_OF_JOB = "SLURM_JOB_END_TIME"
TIME_OF_JOB = ("PBS_WALLTIME", "OAR_JOB_WALLTIME_SECONDS")
"""Seconds that a job has, where the cluster tells them in the job."""
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
MARGIN = 0.1
LONGEST_MARGIN = 60.0


def deadline(time_limit: float | None, environment: Mapping[str, str]) -> float | None:
    """Return when the workers of this job have to be done, on the clock `time.monotonic`.

    Some time before the scheduler ends the job, so that what is done can be written and what runs
    long can save its state: a tenth of the time that there is, a minute at the most.

    Parameters
    ----------
    time_limit : float or None
        Seconds that the job was given.
    environment : mapping
        Slurm tells there when it will end the job; Torque and OAR tell how long it may take.

    Returns
    -------
    float or None
        None if nobody says.

    Examples
    --------
    >>> round(deadline(100.0, {}) - time.monotonic(), -1)
    90.0
    >>> round(deadline(100.0, {"PBS_WALLTIME": "50"}) - time.monotonic())
    45
    >>> deadline(None, {}) is None
    True
    >>> round(deadline(100.0, {"SLURM_JOB_END_TIME": "1"}) - time.monotonic(), -1)
    90.0
    """
    told = environment.get(END_OF_JOB, "")
    left = float(told) - time.time() if told.isdecimal() else 0.0
    # Slurm 22.05 hands on what the submitting job had, whose time may be over by now.
    seconds = left if left > 0 else _least(time_limit, environment)
    if seconds is None:
        return None
    return time.monotonic() + seconds - min(MARGIN * max(seconds, 0.0), LONGEST_MARGIN)


def _least(time_limit: float | None, environment: Mapping[str, str]) -> float | None:
    told = [environment.get(variable, "") for variable in TIME_OF_JOB]
    limits = [float(text) for text in told if text.isdecimal() and int(text)]
    return min([*limits, *([] if time_limit is None else [time_limit])], default=None)


def share_processors(n_cpus: int, pool_size: int, environment: MutableMapping[str, str]) -> None:
    """Let the workers' numerical libraries share the processors, unless the user decided.

    All of them heed ``OMP_NUM_THREADS`` if their own variable is not set.

    Parameters
    ----------
    n_cpus : int
        Processors that the job may use.
    pool_size : int
        Number of workers.
    environment : mutable mapping
        Where the libraries look.

    Examples
    --------
    >>> environment = {"MKL_NUM_THREADS": "1"}
    >>> share_processors(8, 2, environment)
    >>> environment["MKL_NUM_THREADS"], environment["OPENBLAS_NUM_THREADS"]
    ('1', '4')
    >>> environment = {"OMP_NUM_THREADS": "1"}
    >>> share_processors(8, 2, environment)
    >>> environment
    {'OMP_NUM_THREADS': '1'}
    >>> environment = {"OMP_NUM_THREADS": "8", "NCPUS": "8", "PBS_JOBID": "7.server"}
    >>> share_processors(8, 2, environment)
    >>> environment["OMP_NUM_THREADS"]
    '4'
    """
    if "OMP_NUM_THREADS" in environment and not _is_of_pbs(environment):
        return
    n_threads = max(1, n_cpus // pool_size)
    if "OMP_NUM_THREADS" in environment:
        environment["OMP_NUM_THREADS"] = str(n_threads)
    for variable in THREAD_VARIABLES:
        environment.setdefault(variable, str(n_threads))


def _is_of_pbs(environment: Mapping[str, str]) -> bool:
    """Tell whether it is PBS that gives all processors to each process, and nobody's decision."""
    told = environment.get("NCPUS")
    return "PBS_JOBID" in environment and environment["OMP_NUM_THREADS"] == told


def loaded_libraries() -> list[Any]:
    """Return the numerical libraries that are loaded, as threadpoolctl has them.

    It looks at all files that this process has mapped, and for functions in them. That takes
    milliseconds, which forks of this process need not spend any more.
    """
    from threadpoolctl import ThreadpoolController  # not where nothing is loaded

    found: list[Any] = ThreadpoolController().lib_controllers
    for library in found:
        if library.num_threads is not None:
            library.set_num_threads(library.num_threads)
    return found


@functools.cache
def libraries_at_start() -> list[Any]:
    """Return what was loaded when this was first asked, here or in the process this is a fork of.

    So a process that forks jobs looks once for all of them, before any of their code is loaded.
    """
    return loaded_libraries()


_set_aside: dict[str, int] = {}
"""How many threads libraries had before `need_no_threads`, by their files."""


def need_no_threads() -> None:
    """Let the libraries at start have one thread, in a process that computes nothing but forks.

    OpenBLAS makes all its threads anew in a fork that sets their number, even to one, and these
    wait for work by going round for a while. `limit_loaded_libraries` sets none that is right.
    """
    for library in libraries_at_start():
        if library.num_threads is not None:
            _set_aside.setdefault(library.filepath, library.num_threads)
            library.set_num_threads(1)


def limit_loaded_libraries(
    environment: Mapping[str, str], libraries: list[Any] | None = None
) -> None:
    """Have numerical libraries obey `environment` that have been loaded already.

    Parameters
    ----------
    environment : mapping
        Where libraries that are loaded from now on look.
    libraries : list, optional
        What `loaded_libraries` has returned, in this process or in one that it is a fork of.
    """
    for library in loaded_libraries() if libraries is None else libraries:
        variable = f"{library.internal_api.upper()}_NUM_THREADS"
        wanted = environment.get(variable, environment.get("OMP_NUM_THREADS", ""))
        n_threads = max(1, int(wanted)) if wanted.isdecimal() else _set_aside.get(library.filepath)
        if n_threads not in (None, library.num_threads):
            library.set_num_threads(n_threads)
