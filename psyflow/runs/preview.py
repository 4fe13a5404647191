"""What a run would do, found out without doing any of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from psyflow.record.assess import Assessment
from psyflow.record.plan import Plan
from psyflow.record.wanted import EVERYTHING, Wanted
from psyflow.runs.archive import archive_of, replaceable
from psyflow.runs.begin import draft, refusal
from psyflow.runs.fitting import foresee, limits_of, misfit
from psyflow.runs.preparation import check_start, preparation
from psyflow.runs.run import Run
from psyflow.runs.submit import Foreseen, JobRequest, named, scheduler_args
from psyflow.runs.withdrawal import is_broken_off
from psyflow.scheduler.batch import BatchScheduler
from psyflow.scheduler.names import marked

__all__ = ["MARK", "RUN_ID", "JobPreview", "Preview", "preview"]

RUN_ID = "RUN_ID"
"""Stands for the id that a plan gets when it is made."""
MARK = "MARK"
"""Stands for the random end of the name with which a job is submitted."""


@dataclass(frozen=True)
class JobPreview:
    """A job, or an array of jobs, as it would be submitted.

    Attributes
    ----------
    name : str
    n_members : int
        More than 1 for an array.
    log : str
    command : list of str
        What would be called: the scheduler's program, or the job itself if that runs here.
        ``ID_OF_…`` stands for the id of an earlier job.
    script : str or None
        What the command would read from its standard input.
    time_limit : float or None
        Seconds after which it would be ended; None if never, or if nobody says.
    """

    name: str
    n_members: int
    log: str
    command: list[str]
    script: str | None
    time_limit: float | None = None


@dataclass(frozen=True)
class Preview:
    """What `begin` and the steps after it would do.

    Attributes
    ----------
    reasons : list of str
        Why the task is not up to date; empty if it is.
    refusal : str or None
        Why it would not be run all the same.
    n_items, n_pending : int
        How many items there are, and how many would be evaluated.
    n_missing : int
        How many have no result, or would have none any more: those that would be evaluated are
        chosen from them.
    n_jobs, pool_size : int
        Process jobs, and workers in each.
    counts_cpus : bool
        Whether each job has as many workers as processors, whatever `pool_size` is thought to be.
    archive : Path or None
        Where what is there would go.
    archived : list of Path
        What would go there.
    n_taken_up : int
        For how many items the archive has results of the present code, which would come back.
    taken_up : Path or None
        Where these are.
    jobs : list of JobPreview
        In the order of their submission; none if nothing has to be evaluated.
    preparation : str or None
        The script that prepares the node and starts a job; None if nothing is to be prepared.
    limits : list of str
        What the cluster says of its limits, as far as they concern the process jobs.
    """

    reasons: list[str]
    n_items: int
    refusal: str | None = None
    n_pending: int = 0
    n_missing: int = 0
    n_jobs: int = 0
    pool_size: int = 0
    counts_cpus: bool = False
    archive: Path | None = None
    archived: list[Path] = field(default_factory=list)
    n_taken_up: int = 0
    taken_up: Path | None = None
    jobs: list[JobPreview] = field(default_factory=list)
    preparation: str | None = None
    limits: list[str] = field(default_factory=list)


def preview(
    run: Run,
    assessment: Assessment,
    *,
    keep: bool = False,
    pool_size: int | None = None,
    wanted: Wanted = EVERYTHING,
) -> Preview:
    """Find out what a run would do. Writes nothing.

    Parameters
    ----------
    run : Run
    assessment : Assessment
        Of the same task.
    keep, pool_size, wanted
        As for `begin`.

    Returns
    -------
    Preview

    Raises
    ------
    TaskFileError
        If ``execute`` cannot be called with the names of the space.
    UsageError
        If the scheduler would not take its arguments, or if conditions say nothing of the space.
    """
    wanted.check(assessment.space)
    reasons = assessment.reasons()
    if not reasons:
        return Preview([], assessment.n_items)
    run.task.check_execute()
    check_start(run.task)
    refused = _refusal(run, assessment, keep, wanted)
    if refused is not None:
        return Preview(reasons, assessment.n_items, refused)
    starts_over = bool(assessment.dirt) and not keep
    n_pending, taken_up = foresee(assessment, wanted, keep=keep)
    if refused := misfit(run, assessment, n_pending):
        return Preview(reasons, assessment.n_items, refused, limits=_limits(run))
    if taken_up is not None:
        n_missing = len(taken_up.run.pending())
    else:
        n_missing = assessment.n_items if starts_over else len(assessment.pending())
    plan = dataclasses.replace(
        draft(run, assessment, n_pending, pool_size or run.task.pool_size), run_id=RUN_ID
    )
    archive, archived = _archived(run, assessment, starts_over, is_whole=taken_up is not None)
    return Preview(
        reasons=reasons,
        n_items=assessment.n_items,
        n_pending=n_pending,
        n_missing=n_missing,
        n_jobs=plan.n_jobs,
        pool_size=plan.pool_size,
        counts_cpus=plan.counts_cpus and not run.task.scheduler.runs_here,
        archive=archive,
        archived=archived,
        n_taken_up=0 if taken_up is None else taken_up.n_rows,
        taken_up=None if taken_up is None else taken_up.folder,
        jobs=list(_jobs(run, plan)) if n_pending else [],
        preparation=preparation(run.task) if n_pending else None,
        limits=_limits(run) if n_pending else [],
    )


def _limits(run: Run) -> list[str]:
    return [str(limit) for limit in limits_of(run)]


def _refusal(run: Run, assessment: Assessment, keep: bool, wanted: Wanted) -> str | None:
    if holder := run.holder():
        return f'Task "{run.task.name}" is held by {holder[0]}.'
    # What was broken off would be ended.
    plan = (
        None if is_broken_off(run.jobs, assessment.plan, run.task.scheduler) else assessment.plan
    )
    refused = refusal(run, assessment, keep=keep, wanted=wanted, at_work=plan)
    return None if refused is None else str(refused)


def _archived(
    run: Run, assessment: Assessment, starts_over: bool, *, is_whole: bool
) -> tuple[Path | None, list[Path]]:
    if starts_over or is_whole:
        keeps_folders = is_whole and not assessment.dirt
        paths = replaceable(assessment, is_whole=is_whole, keeps_folders=keeps_folders)
        return archive_of(assessment, RUN_ID, paths), paths
    earlier = assessment.recovered.earlier
    if earlier is None or not earlier.is_kept_beside(run.layout.result):
        return None, []
    return run.layout.archive(earlier.run_id or f"before-{RUN_ID}"), [earlier.path]


def _jobs(run: Run, plan: Plan) -> Iterator[JobPreview]:
    run.task.scheduler.check_args(run.task.scheduler_args)
    for foreseen in run.way.foreseen(plan):
        yield _shown(run, plan, foreseen)


def _shown(run: Run, plan: Plan, foreseen: Foreseen) -> JobPreview:
    scheduler, job = run.task.scheduler, foreseen.request
    command, script = job.args, None
    args = scheduler_args(plan, run.task, job, foreseen.n_arrays)
    limit = scheduler.time_limit(args, job.name)
    if isinstance(scheduler, BatchScheduler):
        request = dataclasses.replace(
            # The folder of the log is only there once the run has begun.
            scheduler.request(
                job.args,
                "log",
                marked(named(run.task, job), MARK if scheduler.tells_names else None),
                [_id_of(earlier) for earlier in foreseen.after],
                args,
                job.array_size,
            ),
            output_filename=str(job.log),
        )
        command, script = scheduler.submit_command(request), scheduler.submit_script(request)
    is_limited = limit is not None and not math.isinf(limit)
    return JobPreview(
        name=job.name,
        n_members=job.array_size or 1,
        log=str(job.log),
        command=command,
        script=script,
        time_limit=limit if is_limited else None,
    )


def _id_of(job: JobRequest) -> str:
    step = job.job if job.array_size is None else job.job.partition(":")[0]
    return f"ID_OF_{step.upper().replace(':', '_')}"
