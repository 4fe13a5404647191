"""The run of a task: planning it, bringing it up to date, and ending it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from psyflow import refusals, steps
from psyflow.assess import Assessment, Choice
from psyflow.bookkeeping import ItemsFile
from psyflow.claims import Hold, Owner
from psyflow.continuation import NotContinuedError, continued, reason_of
from psyflow.exceptions import (
    JobsRunningWarning,
    RunHeldError,
    SchedulerError,
    TaskWarning,
    TaskWorkdirDirtyWarning,
    UsageError,
)
from psyflow.exits import STOPPED
from psyflow.files import make_folder, move, remove_temporaries, write_atomic
from psyflow.fingerprint import Change, freeze_code, parts_to_json
from psyflow.jobs import Jobs, wait_until_dead
from psyflow.layout import Layout
from psyflow.plan import Plan, new_run_id, provenance, save_items
from psyflow.scheduler.base import JobStatus
from psyflow.store import Store
from psyflow.submission import Submission, allotment, process_job
from psyflow.tasks import TaskDef
from psyflow.tasks.site import SITE_FILE

__all__ = ["Run"]

ORPHAN_SECONDS = 20.0


class Run:
    """One task's work directory.

    Parameters
    ----------
    task : TaskDef

    Attributes
    ----------
    plan : Plan or None
        The plan that this object has begun.
    """

    def __init__(self, task: TaskDef) -> None:
        self.task = task
        self.layout = Layout(task.folder, task.name, task.resultfile)
        self.jobs = Jobs(self.layout)
        self.plan: Plan | None = None
        self._hold = Hold(self.layout.hold, f'Task "{task.name}"')

    def assess(self, *, verify: bool = False) -> Assessment:
        """Look at what there is; see `Assessment`."""
        return Assessment(self.task, verify=verify)

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
            None if the run may not begin, which a TaskWarning has said.

        Raises
        ------
        RunHeldError
            If somebody else holds the run.
        UsageError
            If only some items are chosen, and the results they would be chosen by are other code's
            and not to be kept.
        """
        self.take_hold()
        try:
            return self._plan(keep, pool_size or self.task.pool_size, choice)
        except BaseException:
            self.release()
            raise

    def holder(self) -> tuple[Owner, float] | None:
        """Return who holds the run, and since when (seconds since 1970); None if nobody does."""
        return self._hold.holder()

    def take_hold(self) -> None:
        """Keep everybody else from beginning or clearing this run, until `release`.

        Raises
        ------
        RunHeldError
            If somebody else does so.
        """
        self._hold.acquire()

    def release(self) -> None:
        """Give up the hold that `begin` or `take_hold` took."""
        self._hold.release()

    def _plan(self, keep: bool, pool_size: int, choice: Choice) -> Plan | None:
        self._wait_for_orphans()
        assessment = self.assess(verify=True)
        refusal = self.refusal(assessment, keep=keep, choice=choice)
        if isinstance(refusal, UsageError):
            raise refusal
        if refusal is not None:
            warnings.warn(refusal, stacklevel=3)
            return None
        remove_temporaries(self.layout.root)
        if assessment.code_changes and not keep:
            self._archive(assessment)
            assessment = self.assess(verify=True)
        self.plan = self._freeze(assessment, pool_size, choice)
        return self.plan

    def accept(self) -> list[Change]:
        """Declare that the results that are there are what the present code gives.

        Returns
        -------
        list of Change
            What had changed.

        Raises
        ------
        UsageError
            If there is nothing to accept.
        RunHeldError
            If somebody else holds the run.
        """
        self.take_hold()
        try:
            assessment = self.assess()
            if assessment.plan is None:
                raise UsageError(refusals.never_run(self.task))
            fingerprint = parts_to_json(self.task.fingerprint())
            dataclasses.replace(assessment.plan, fingerprint=fingerprint).write()
            return assessment.code_changes
        finally:
            self.release()

    def _wait_for_orphans(self) -> None:
        """Let the jobs of a `psy run` that was killed end; they notice within a second."""
        if not self.task.scheduler.runs_here:
            return  # jobs of a cluster outlive `psy run`, as they should
        owners = self.jobs.processes()
        if not wait_until_dead(owners, ORPHAN_SECONDS):
            raise RunHeldError(refusals.has_orphan(self.task, owners[-1]))

    def refusal(
        self, assessment: Assessment, *, keep: bool = False, choice: Choice = Choice.ALL
    ) -> TaskWarning | UsageError | None:
        """Return what keeps the run from beginning; None if nothing does."""
        task = self.task
        if alive := self._alive(assessment):
            return JobsRunningWarning(task.name, refusals.has_jobs(task, alive))
        changed = [] if keep else assessment.code_changes
        if changed and choice is not Choice.ALL:
            return UsageError(refusals.choice_of_changed(task, changed, f"--{choice.value}"))
        if changed and not task.overwrite_dirty and assessment.n_done:
            return TaskWorkdirDirtyWarning(task.name, refusals.is_dirty(task, changed))
        return None

    def replaceable(self) -> list[Path]:
        """Return what goes to the archive if the code has changed, in the order of its going."""
        # The plan goes last: until then, whoever comes next archives the rest.
        made = (
            self.layout.result,
            self.layout.items_file,
            self.layout.psets,
            self.layout.out,
            self.layout.plans,
            self.layout.plan_file,
        )
        return [path for path in made if path.exists()]

    def _archive(self, assessment: Assessment) -> None:
        """Put everything that other code has made aside."""
        plan = assessment.plan
        assert plan is not None
        archive = make_folder(self.layout.archive(plan.run_id))
        for path in self.replaceable():
            move(path, archive / path.name)
        print(
            f"{self.task.name}: {assessment.code_changes[0].describe()}; "
            f"earlier results are in {archive}",
            file=sys.stderr,
        )

    def _freeze(self, assessment: Assessment, pool_size: int, choice: Choice) -> Plan:
        pending = assessment.pending(choice)
        plan = dataclasses.replace(
            self.draft(assessment, len(pending), pool_size),
            made_by=provenance(self.task.path.parent),
        )
        make_folder(plan.frozen.folder)
        make_folder(self.layout.out)
        write_atomic(plan.frozen.space, assessment.frozen.pickled)
        freeze_code(self.task.path, self.task.conf_path, plan.frozen.code)
        if self.task.site_path is not None:
            write_atomic(plan.frozen.code / SITE_FILE, self.task.site_path.read_bytes())
        save_items(plan.frozen.pending, pending)
        plan.write()
        return plan

    def draft(self, assessment: Assessment, n_pending: int, pool_size: int) -> Plan:
        """Return the plan for evaluating some items, without its provenance; write nothing."""
        task = self.task
        attempt, reason = self._attempt(assessment) if n_pending else (1, None)
        return Plan(
            run_id=new_run_id(),
            task=task.name,
            task_file=str(task.path),
            base=str(task.base),
            root=str(self.layout.root),
            result=str(self.layout.result),
            n_items=assessment.n_items,
            pool_size=pool_size,
            space_digest=assessment.frozen.digest,
            fingerprint=parts_to_json(task.fingerprint()),
            space_code=parts_to_json(task.space_fingerprint()),
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
            **allotment(task, n_pending, attempt, reason),
        )

    def _attempt(self, assessment: Assessment) -> tuple[int, str | None]:
        """Return how often the jobs are tried now, and why they failed before."""
        plan = assessment.plan
        # Nobody asks for memory or time here, and reading failures takes time.
        if plan is None or assessment.is_complete or self.task.scheduler.runs_here:
            return 1, None
        reason = reason_of(assessment.recovered, self._statuses(plan))
        return (plan.attempt + 1, reason) if reason is not None else (1, None)

    def _statuses(self, plan: Plan) -> dict[str, JobStatus]:
        """Return what the scheduler says of the jobs of a plan; nothing if it does not answer."""
        try:
            return self.jobs.statuses(plan.run_id, self.task.scheduler)
        except SchedulerError as error:
            print(f"{self.task.name}: {error}", file=sys.stderr)
            return {}

    # -- steps, where the scheduler runs here -----------------------------------------------------

    def split(self) -> None:
        """Do the split step in this process."""
        plan = self._begun()
        with self._logged("split"):
            steps.split(plan, self.task.backend(self.task))

    def process(self) -> int:
        """Run the one process job, and return its exit status."""
        plan = self._begun()
        submission = Submission(plan, self.task, self.jobs)
        # The merge is next, and this process has nothing to do until then.
        threading.Thread(target=_warm_up, args=(self.task.store,), daemon=True).start()
        jobid = submission.hand_over(process_job(plan, self.task.python, 0), None)
        exit_code = self.task.scheduler.exit_code(jobid)
        if exit_code is None:
            raise SchedulerError(f"{jobid} of {type(self.task.scheduler).__name__} never ran.")
        # A signal may come before the job has had the time to prepare for it.
        return STOPPED if exit_code in (-signal.SIGINT, -signal.SIGTERM) else exit_code

    def merge(self) -> steps.Merged:
        """Do the merge step in this process."""
        plan = self._begun()
        with self._logged("merge"):
            return steps.merge(plan, self.task)

    def finish_merge(self) -> None:
        """Do what a merge has left to do which died when the result was in its place."""
        if not self.layout.shards():
            return  # they go last
        # It does no harm to be late, so whatever is in the way is no reason to complain.
        with contextlib.suppress(RunHeldError, SchedulerError, OSError):
            self.take_hold()
            try:
                assessment = self.assess()
                if assessment.is_complete and not self._alive(assessment):
                    ItemsFile(self.layout).commit_late()
                    steps.remove_shards(self.layout)
            finally:
                self.release()

    # -- steps, where the scheduler runs elsewhere ------------------------------------------------

    def submit(self) -> None:
        """Submit all steps; each job id is on disk before the next submission."""
        Submission(self._begun(), self.task, self.jobs).submit()

    def continue_plan(self, plan: Plan) -> bool:
        """Submit further jobs for what those of `plan` left undone; they use the same code.

        This is for the merge job of `plan`. Why nothing is submitted is printed.

        Returns
        -------
        bool
            Whether jobs were submitted.
        """
        try:
            self._hold.acquire()
        except RunHeldError as error:
            print(f"Not continued: {error}", flush=True)
            return False
        try:
            self.plan = continued(plan, self.task, self._statuses(plan))
            print(f"Continued as {self.plan.run_id}: {self.plan.n_pending} items.", flush=True)
            self.submit()
        except (NotContinuedError, SchedulerError) as error:
            # Not every cluster lets jobs submit jobs; psy run goes on in any case.
            print(f"Not continued: {str(error).rstrip('.')}.", flush=True)
            return False
        finally:
            self.release()
        return True

    # -- ending -----------------------------------------------------------------------------------

    def alive(self) -> list[str]:
        """Return the jobs of this run that are queued or running, in words."""
        return self._alive(self.assess())

    def _alive(self, assessment: Assessment) -> list[str]:
        plan = assessment.plan
        return self.jobs.alive(plan.run_id, self.task.scheduler) if plan is not None else []

    def kill(self) -> list[str]:
        """End this run's recorded jobs, nobody else's, and return them in words."""
        plan = self.assess().plan
        return self.jobs.kill(plan.run_id, self.task.scheduler) if plan is not None else []

    def lingering(self) -> list[str]:
        """Return what is still at work after `kill`, in words; if nothing is, note that."""
        plan = self.assess().plan
        if plan is None:
            return []
        left = self.jobs.lingering(plan.run_id, self.task.scheduler)
        if not left:
            self.jobs.record_over(plan.run_id)
        return left

    def _begun(self) -> Plan:
        if self.plan is None:
            raise UsageError(f'Task "{self.task.name}" has to begin before its steps.')
        return self.plan

    @contextlib.contextmanager
    def _logged(self, step: str) -> Iterator[None]:
        with self.layout.log(step).open("a") as log, contextlib.redirect_stdout(log):
            print(self._begun().heading(step))
            yield


def _warm_up(store: Store) -> None:
    # What is wrong with the store is said where it is needed.
    with contextlib.suppress(Exception):
        store.warm_up()


def _as_count(limit: int | float | None, n_items: int) -> int | None:
    """Return a limit that may be a share as a number of items, at least 1."""
    return max(1, math.ceil(limit * n_items)) if isinstance(limit, float) else limit
