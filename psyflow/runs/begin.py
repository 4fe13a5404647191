"""Beginning a run: from an assessment to a plan."""

from __future__ import annotations

import dataclasses
import math
import os
import warnings
from collections.abc import Sequence

import numpy as np

from psyflow.exceptions import (
    JobsRunningWarning,
    SchedulerError,
    TaskWarning,
    TaskWorkdirDirtyWarning,
    UsageError,
)
from psyflow.fingerprint import freeze_code, parts_to_json
from psyflow.outcomes.table import Items
from psyflow.pspace.stability import check_values
from psyflow.record import meaning, refusals
from psyflow.record.archived import Archive
from psyflow.record.assess import Assessment
from psyflow.record.plan import Plan, new_run_id, save_items
from psyflow.record.provenance import provenance
from psyflow.record.remedies import remedies_of
from psyflow.record.wanted import EVERYTHING, Wanted
from psyflow.runs.archive import make_way, put_folders_aside
from psyflow.runs.cutoff import cut_off, has_no_more_time
from psyflow.runs.fitting import foresee, misfit
from psyflow.runs.observer import Observer
from psyflow.runs.preparation import freeze_preparation
from psyflow.runs.run import Run
from psyflow.runs.submit import allotment
from psyflow.runs.withdrawal import is_broken_off, withdraw
from psyflow.scheduler.profile import SITE_FILE
from psyflow.system.allotted import AsManyAsCpus
from psyflow.system.files import (
    make_folder,
    remove_temporaries,
    synced_together,
    write_atomic,
)
from psyflow.system.place import Place
from psyflow.tasks.programs import freeze_templates

__all__ = ["begin", "draft", "freeze", "refusal"]


def begin(
    run: Run,
    observer: Observer | None = None,
    *,
    keep: bool = False,
    pool_size: int | None = None,
    wanted: Wanted = EVERYTHING,
) -> Plan | None:
    """Take hold of a run, and plan what is missing.

    Parameters
    ----------
    run : Run
    observer : Observer, optional
        Hears what becomes of results that make way.
    keep : bool
        Keep results that other code has made.
    pool_size : int, optional
        Number of workers per job, instead of the task's.
    wanted : Wanted
        Which items to evaluate.

    Returns
    -------
    Plan or None
        None if the run may not begin, which a TaskWarning has said, or if the archive had all
        results of the present code.

    Raises
    ------
    RunHeldError
        If somebody else holds the run.
    UsageError
        If only some items are chosen, and the results they would be chosen by are other code's
        and not to be kept.
    UnstableValueError
        If a parameter value has no content that is the same in every process.
    SchedulerError
        If the cluster says that it would not take the jobs, or never start them.
    """
    run.take_hold()
    try:
        return _plan(run, observer or Observer(), keep, pool_size or run.task.pool_size, wanted)
    except BaseException:
        run.release()
        raise


def _plan(run: Run, observer: Observer, keep: bool, pool_size: int, wanted: Wanted) -> Plan | None:
    run.way.wait_for_orphans()
    assessment = run.assess(verify=True, again=wanted.renewing)
    plan, scheduler = assessment.plan, run.task.scheduler
    if plan is not None and is_broken_off(run.jobs, plan, scheduler):
        ended = withdraw(run.jobs, plan.run_id, scheduler)
        observer.made_way(
            f"A submission was broken off, and is made anew. Ended {', '.join(ended)}."
        )
    refused = refusal(run, assessment, keep=keep, wanted=wanted, at_work=assessment.plan)
    if isinstance(refused, UsageError):
        raise refused
    if refused is not None:
        observer.refused()
        warnings.warn(refused, stacklevel=3)
        return None
    if not run.task.scheduler.runs_here:
        _check_fit(run, assessment, wanted, keep=keep)
    # What has no key is refused before anything runs, rather than by the merge.
    check_values(assessment.space)
    for layout in (run.layout, *run.layout.archived()):
        remove_temporaries(layout.root)
    # What cannot be made cannot be kept: it goes into the archive.
    if not (assessment.dirt and keep) or assessment.unmakeable:
        dirt = assessment.dirt
        made = assessment.files.made if dirt else ()
        is_brought_back = make_way(assessment, observer.made_way)
        if dirt or is_brought_back:
            assessment = run.assess(verify=True, made=made, again=wanted.renewing)
        if is_brought_back and assessment.plan is not None and not assessment.reasons():
            return None
    renewed = wanted.to_renew(assessment.space)
    changed = assessment.files.items_with_changed
    if len(changed) or len(renewed):
        put_folders_aside(assessment, np.union1d(changed, renewed))
    return freeze(run, assessment, pool_size, wanted.of(assessment))


def _check_fit(run: Run, assessment: Assessment, wanted: Wanted, *, keep: bool) -> None:
    """Refuse what a cluster would, before results make way for it."""
    n_pending, _ = foresee(assessment, wanted, keep=keep)
    if refused := misfit(run, assessment, n_pending):
        raise SchedulerError(f"Nothing was submitted. {refused}")


def refusal(
    run: Run,
    assessment: Assessment,
    *,
    at_work: Plan | None,
    keep: bool = False,
    wanted: Wanted = EVERYTHING,
) -> TaskWarning | UsageError | None:
    """Return what keeps a run from beginning; None if nothing does.

    Parameters
    ----------
    run, assessment, keep, wanted
        As for `begin`.
    at_work : Plan or None
        Whose jobs may be at work; None if nobody's are.
    """
    task = run.task
    members = {} if at_work is None else run.jobs.members(at_work.run_id, task.scheduler)
    if at_work is not None and (alive := run.jobs.alive_among(members)):
        said = refusals.has_jobs(task, alive, remedies_of(task.scheduler, members))
        return JobsRunningWarning(task.name, said)
    dirt = [] if keep else assessment.dirt
    if dirt and wanted.goes_by_results:
        return UsageError(_about_choice(assessment, wanted.all_options()))
    if dirt and not task.overwrite_dirty and assessment.n_done:
        return TaskWorkdirDirtyWarning(task.name, refusals.is_dirty(task, dirt))
    return None


def _about_choice(assessment: Assessment, options: Sequence[str]) -> str:
    task, dirt = assessment.task, assessment.dirt
    if (archived := Archive(assessment).best) is None:
        return refusals.choice_of_dirty(task, dirt, options)
    return refusals.choice_of_archived(task, dirt, options, archived.folder)


def freeze(run: Run, assessment: Assessment, pool_size: int, pending: Items) -> Plan:
    """Make the plan for evaluating some items, with the space and the code as they are.

    Parameters
    ----------
    run : Run
        That is held.
    assessment : Assessment
    pool_size : int
    pending : ndarray of int64
        The items.
    """
    task = run.task
    make_folder(run.layout.root)
    drafted = draft(run, assessment, len(pending), pool_size)
    plan = dataclasses.replace(
        drafted,
        cut_off=_cut_off(assessment.plan, drafted),
        made_by=provenance(task.path.parent),
        place=Place.marked(run.layout.root),
    )
    # Nobody goes by any of this before the plan itself is written.
    with synced_together():
        make_folder(plan.frozen.folder)
        make_folder(run.layout.out)
        plan.freeze(assessment.frozen)
        elsewhere = task.modules_elsewhere()
        freeze_code(task.path, task.conf_path, plan.frozen.code, elsewhere)
        freeze_templates(task.execute, plan.frozen.code)
        meaning.record(plan, task)
        freeze_preparation(task, plan.frozen)
        if task.site_path is not None:
            write_atomic(plan.frozen.code / SITE_FILE, task.site_path.read_bytes())
        save_items(plan.frozen.pending, pending)
    plan.write()
    return plan


def _cut_off(before: Plan | None, plan: Plan) -> list[int]:
    """Return what the plan before could not finish, if its items are those of this one."""
    if before is None or before.space_digest != plan.space_digest:
        return []
    is_same = before.fingerprint == plan.fingerprint and has_no_more_time(before, plan)
    return cut_off(before) if is_same else []


def draft(run: Run, assessment: Assessment, n_pending: int, pool_size: int) -> Plan:
    """Return the plan for evaluating some items, without its provenance; write nothing."""
    task = run.task
    attempt, reason = run.way.attempt(assessment) if n_pending else (1, None)
    allotted = allotment(task, n_pending, run.way.n_jobs(n_pending), attempt, reason)
    fingerprint = parts_to_json(task.fingerprint())
    return Plan(
        run_id=new_run_id(),
        task=task.name,
        task_file=str(task.path),
        origin=os.path.realpath(task.path),
        base=str(task.base),
        root=str(run.layout.root),
        result=str(run.layout.result),
        n_items=assessment.n_items,
        pool_size=_workers(pool_size, allotted["n_cpus"], is_here=task.scheduler.runs_here),
        counts_cpus=isinstance(pool_size, AsManyAsCpus),
        space_digest=assessment.frozen.digest,
        fingerprint=fingerprint,
        contents=assessment.files.contents(),
        hashed=task.digests.records(task.path.parent),
        unsettled=task.digests.unsettled(task.path.parent),
        space_code=parts_to_json(task.space_fingerprint()),
        # That earlier results are as good says nothing of those that are still to come.
        accepted=[] if n_pending else assessment.accepted(),
        renewals=assessment.renewals.to_json(),
        backend=task.backend.__name__,
        scheduler=type(task.scheduler).__name__,
        exclude=sorted(set(task.exclude_from_result)),
        timeout=task.timeout,
        retries=task.retries,
        retry_on=task.retry_on,
        max_failures=_as_count(task.max_failures, n_pending),
        max_tasks_per_child=task.max_tasks_per_child,
        load_once=task.load_once,
        conf_file=str(task.conf_path) if task.conf_path else None,
        max_chain=task.max_chain,
        **allotted,
    )


def _workers(pool_size: int, n_cpus: int | None, *, is_here: bool) -> int:
    """Return how many workers a job is thought to have; if it counts processors, it knows best."""
    if isinstance(pool_size, AsManyAsCpus) and n_cpus is not None and not is_here:
        return n_cpus
    return int(pool_size)


def _as_count(limit: int | float | None, n_items: int) -> int | None:
    """Return a limit, which may be a share, as a number of items; 100 % is more than all."""
    if not isinstance(limit, float):
        return limit
    return n_items + 1 if limit == 1 else max(1, math.ceil(limit * n_items))
