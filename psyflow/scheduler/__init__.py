"""Schedulers: what submits jobs, asks about them, and kills them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from psyflow.scheduler.base import JobId, JobStatus, Scheduler

if TYPE_CHECKING:
    from psyflow.scheduler.batch import BatchScheduler, SubmitRequest
    from psyflow.scheduler.engines import Dask, Executor, Ray
    from psyflow.scheduler.flux import Flux
    from psyflow.scheduler.gridengine import GridEngine
    from psyflow.scheduler.hyperqueue import HyperQueue
    from psyflow.scheduler.immediate import ImmediateRun
    from psyflow.scheduler.lsf import LSF
    from psyflow.scheduler.oar import OAR
    from psyflow.scheduler.pbs import PBS
    from psyflow.scheduler.registry import scheduler_by_name, scheduler_names
    from psyflow.scheduler.slurm import Slurm
    from psyflow.scheduler.sqsub import Sqsub
    from psyflow.scheduler.ssh import Ssh

__all__ = [
    "LSF",
    "OAR",
    "PBS",
    "BatchScheduler",
    "Dask",
    "Executor",
    "Flux",
    "GridEngine",
    "HyperQueue",
    "ImmediateRun",
    "JobId",
    "JobStatus",
    "Ray",
    "Scheduler",
    "Slurm",
    "Sqsub",
    "Ssh",
    "SubmitRequest",
    "scheduler_by_name",
    "scheduler_names",
]

# Every job imports this package, and few need more of it than the interface.
_HOME_OF = {
    "BatchScheduler": "batch",
    "Dask": "engines",
    "Executor": "engines",
    "LSF": "lsf",
    "OAR": "oar",
    "PBS": "pbs",
    "Flux": "flux",
    "GridEngine": "gridengine",
    "HyperQueue": "hyperqueue",
    "ImmediateRun": "immediate",
    "Ray": "engines",
    "Slurm": "slurm",
    "Sqsub": "sqsub",
    "Ssh": "ssh",
    "SubmitRequest": "batch",
    "scheduler_by_name": "registry",
    "scheduler_names": "registry",
}


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
