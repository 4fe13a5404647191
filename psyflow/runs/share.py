"""How the workers of a job share what the job finds that it was given."""

from __future__ import annotations

import os

from psyflow.record.plan import Plan
from psyflow.scheduler.immediate import ImmediateRun
from psyflow.system.allotted import Gpus, job_cpus
from psyflow.work.capture import say

__all__ = ["gpus_of_job", "worker_stride", "workers_of_job"]

_MOST_WORKERS = 4096
"""More than a node has processors."""


def gpus_of_job(plan: Plan) -> Gpus | None:
    """Return the GPUs that the workers of this job share; None if each sees what there is.

    On this machine they share what the task asks for, and otherwise choose themselves.
    """
    if plan.n_gpus is None and plan.scheduler == ImmediateRun.__name__:
        return None
    gpus = Gpus(os.environ, plan.n_gpus)
    return gpus if gpus.masks or plan.n_gpus is not None else None


def workers_of_job(plan: Plan, gpus: Gpus | None) -> int:
    """Return how many workers this job has, and say what is not as the plan has it."""
    pool_size = job_cpus(os.environ, plan.n_cpus) if plan.counts_cpus else plan.pool_size
    if plan.counts_cpus:
        say(f"Workers: {pool_size}, as many as CPUs that this job may use.")
    if gpus is not None:
        n = gpus.n_devices
        if plan.n_gpus and not n:
            say(f"{plan.n_gpus} GPUs were asked for, but the job was given none.")
        elif n and n < pool_size:
            say(f"{pool_size} workers share {n} GPUs: they take turns, and some have the same.")
    return pool_size


def worker_stride(plan: Plan) -> int:
    """Return how far apart the numbers of workers of two jobs are, so that all differ.

    Where each job counts its workers, nobody knows how many another one has.
    """
    return _MOST_WORKERS if plan.counts_cpus and plan.n_jobs > 1 else plan.pool_size
