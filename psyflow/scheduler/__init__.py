"""Schedulers: what submits jobs, asks about them, and kills them."""

from psyflow.scheduler.base import JobId, JobStatus, Scheduler
from psyflow.scheduler.batch import BatchScheduler, SubmitRequest
from psyflow.scheduler.immediate import ImmediateRun
from psyflow.scheduler.registry import scheduler_by_name, scheduler_names
from psyflow.scheduler.slurm import Slurm
from psyflow.scheduler.sqsub import Sqsub

__all__ = [
    "BatchScheduler",
    "ImmediateRun",
    "JobId",
    "JobStatus",
    "Scheduler",
    "Slurm",
    "Sqsub",
    "SubmitRequest",
    "scheduler_by_name",
    "scheduler_names",
]
