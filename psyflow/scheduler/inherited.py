"""What a job must not take over from another job, in which it was submitted.

Clusters hand on the environment of who submits. Typed in an interactive job, as by ``srun --pty
bash`` or ``qrsh``, or by the job that continues a run, it has the other job's rank, tasks and
devices. The cluster replaces some of them, if the new job has such, and no more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["without_outer_job"]

_WITHIN = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID", "OAR_JOB_ID")
_OF_THE_SITE = re.compile(
    r"SLURM_(CONF(_\w+)?|JWT|CLUSTERS|CLUSTER_NAME|TIME_FORMAT|EXIT_ERROR|DEBUG_FLAGS|MPI_TYPE)"
)
"""Variables of Slurm that are no job's: by them, its programs find the cluster."""
_OF_A_JOB = re.compile(
    # Slurm; Grid Engine; PBS; LSF; devices that were given.
    r"SLURM_\w+|SGE_(HGR_\w+|GPU|TASK_\w+)|PE_HOSTFILE|NSLOTS|NHOSTS|NQUEUES"
    r"|PBS_(ARRAY_\w+|NODEFILE|NODENUM|TASKNUM)|LSB_(JOBINDEX\w*|HOSTS|MCPU_HOSTS)"
    r"|(CUDA|ROCR|HIP)_VISIBLE_DEVICES|GPU_DEVICE_ORDINAL|ZE_AFFINITY_MASK"
)
_OF_A_RANK = re.compile(r"(PMI|PMIX|OMPI_COMM_WORLD|OMPI_UNIVERSE|PRTE|PALS|MPI_LOCAL)\w*")
"""By these, MPI would think itself in a program that was started long ago."""


def without_outer_job(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what belongs to the job, or the rank, that submits.

    Outside of a job, only variables of ranks go: what users set there is meant for their jobs.

    Examples
    --------
    >>> without_outer_job({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_CONF": "/etc/s", "A": ""})
    {'SLURM_CONF': '/etc/s', 'A': ''}
    >>> without_outer_job({"SLURM_NTASKS": "2", "PMI_RANK": "0", "CUDA_VISIBLE_DEVICES": ""})
    {'SLURM_NTASKS': '2', 'CUDA_VISIBLE_DEVICES': ''}
    """  # noqa: E501
    is_within = any(name in environment for name in _WITHIN)
    return {
        name: value
        for name, value in environment.items()
        if not _OF_A_RANK.fullmatch(name) and not (is_within and _is_of_a_job(name))
    }


def _is_of_a_job(name: str) -> bool:
    return bool(_OF_A_JOB.fullmatch(name)) and not _OF_THE_SITE.fullmatch(name)
