"""What a job may use: its time, its processors, its GPUs."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, MutableMapping

__all__ = [
    "GPUS",
    "THREAD_VARIABLES",
    "deadline",
    "limit_loaded_libraries",
    "own_gpus",
    "share_processors",
    "usable_cpus",
]

GPUS = "CUDA_VISIBLE_DEVICES"
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


def own_gpus(of_job: str | None, n_gpus: int, worker: int, pool_size: int) -> str:
    """Return the GPUs of one worker out of those of its job.

    Parameters
    ----------
    of_job : str or None
        What the scheduler gave to the job, as ``CUDA_VISIBLE_DEVICES`` has it.
    n_gpus : int
        How many the job has, if the scheduler does not say which.
    worker, pool_size : int
        Number of the worker within the job, and how many there are.

    Examples
    --------
    >>> [own_gpus("4,5,6,7", 4, worker, 2) for worker in range(2)]
    ['4,5', '6,7']
    >>> [own_gpus(None, 2, worker, 4) for worker in range(4)]
    ['0', '1', '0', '1']
    """
    devices = of_job.split(",") if of_job else [str(number) for number in range(n_gpus)]
    share = len(devices) // pool_size
    if share == 0:
        return devices[worker % len(devices)] if devices else ""
    end = (worker + 1) * share if worker < pool_size - 1 else len(devices)
    return ",".join(devices[worker * share : end])


def usable_cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share_processors(
    n_cpus: int | None, pool_size: int, environment: MutableMapping[str, str]
) -> None:
    """Let the workers' numerical libraries share the processors, unless the user decided.

    All of them heed ``OMP_NUM_THREADS`` if their own variable is not set.

    Parameters
    ----------
    n_cpus : int or None
        Processors that the job was given; None for all that this process may use.
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
    """
    if "OMP_NUM_THREADS" in environment:
        return
    n_threads = max(1, (n_cpus or usable_cpus()) // pool_size)
    for variable in THREAD_VARIABLES:
        environment.setdefault(variable, str(n_threads))


def limit_loaded_libraries(environment: Mapping[str, str]) -> None:
    """Have numerical libraries obey `environment` that have been loaded already.

    Parameters
    ----------
    environment : mapping
        Where libraries that are loaded from now on look.
    """
    from threadpoolctl import ThreadpoolController  # not where nothing is loaded

    for library in ThreadpoolController().lib_controllers:
        variable = f"{library.internal_api.upper()}_NUM_THREADS"
        wanted = environment.get(variable, environment.get("OMP_NUM_THREADS", ""))
        if wanted.isdecimal():
            library.set_num_threads(max(1, int(wanted)))
