"""Whether jobs that were ended go on in further jobs, and with what."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from psyflow.exceptions import RunHeldError, SchedulerError
from psyflow.outcomes.table import Items
from psyflow.record.alike import alike
from psyflow.record.plan import Plan, new_run_id, save_items
from psyflow.record.recover import recover
from psyflow.runs.cutoff import cut_off, has_no_more_time
from psyflow.runs.fitting import misfit_of_times
from psyflow.runs.reasons import failed_for_want, reason_of, statuses_of
from psyflow.runs.run import Run
from psyflow.runs.submit import Submission, allotment
from psyflow.scheduler.arguments import resolve
from psyflow.scheduler.base import CANCELLED, JobStatus
from psyflow.scheduler.extras import DEPENDENCY
from psyflow.system.files import make_folder, write_atomic
from psyflow.system.place import Place
from psyflow.system.reading import is_there
from psyflow.tasks import TaskDef
from psyflow.work.capture import say
from psyflow.work.takeover import finished_in

__all__ = ["continue_plan"]


class _NotContinuedError(Exception):
    """Says why a plan is not continued."""


@dataclass(frozen=True)
class _Continuation:
    """What the jobs of a plan left to do.

    Attributes
    ----------
    pending : ndarray of int64
        The items to evaluate.
    reason : str or None
        Why the jobs did not do it, if that is known: one of `psyflow.scheduler.base.REASONS`.
    """

    pending: Items
    reason: str | None


def continue_plan(run: Run, plan: Plan) -> bool:
    """Submit further jobs for what those of `plan` left undone; they use the same code.

    This is for the merge job of `plan`. Why nothing is submitted is printed.

    Returns
    -------
    bool
        Whether jobs were submitted.
    """
    try:
        run.hold.acquire()
    except RunHeldError as error:
        say(f"Not continued: {error}")
        return False
    try:
        new = _continued(run, plan, statuses_of(plan, run.task, run.jobs))
        say(f"Continued as {new.run_id}: {new.n_pending} items.")
        # What this names was over before the first attempt, and the cluster may not know it now.
        run.task.scheduler_args.pop(DEPENDENCY, None)
        # Nobody types commands on the node of a job.
        host = run.jobs.host_of(plan.run_id)
        Submission(new, run.task, run.jobs, host).submit()
    except (_NotContinuedError, SchedulerError) as error:
        # Not every cluster lets jobs submit jobs; psy run goes on in any case.
        say(f"Not continued: {str(error).rstrip('.')}.")
        return False
    finally:
        run.release()
    return True


def _continued(run: Run, plan: Plan, statuses: Mapping[str, JobStatus]) -> Plan:
    """Make the plan that continues another one, with the same space and code, and return it.

    Parameters
    ----------
    run : Run
        Of the task as the plan froze it.
    plan, statuses
        As for `_continuation_of`.

    Raises
    ------
    _NotContinuedError
        If it is not to go on by itself.
    """
    present = Plan.present(plan.layout)
    if present is None or present.run_id != plan.run_id:
        raise _NotContinuedError("another plan has taken its place")
    found = _continuation_of(plan, run.task, statuses)
    attempt = plan.attempt + 1 if found.reason else plan.attempt
    n_pending = len(found.pending)
    if refused := misfit_of_times(run.task, attempt, found.reason):
        raise _NotContinuedError(refused)
    allotted = allotment(run.task, n_pending, run.way.n_jobs(n_pending), attempt, found.reason)
    place = Place.marked(plan.layout.root)
    new = replace(plan, run_id=new_run_id(), chain=plan.chain + 1, place=place, **allotted)
    new = replace(new, cut_off=cut_off(plan) if has_no_more_time(plan, new) else [])
    make_folder(new.frozen.folder)
    for folder in (plan.frozen.code, plan.frozen.meaning_code):
        for source in folder.rglob("*"):
            if source.is_file():
                _copy(source, new.frozen.folder / source.relative_to(plan.frozen.folder))
    for name in ("meaning", "preparation"):
        if is_there(getattr(plan.frozen, name)):
            _copy(getattr(plan.frozen, name), getattr(new.frozen, name))
    new.freeze(plan.load_space())
    save_items(new.frozen.pending, found.pending)
    new.write()
    return new


def _copy(source: Path, target: Path) -> None:
    make_folder(target.parent)
    write_atomic(target, source.read_bytes())
    shutil.copymode(source, target)


def _continuation_of(
    plan: Plan, task: TaskDef, statuses: Mapping[str, JobStatus]
) -> _Continuation:
    """Say what to evaluate in further jobs.

    These are the items that have not run. Those that failed for want of memory or time are among
    them if a scheduler argument, a function of the attempt or the reason, is another then.

    Parameters
    ----------
    plan : Plan
    task : TaskDef
        As the plan froze it.
    statuses : mapping from str to JobStatus
        What the scheduler says of the plan's jobs.

    Raises
    ------
    _NotContinuedError
        If it is not to go on by itself.
    """
    if plan.chain >= plan.max_chain:
        raise _NotContinuedError(f"max_chain is {plan.max_chain}")
    if any(status.status == CANCELLED for status in statuses.values()):
        raise _NotContinuedError("jobs were cancelled")
    recovered = recover(plan, task.store)
    reason = reason_of(recovered, statuses)
    gets_more = _gets_more(plan, task, reason)
    if not (gets_more or _has_got_on(plan)):
        raise _NotContinuedError("no item got an outcome, and would not in further jobs")
    if not recovered.n_done and any(found.stops for found in alike(plan)):
        raise _NotContinuedError("all items would fail in the same way")
    if plan.max_failures is not None and len(recovered.failed) >= plan.max_failures:
        raise _NotContinuedError("so many items failed")
    # Files that have changed count as they were planned, which only a new plan can mend.
    pending = np.setdiff1d(recovered.never_ran(), recovered.unsure)
    if gets_more:
        pending = np.union1d(pending, list(failed_for_want(recovered)))
    if not len(pending):
        raise _NotContinuedError("all items have run")
    return _Continuation(pending.astype(np.int64), reason)


def _has_got_on(plan: Plan) -> bool:
    """Tell whether an item has an outcome, or has saved its state, since the plan began.

    Items that save their state may each last longer than a job.
    """
    if len(finished_in(plan.layout.shards(plan.run_id))):
        return True
    began = plan.frozen.plan_file.stat().st_mtime
    # Besides the folders there are only locks, which killed workers leave.
    files = (path for path in plan.layout.psets.glob("*/**/*") if path.is_file())
    return any(file.stat().st_mtime > began for file in files)


def _gets_more(plan: Plan, task: TaskDef, reason: str | None) -> bool:
    """Tell whether jobs that end for `reason` are given something else the next time."""
    args, process = task.scheduler_args, f"{task.name}:process"
    given = resolve(args, process, plan.attempt, plan.reason)
    return reason is not None and resolve(args, process, plan.attempt + 1, reason) != given
