"""Ids of jobs of one of several Slurm clusters that one login node serves.

sbatch, told ``--clusters``, answers with ``12;gpu``. That is the job's id for psyflow, too, except
that ``~`` stands for ``_``, which in ids comes before the index of a member.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from psyflow.scheduler.base import JobId, JobStatus

__all__ = ["by_cluster", "cluster_of", "cluster_option", "jobid_of", "number_of", "of_cluster"]


def jobid_of(number: str, cluster: str | None) -> JobId:
    """Return the id of a job.

    Examples
    --------
    >>> jobid_of("12", "big_gpu"), jobid_of("12", None)
    ('12;big~gpu', '12')
    """
    return f"{number};{cluster.replace('_', '~')}" if cluster else number


def number_of(jobid: JobId) -> str:
    """Return the id as Slurm has it.

    Examples
    --------
    >>> number_of("12;gpu_3"), number_of("12_3")
    ('12_3', '12_3')
    """
    job, _, index = jobid.partition("_")
    number = job.partition(";")[0]
    return f"{number}_{index}" if index else number


def cluster_of(jobid: JobId) -> str | None:
    """Return the cluster that an id names, if it names one."""
    return jobid.partition("_")[0].partition(";")[2].replace("~", "_") or None


def by_cluster(jobids: Iterable[JobId]) -> dict[str | None, list[JobId]]:
    """Return ids by the cluster that they name."""
    found: dict[str | None, list[JobId]] = {}
    for jobid in jobids:
        found.setdefault(cluster_of(jobid), []).append(jobid)
    return found


def of_cluster(found: Mapping[JobId, JobStatus], cluster: str | None) -> dict[JobId, JobStatus]:
    """Return what a cluster told, with its name in the ids."""
    if cluster is None:
        return dict(found)
    told = {}
    for jobid, status in found.items():
        number, _, index = jobid.partition("_")
        named = jobid_of(number, cluster) + (f"_{index}" if index else "")
        told[named] = JobStatus(named, status.status, status.name, status.reason)
    return told


def cluster_option(jobids: Sequence[JobId]) -> list[str]:
    """Return the option by which Slurm's programs ask the cluster of some ids, which is one."""
    cluster = cluster_of(jobids[0]) if jobids else None
    return [] if cluster is None else [f"--clusters={cluster}"]
