"""Bringing a task up to date: begin, split, process, merge."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from psyflow.exceptions import RunHeldError, SchedulerError
from psyflow.record import meaning
from psyflow.record.assess import Assessment
from psyflow.record.bookkeeping import ItemsFile
from psyflow.record.layout import STEPS
from psyflow.record.wanted import EVERYTHING, Wanted
from psyflow.runs.observer import Observer
from psyflow.runs.run import Run
from psyflow.system.reading import is_there
from psyflow.tasks import TaskDef

if TYPE_CHECKING:
    from psyflow.runs.here import Here

__all__ = ["bring", "bringing"]


def bring(
    task: TaskDef,
    observer: Observer | None = None,
    *,
    keep: bool = False,
    pool_size: int | None = None,
    wanted: Wanted = EVERYTHING,
    here: Callable[..., Here] | None = None,
) -> None:
    """Bring a task up to date, or, where its jobs run elsewhere, submit what does.

    Parameters
    ----------
    task : TaskDef
    observer : Observer, optional
        Hears of all that is done.
    keep, pool_size, wanted
        As for `begin`.
    here : callable
        As for `Run`.

    Raises
    ------
    PsyflowError
        Whatever keeps it from being done, but for items that fail: what became of these, a look at
        the task tells. That a run may not begin, such as while its jobs are at work, is a
        TaskWarning.
    OSError
        If the disk is full, or fails.
    KeyboardInterrupt
        If the workers were asked to stop.
    """
    run = Run(task, here)
    try:
        for _step in bringing(
            run, observer or Observer(), keep=keep, pool_size=pool_size, wanted=wanted
        ):
            pass
    finally:
        run.release()


def bringing(
    run: Run,
    observer: Observer,
    *,
    keep: bool = False,
    pool_size: int | None = None,
    wanted: Wanted = EVERYTHING,
) -> Iterator[str]:
    """Do what `bring` does, and yield the name of each step that is needed, before doing it.

    Whoever goes through this has to release the run at the end, whatever that is.
    """
    assessment = run.assess(again=wanted.renewing)
    wanted.check(assessment.space)
    reasons = assessment.reasons()
    if not reasons:
        _finish_merge(run)
        _note_meaning(run, assessment)
    observer.looked(assessment, reasons)
    if not reasons:
        return
    n_wanted = len(wanted.of(assessment))
    if _is_nothing_wanted(assessment, wanted, n_wanted, keep=keep):
        observer.nothing_wanted(assessment)
        return
    # As a rule nothing has to run, and then nothing of this is needed.
    from psyflow.runs.begin import begin
    from psyflow.runs.preparation import check_start

    run.task.check_execute()
    check_start(run.task)
    # Of results that make way none is there to be shown, but then none was asked for.
    n_left_out = len(assessment.pending()) - n_wanted
    del assessment  # it may be large
    plan = begin(run, observer, keep=keep, pool_size=pool_size, wanted=wanted)
    if plan is None:
        return
    observer.begun(plan, n_left_out)
    # A merge alone is not worth a job.
    way = run.way if plan.n_pending else run.here
    for step in STEPS if plan.n_pending else STEPS[-1:]:
        yield step
        way.do(step, plan, observer)


def _note_meaning(run: Run, assessment: Assessment) -> None:
    """Note what the task file says of its columns by now: nothing has to run for that."""
    plan = assessment.plan
    if plan is not None and plan.is_at_home and is_there(plan.frozen.code):
        # Whoever may only read the folder finds the results up to date all the same.
        with contextlib.suppress(OSError):
            meaning.record(plan, run.task)


def _is_nothing_wanted(
    assessment: Assessment, wanted: Wanted, n_wanted: int, *, keep: bool
) -> bool:
    if wanted.is_everything:
        return False
    if not (assessment.dirt and not keep):
        return not n_wanted
    # All results make way, unless it takes these to say what is wanted: then it is refused.
    return not (wanted.goes_by_results or len(wanted.of_all(assessment)))


def _finish_merge(run: Run) -> None:
    """Do what a merge has left to do which died when the result was in its place."""
    if not run.layout.shards():
        return  # they go last
    # It does no harm to be late, so whatever is in the way is no reason to complain.
    with contextlib.suppress(RunHeldError, SchedulerError, OSError):
        run.take_hold()
        try:
            assessment = run.assess()
            if assessment.is_complete and not run.alive(assessment):
                from psyflow.runs.merge import remove_shards  # which knows how to merge

                ItemsFile(run.layout).commit_late()
                remove_shards(run.layout)
        finally:
            run.release()
