"""Into how many process jobs a run may go where a cluster has limits, and how to say so."""

from __future__ import annotations

from collections.abc import Mapping

from psyflow.scheduler import Scheduler
from psyflow.scheduler.limits import MEMBERS, Limit, least

__all__ = ["STEPS_ALONE", "advice", "fitting", "largest_array"]

STEPS_ALONE = 2
"""Split and merge."""


def largest_array(scheduler: Scheduler, args: Mapping[str, object], job: str) -> int | None:
    """Return how many members an array of jobs may have; None if there is no limit.

    A queue may have a limit of its own, besides that of the cluster.

    Parameters
    ----------
    scheduler : Scheduler
    args : mapping
        Its arguments.
    job : str
        Name of the jobs.

    Raises
    ------
    SchedulerError
        If the cluster has to be asked, and does not answer.
    """
    of_job = least(scheduler.limits_of(args, job), MEMBERS)
    sizes = [scheduler.max_array_size(), None if of_job is None else int(of_job.amount)]
    return min((size for size in sizes if size), default=None)


def fitting(most: Limit, size: int = 1) -> int:
    """Return how many process jobs fit into what is left of a limit of jobs.

    Parameters
    ----------
    most : Limit
    size : int
        How many of them the cluster counts as one.

    Examples
    --------
    >>> from psyflow.scheduler.limits import JOBS
    >>> fitting(Limit("MaxSubmit", 10, JOBS, taken=3))
    5
    """
    return max(0, int(most.left) - STEPS_ALONE) * size


def advice(most: Limit, n_fitting: int) -> str:
    """Return what to do about a limit of jobs, if so many process jobs fit into what is left."""
    if n_fitting and most.taken:
        return (
            f"Set max_jobs = {n_fitting} in the task file, or wait until other jobs there have "
            f"ended."
        )
    if n_fitting:
        return (
            f"Set max_jobs = {n_fitting} in the task file, or less if you have other jobs there."
        )
    if most.amount > STEPS_ALONE:
        return "A run needs three: wait until other jobs there have ended, or end some."
    return "That is too few for any run, which needs three."
