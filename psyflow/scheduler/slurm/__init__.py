"""Slurm."""

from psyflow.scheduler.slurm.slurm import Slurm

__all__ = ["Slurm"]
