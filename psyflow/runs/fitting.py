"""Whether the jobs of a run fit into what the cluster says of its limits, found out before."""

from __future__ import annotations

import math
from collections.abc import Iterator

from psyflow.record.archived import Archive, Archived
from psyflow.record.assess import Assessment
from psyflow.record.layout import STEPS
from psyflow.record.wanted import Wanted
from psyflow.runs.maxjobs import STEPS_ALONE, advice, fitting, largest_array
from psyflow.runs.run import Run
from psyflow.scheduler.arguments import resolve
from psyflow.scheduler.limits import JOBS, SECONDS, Limit, least
from psyflow.scheduler.timelimit import duration_text
from psyflow.tasks import TaskDef

__all__ = ["foresee", "limits_of", "misfit", "misfit_of_times"]


def foresee(assessment: Assessment, wanted: Wanted, *, keep: bool) -> tuple[int, Archived | None]:
    """Return how many items a run would evaluate, and from where results would come back.

    Parameters
    ----------
    assessment : Assessment
    wanted : Wanted
    keep : bool
        Whether results that other code has made are kept.
    """
    taken_up = None if assessment.dirt and keep else Archive(assessment).best
    if taken_up is not None:
        return len(wanted.of(taken_up.run)), taken_up
    starts_over = bool(assessment.dirt) and not keep
    return len(wanted.of_all(assessment) if starts_over else wanted.of(assessment)), None


def misfit(run: Run, assessment: Assessment, n_pending: int) -> str | None:
    """Return why a cluster would not take the jobs of a run, or never start them; None if it may.

    Asks the cluster for its limits, once for all tasks, and only for a few seconds. If it tells
    nothing, nothing is said. What others have there is not counted: only what can never fit.

    Parameters
    ----------
    run : Run
    assessment : Assessment
    n_pending : int
        How many items its jobs would evaluate.

    Raises
    ------
    UsageError
        If a scheduler argument of a step, which may be a function of its job, makes no sense.
    """
    if run.task.scheduler.runs_here or not n_pending:
        return None
    attempt, reason = run.way.attempt(assessment)
    _check_arguments(run.task, attempt, reason)
    found = misfit_of_times(run.task, attempt, reason)
    return found or _misfit_of_numbers(run, n_pending, attempt, reason)


def _check_arguments(task: TaskDef, attempt: int, reason: str | None) -> None:
    """Raise an error for what a function gives for a step that is submitted after others."""
    for step in STEPS:
        job = f"{task.name}:{step}"
        task.scheduler.check_args(resolve(task.scheduler_args, job, attempt, reason))


def misfit_of_times(task: TaskDef, attempt: int, reason: str | None) -> str | None:
    """Return what is wrong with the time limits of a task's jobs; None if nothing is.

    Parameters
    ----------
    task : TaskDef
    attempt, reason
        What scheduler arguments may depend on.
    """
    for step in STEPS:
        job = f"{task.name}:{step}"
        args = resolve(task.scheduler_args, job, attempt, reason)
        given = task.scheduler.time_limit(args, job)
        if given is None:
            continue
        longest = least(task.scheduler.limits_of(args, job), SECONDS)
        if longest is not None and given > longest.amount:
            asked = "no time limit" if math.isinf(given) else duration_text(given)
            return (
                f"The timelimit of {job} is over what the cluster gives: it asks for {asked}, and "
                f"{longest}. Such a job would be refused, or wait for ever. Set a shorter "
                f"timelimit in scheduler_args, or name another place for it."
            )
    return None


def _misfit_of_numbers(run: Run, n_pending: int, attempt: int, reason: str | None) -> str | None:
    task, n_jobs = run.task, run.way.n_jobs(n_pending)
    scheduler, process = task.scheduler, f"{task.name}:process"
    args = resolve(task.scheduler_args, process, attempt, reason)
    if least(scheduler.limits_of(args, process), JOBS) is None:
        return None
    most = least(scheduler.limits_now(args, process), JOBS)
    size = 1 if scheduler.counts_members else largest_array(scheduler, args, process) or n_jobs
    n_all = math.ceil(n_jobs / size) + STEPS_ALONE
    if most is None or n_all <= most.left:
        return None
    asks = f"{n_all} jobs with those that split and merge"
    if not scheduler.counts_members:
        asks += ", an array counting as one"
    n_fitting = fitting(most, size)
    return (
        f"The task asks for {n_jobs} process jobs, {asks}, and {most}. {advice(most, n_fitting)}"
    )


def limits_of(run: Run, attempt: int = 1, reason: str | None = None) -> Iterator[Limit]:
    """Yield what the cluster says of limits that concern the process jobs of a run."""
    if not run.task.scheduler.runs_here:
        process = f"{run.task.name}:process"
        args = resolve(run.task.scheduler_args, process, attempt, reason)
        yield from run.task.scheduler.limits_of(args, process)
