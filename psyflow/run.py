"""The run of a task: planning it, bringing it up to date, and ending or clearing it."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from psyflow import steps
from psyflow.assess import Assessment, Choice
from psyflow.bookkeeping import ItemsFile
from psyflow.claims import Hold
from psyflow.exceptions import (
    JobsRunningWarning,
    RunHeldError,
    SchedulerError,
    TaskWorkdirDirtyWarning,
    UsageError,
)
from psyflow.files import atomic_path, make_folder, move, remove_temporaries, write_atomic
from psyflow.fingerprint import Change, freeze_code, parts_to_json
from psyflow.jobs import Jobs, wait_until_dead
from psyflow.layout import Layout
from psyflow.plan import Plan, new_run_id, provenance
from psyflow.tasks import TaskDef

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
        """
        self._hold.acquire()
        try:
            return self._plan(keep, pool_size or self.task.pool_size, choice)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give up the hold that `begin` took."""
        self._hold.release()

    def _plan(self, keep: bool, pool_size: int, choice: Choice) -> Plan | None:
        self._wait_for_orphans()
        alive = self.alive()
        if alive:
            message = (
                f'Task "{self.task.name}" is not up to date, but has jobs at work: '
                f"{', '.join(alive)}. Wait for them, or type: psy kill {self.task.name}"
            )
            warnings.warn(JobsRunningWarning(self.task.name, message), stacklevel=3)
            return None
        remove_temporaries(self.layout.root)
        assessment = self.assess(verify=True)
        if assessment.code_changes and not keep:
            if not self._may_replace(assessment):
                return None
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
        self._hold.acquire()
        try:
            assessment = self.assess()
            if assessment.plan is None:
                raise UsageError(
                    f'Task "{self.task.name}" has not been run. Type: psy run {self.task.name}'
                )
            fingerprint = parts_to_json(self.task.fingerprint())
            dataclasses.replace(assessment.plan, fingerprint=fingerprint).write()
            return assessment.code_changes
        finally:
            self.release()

    def _wait_for_orphans(self) -> None:
        """Let the jobs of a `psy run` that was killed end; they notice within a second."""
        owners = self.jobs.processes()
        if not wait_until_dead(owners, ORPHAN_SECONDS):
            raise RunHeldError(
                f'Task "{self.task.name}" still has {owners[-1]} at work, from a run that ended. '
                f"Wait for it, or type: psy kill {self.task.name}"
            )

    def _may_replace(self, assessment: Assessment) -> bool:
        if self.task.overwrite_dirty or not assessment.n_done:
            return True
        changed = "; ".join(change.describe() for change in assessment.code_changes)
        message = (
            f'Task "{self.task.name}" has results of other code ({changed}), and overwrite_dirty '
            f"is False. To keep them: psy run -c {self.task.name}. To remove them: "
            f"psy clean {self.task.name}."
        )
        warnings.warn(TaskWorkdirDirtyWarning(self.task.name, message), stacklevel=3)
        return False

    def _archive(self, assessment: Assessment) -> None:
        """Put everything that other code has made aside."""
        plan = assessment.plan
        assert plan is not None
        archive = make_folder(self.layout.archive(plan.run_id))
        # The plan goes last: until then, whoever comes next archives the rest.
        for path in (
            self.layout.result,
            self.layout.items_file,
            self.layout.out,
            self.layout.plans,
            self.layout.plan_file,
        ):
            if path.exists():
                move(path, archive / path.name)
        print(
            f"{self.task.name}: {assessment.code_changes[0].describe()}; "
            f"earlier results are in {archive}",
            file=sys.stderr,
        )

    def _freeze(self, assessment: Assessment, pool_size: int, choice: Choice) -> Plan:
        task = self.task
        pending = assessment.pending(choice)
        backend = task.backend(task)
        n_jobs = backend.n_jobs(len(pending))
        if task.scheduler.runs_here:
            # Jobs would run one after the other; the workers of one job run side by side.
            n_jobs = min(n_jobs, 1)
        plan = Plan(
            run_id=new_run_id(),
            task=task.name,
            task_file=str(task.path),
            base=str(task.base),
            root=str(self.layout.root),
            result=str(self.layout.result),
            n_items=assessment.n_items,
            n_pending=len(pending),
            n_jobs=n_jobs,
            pool_size=pool_size,
            batch_of_job=[backend.batch_of(job) for job in range(n_jobs)],
            space_digest=assessment.frozen.digest,
            fingerprint=parts_to_json(task.fingerprint()),
            space_code=parts_to_json(task.space_fingerprint()),
            backend=type(backend).__name__,
            scheduler=type(task.scheduler).__name__,
            exclude=sorted(set(task.exclude_from_result)),
            conf_file=str(task.conf_path) if task.conf_path else None,
            made_by=provenance(task.path.parent),
        )
        make_folder(plan.frozen.folder)
        make_folder(self.layout.out)
        write_atomic(plan.frozen.space, assessment.frozen.pickled)
        freeze_code(task.path, task.conf_path, plan.frozen.code)
        with atomic_path(plan.frozen.pending) as temporary:
            np.save(temporary, pending)
        plan.write()
        return plan

    # -- steps, where the scheduler runs here -----------------------------------------------------

    def split(self) -> None:
        """Do the split step in this process."""
        plan = self._begun()
        with self._logged("split"):
            steps.split(plan, self.task.backend(self.task))

    def process(self) -> int:
        """Run the one process job, and return its exit status."""
        jobid = self.task.scheduler.submit(
            self._command("process", "0"),
            str(self.layout.log("process:0")),
            name=f"{self.task.name}:process:0",
            scheduler_args=self.task.scheduler_args,
        )
        exit_code = self.task.scheduler.exit_code(jobid)
        if exit_code is None:
            raise SchedulerError(f"{jobid} of {type(self.task.scheduler).__name__} never ran.")
        return exit_code

    def merge(self) -> steps.Merged:
        """Do the merge step in this process."""
        plan = self._begun()
        with self._logged("merge"):
            return steps.merge(plan, self.task)

    # -- steps, where the scheduler runs elsewhere ------------------------------------------------

    def submit(self) -> None:
        """Submit all steps; each job id is on disk before the next submission."""
        plan = self._begun()
        split = self._submit("split", [])
        process = self._submit_array(plan, [split]) if plan.n_jobs else []
        self._submit("merge", [split, *process])

    def _submit(self, job: str, depends_on: list[str], *numbers: str) -> str:
        jobid = self.task.scheduler.submit(
            self._command(job.partition(":")[0], *numbers),
            str(self.layout.log(job)),
            name=f"{self.task.name}:{job}",
            depends_on=depends_on,
            scheduler_args=self.task.scheduler_args,
        )
        self.jobs.record_submitted(self._begun().run_id, job, jobid)
        return jobid

    def _submit_array(self, plan: Plan, depends_on: list[str]) -> list[str]:
        try:
            jobid = self.task.scheduler.submit_array(
                plan.n_jobs,
                self._command("process", "%a"),
                str(self.layout.log("process:%a")),
                name=f"{self.task.name}:process",
                depends_on=depends_on,
                scheduler_args=self.task.scheduler_args,
            )
        except NotImplementedError:
            return [self._submit(f"process:{k}", depends_on, str(k)) for k in range(plan.n_jobs)]
        self.jobs.record_submitted(plan.run_id, f"process:0-{plan.n_jobs - 1}", jobid)
        return [jobid]

    # -- ending and clearing ----------------------------------------------------------------------

    def alive(self) -> list[str]:
        """Return the jobs of this run that are queued or running, in words."""
        plan = self.assess().plan
        return self.jobs.alive(plan.run_id, self.task.scheduler) if plan is not None else []

    def kill(self) -> list[str]:
        """End this run's recorded jobs, nobody else's, and return them in words."""
        plan = self.assess().plan
        return self.jobs.kill(plan.run_id, self.task.scheduler) if plan is not None else []

    def generated(self) -> list[Path]:
        """Return every file and folder that psyflow made for this run."""
        layout = self.layout
        made = [
            layout.plan_file,
            layout.plans,
            layout.out,
            layout.jobs_file,
            layout.items_file,
            layout.new_items_file,
            layout.staged_result,
            layout.root / "archive",
            *sorted(layout.logs()),
        ]
        # A result of unknown origin in a place of the user's choice may be anybody's.
        if layout.result.parent == layout.root or ItemsFile(layout).about() is not None:
            made.insert(0, layout.result)
        return [path for path in made if path.exists()]

    def clean(self) -> list[Path]:
        """Remove every file that psyflow made for this run, and return what was removed.

        Raises
        ------
        UsageError
            If jobs of this run are alive.
        RunHeldError
            If somebody else holds the run.
        """
        alive = self.alive()
        if alive:
            raise UsageError(
                f'Task "{self.task.name}" has jobs at work: {", ".join(alive)}. '
                f"Wait for them, or type: psy kill {self.task.name}"
            )
        if not self.layout.root.exists():
            return [path for path in self.generated() if _remove(path)]
        self._hold.acquire()
        removed = [path for path in self.generated() if _remove(path)]
        remove_temporaries(self.layout.root)
        shutil.rmtree(self.layout.hold)
        with contextlib.suppress(OSError):
            # Stays if it holds something that psyflow did not make.
            self.layout.root.rmdir()
        return removed

    def _begun(self) -> Plan:
        if self.plan is None:
            raise UsageError(f'Task "{self.task.name}" has to begin before its steps.')
        return self.plan

    def _command(self, step: str, *numbers: str) -> list[str]:
        frozen = self._begun().frozen.plan_file
        return [self.task.python, "-m", "psyflow.job", step, str(frozen), *numbers]

    @contextlib.contextmanager
    def _logged(self, step: str) -> Iterator[None]:
        with self.layout.log(step).open("a") as log, contextlib.redirect_stdout(log):
            print(steps.heading(self._begun(), step))
            yield


def _remove(path: Path) -> bool:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    return True
