"""The run of a task: planning it, bringing it up to date, and ending it."""

from __future__ import annotations

import dataclasses
import math
import os
import warnings
from collections.abc import Collection

import numpy as np

from psyflow.exceptions import (
    JobsRunningWarning,
    TaskWarning,
    TaskWorkdirDirtyWarning,
    UsageError,
)
from psyflow.fingerprint import freeze_code, parts_to_json
from psyflow.outcomes.table import Items
from psyflow.record import refusals
from psyflow.record.accepted import accept_files, with_files_of_now
from psyflow.record.archived import Archive
from psyflow.record.assess import Assessment, Choice
from psyflow.record.jobs import Jobs, Killed
from psyflow.record.layout import Layout
from psyflow.record.ownership import check_folder
from psyflow.record.plan import Plan, new_run_id, provenance, save_items
from psyflow.run.archive import finish_bringing_back, make_way, put_folders_aside
from psyflow.run.away import Away
from psyflow.run.here import Here
from psyflow.run.submit import allotment
from psyflow.scheduler.profile import SITE_FILE
from psyflow.system.files import make_folder, remove_temporaries, write_atomic
from psyflow.system.hold import Hold
from psyflow.system.owner import Owner
from psyflow.system.place import Place
from psyflow.tasks import TaskDef

__all__ = ["Run"]


class Run:
    """One task's work directory.

    Parameters
    ----------
    task : TaskDef

    Attributes
    ----------
    task : TaskDef
    layout : Layout
    jobs : Jobs
    hold : Hold
    here : Here
        Does steps in this process.
    way : Here or Away
        How the task's scheduler has it.
    """

    def __init__(self, task: TaskDef) -> None:
        self.task = task
        self.layout = Layout(task.folder, task.name, task.resultfile)
        self.jobs = Jobs(self.layout)
        self.hold = Hold(self.layout.hold, f'Task "{task.name}"')
        self.here = Here(task, self.layout, self.jobs, self.hold)
        runs_here = task.scheduler.runs_here
        self.way: Here | Away = self.here if runs_here else Away(task, self.jobs)

    def assess(self, *, verify: bool = False, made: Collection[str] = ()) -> Assessment:
        """Look at what there is; see `Assessment`."""
        return Assessment(self.task, verify=verify, made=made)

    # -- planning ---------------------------------------------------------------------------------

    def begin(
        self, *, keep: bool = False, pool_size: int | None = None, choice: Choice = Choice.ALL
    ) -> Plan | None:
        """Take hold of the run, and plan what is missing.

        Parameters
        ----------
        keep : bool
            Keep results that other code has made.
        pool_size : int, optional
            Number of workers per job, instead of the task's.
        choice : Choice
            Which of the items without a result to evaluate.

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
        """
        self.take_hold()
        try:
            return self._plan(keep, pool_size or self.task.pool_size, choice)
        except BaseException:
            self.release()
            raise

    def holder(self) -> tuple[Owner, float] | None:
        """Return who holds the run, and since when (seconds since 1970); None if nobody does."""
        return self.hold.holder()

    def take_hold(self) -> None:
        """Keep everybody else from beginning or clearing this run, until `release`.

        Raises
        ------
        RunHeldError
            If somebody else does so.
        TaskFileError
            If the run's folder is that of another task file.
        """
        check_folder(self.layout, self.task.path)
        self.hold.acquire()
        finish_bringing_back(self.layout)

    def release(self) -> None:
        """Give up the hold that `begin` or `take_hold` took."""
        self.hold.release()

    def _plan(self, keep: bool, pool_size: int, choice: Choice) -> Plan | None:
        self.way.wait_for_orphans()
        assessment = self.assess(verify=True)
        refusal = self.refusal(assessment, keep=keep, choice=choice)
        if isinstance(refusal, UsageError):
            raise refusal
        if refusal is not None:
            warnings.warn(refusal, stacklevel=3)
            return None
        # What has no key is refused before anything runs, rather than by the merge.
        assessment.frozen.keys()
        remove_temporaries(self.layout.root)
        # What cannot be made cannot be kept: it goes into the archive.
        if not (assessment.dirt and keep) or assessment.unmakeable:
            made = assessment.made_files if assessment.dirt else ()
            is_brought_back = make_way(assessment)
            assessment = self.assess(verify=True, made=made)
            if is_brought_back and assessment.plan is not None and not assessment.reasons():
                return None
        if len(assessment.with_changed_files):
            put_folders_aside(assessment)
        return self._freeze(assessment, pool_size, assessment.pending(choice))

    def accept(self) -> list[str]:
        """Declare that the results that are there are what the present code gives.

        Returns
        -------
        list of str
            What they had been else; see `Assessment.acceptable`.

        Raises
        ------
        UsageError
            If there is nothing to accept.
        RunHeldError
            If somebody else holds the run.
        """
        self.take_hold()
        try:
            assessment = self.assess(verify=True)
            accepted = assessment.acceptable
            if assessment.plan is None and not assessment.n_of_unknown_code:
                raise UsageError(refusals.never_run(self.task))
            if assessment.n_of_unknown_code:
                self._adopt(assessment)
            else:
                self._accept(assessment)
            return accepted
        finally:
            self.release()

    def _accept(self, assessment: Assessment) -> None:
        assert assessment.plan is not None
        accept_files(assessment)
        dataclasses.replace(
            with_files_of_now(assessment.plan, assessment),
            fingerprint=parts_to_json(self.task.fingerprint()),
            accepted=assessment.accepted(),
        ).write()

    def _adopt(self, assessment: Assessment) -> None:
        """Merge rows of unknown code anew as the present code's, which writes bookkeeping."""
        nothing = np.empty(0, dtype=np.int64)
        self.here.merge(self._freeze(assessment, self.task.pool_size, nothing))

    def refusal(
        self, assessment: Assessment, *, keep: bool = False, choice: Choice = Choice.ALL
    ) -> TaskWarning | UsageError | None:
        """Return what keeps the run from beginning; None if nothing does."""
        task = self.task
        if alive := self.alive(assessment):
            return JobsRunningWarning(task.name, refusals.has_jobs(task, alive))
        dirt = [] if keep else assessment.dirt
        if dirt and choice is not Choice.ALL:
            return UsageError(self._about_choice(assessment, f"--{choice.value}"))
        if dirt and not task.overwrite_dirty and assessment.n_done:
            return TaskWorkdirDirtyWarning(task.name, refusals.is_dirty(task, dirt))
        return None

    def _about_choice(self, assessment: Assessment, option: str) -> str:
        if (archived := Archive(assessment).best) is None:
            return refusals.choice_of_dirty(self.task, assessment.dirt, option)
        return refusals.choice_of_archived(self.task, assessment.dirt, option, archived.folder)

    def _freeze(self, assessment: Assessment, pool_size: int, pending: Items) -> Plan:
        make_folder(self.layout.root)
        plan = dataclasses.replace(
            self.draft(assessment, len(pending), pool_size),
            made_by=provenance(self.task.path.parent),
            place=Place.marked(self.layout.root),
        )
        make_folder(plan.frozen.folder)
        make_folder(self.layout.out)
        plan.freeze(assessment.frozen)
        task = self.task
        elsewhere = task.modules_elsewhere()
        freeze_code(task.path, task.conf_path, plan.frozen.code, elsewhere)
        if self.task.site_path is not None:
            write_atomic(plan.frozen.code / SITE_FILE, self.task.site_path.read_bytes())
        save_items(plan.frozen.pending, pending)
        plan.write()
        return plan

    def draft(self, assessment: Assessment, n_pending: int, pool_size: int) -> Plan:
        """Return the plan for evaluating some items, without its provenance; write nothing."""
        task = self.task
        attempt, reason = self.way.attempt(assessment) if n_pending else (1, None)
        fingerprint = parts_to_json(task.fingerprint())
        return Plan(
            run_id=new_run_id(),
            task=task.name,
            task_file=str(task.path),
            origin=os.path.realpath(task.path),
            base=str(task.base),
            root=str(self.layout.root),
            result=str(self.layout.result),
            n_items=assessment.n_items,
            pool_size=pool_size,
            space_digest=assessment.frozen.digest,
            fingerprint=fingerprint,
            contents=assessment.contents(),
            hashed=task.digests.records(task.path.parent),
            unsettled=task.digests.unsettled(task.path.parent),
            space_code=parts_to_json(task.space_fingerprint()),
            # That earlier results are as good says nothing of those that are still to come.
            accepted=[] if n_pending else assessment.accepted(),
            backend=task.backend.__name__,
            scheduler=type(task.scheduler).__name__,
            exclude=sorted(set(task.exclude_from_result)),
            timeout=task.timeout,
            retries=task.retries,
            retry_on=task.retry_on,
            max_failures=_as_count(task.max_failures, n_pending),
            max_tasks_per_child=task.max_tasks_per_child,
            conf_file=str(task.conf_path) if task.conf_path else None,
            max_chain=task.max_chain,
            **allotment(task, n_pending, self.way.n_jobs(n_pending), attempt, reason),
        )

    # -- ending -----------------------------------------------------------------------------------

    def alive(self, assessment: Assessment | None = None) -> list[str]:
        """Return the jobs of this run that are queued or running, in words.

        Parameters
        ----------
        assessment : Assessment, optional
            Spares another look.
        """
        plan = (assessment or self.assess()).plan
        return self.jobs.alive(plan.run_id, self.task.scheduler) if plan is not None else []

    def kill(self) -> Killed:
        """End this run's recorded jobs, nobody else's."""
        plan = self.assess().plan
        return self.jobs.kill(plan.run_id, self.task.scheduler) if plan is not None else Killed()

    def lingering(self, *, is_all: bool = True) -> list[str]:
        """Return what is still at work after `kill`, in words; if nothing is, note that.

        Unless `is_all` is false: then `kill` had to leave jobs that may be at work all the same.
        """
        plan = self.assess().plan
        if plan is None:
            return []
        left = self.jobs.lingering(plan.run_id, self.task.scheduler)
        if is_all and not left:
            self.jobs.record_over(plan.run_id)
        return left


def _as_count(limit: int | float | None, n_items: int) -> int | None:
    """Return a limit that may be a share as a number of items, at least 1."""
    return max(1, math.ceil(limit * n_items)) if isinstance(limit, float) else limit
