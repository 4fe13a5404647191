"""How a task runs whose jobs are on this machine: step by step, while this process waits."""

from __future__ import annotations

import contextlib
import errno
import shlex
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from psyflow.exceptions import PsyflowError, RunHeldError, SchedulerError
from psyflow.messages import shown_path
from psyflow.record import refusals
from psyflow.record.assess import Assessment
from psyflow.record.joblogs import has_heading, last_words
from psyflow.record.jobs import Jobs
from psyflow.record.layout import Layout
from psyflow.record.plan import Plan
from psyflow.record.usersfiles import of_users_files
from psyflow.runs.merge import Merged, merge
from psyflow.runs.observer import Observer
from psyflow.runs.split import split
from psyflow.runs.submit import Foreseen, Submission, process_job
from psyflow.store import Store
from psyflow.system.exits import DISK_FULL, ENDED_EARLY, STOPPED
from psyflow.system.hold import Hold
from psyflow.system.orphans import ORPHAN_SECONDS, wait_until_dead
from psyflow.system.reading import is_there
from psyflow.tasks import TaskDef
from psyflow.work.capture import say, saying_in

__all__ = ["Here"]


class Here:
    """Split and merge are done in this process, and process in one job that it waits for.

    Parameters
    ----------
    task : TaskDef
    layout : Layout
    jobs : Jobs
    hold : Hold
        Of the run.
    """

    def __init__(self, task: TaskDef, layout: Layout, jobs: Jobs, hold: Hold) -> None:
        self._task = task
        self._layout = layout
        self._jobs = jobs
        self._hold = hold

    # -- planning ---------------------------------------------------------------------------------

    def wait_for_orphans(self) -> None:
        """Let the jobs of a `psy run` that was killed end; they notice within a second.

        Raises
        ------
        RunHeldError
            If they do not.
        """
        owners = self._jobs.processes()
        if not wait_until_dead(owners, ORPHAN_SECONDS):
            raise RunHeldError(refusals.has_orphan(self._task, owners[-1]))

    def n_jobs(self, n_pending: int) -> int:
        """Return into how many jobs so many items go."""
        # Jobs would run one after the other; the workers of one job run side by side.
        return min(self._task.backend(self._task).n_jobs(n_pending), 1)

    def attempt(self, assessment: Assessment) -> tuple[int, str | None]:
        """Return how often the jobs are tried now, and why they failed before."""
        # Nobody asks for memory or time here, and reading failures takes time.
        return 1, None

    def foreseen(self, plan: Plan) -> Iterator[Foreseen]:
        """Yield what would be submitted."""
        yield Foreseen(process_job(plan, self._task, 0))

    # -- steps ------------------------------------------------------------------------------------

    def do(self, step: str, plan: Plan, observer: Observer) -> None:
        """Do a step of a plan.

        Raises
        ------
        KeyboardInterrupt
            If somebody asked the workers to stop.
        OSError
            If the disk is full.
        PsyflowError
            If the workers gave up, or the run's folder is gone.
        """
        if step == "split":
            self.split(plan)
        elif step == "process":
            self._evaluate(plan, observer)
        else:
            observer.merged(self.merge(plan))

    def split(self, plan: Plan) -> None:
        """Do the split step in this process."""
        with self._logged(plan, "split"):
            split(plan, self._task.backend(self._task))

    def process(self, plan: Plan) -> int:
        """Run the one process job, and return its exit status."""
        submission = Submission(plan, self._task, self._jobs)
        # The merge is next, and this process has nothing to do until then.
        threading.Thread(target=_warm_up, args=(self._task.store,), daemon=True).start()
        jobid = submission.hand_over(process_job(plan, self._task, 0), None)
        exit_code = self._task.scheduler.exit_code(jobid)
        if exit_code is None:
            raise SchedulerError(f"{jobid} of {type(self._task.scheduler).__name__} never ran.")
        # A signal may come before the job has had the time to prepare for it.
        requests = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGUSR1)
        return STOPPED if exit_code in requests else exit_code

    def merge(self, plan: Plan) -> Merged:
        """Do the merge step in this process."""
        self._hold.check()
        with self._logged(plan, "merge"):
            return merge(plan, self._task, self._hold.check)

    @contextlib.contextmanager
    def _logged(self, plan: Plan, step: str) -> Iterator[None]:
        with saying_in(self._layout.log(step)):
            say(plan.heading(step))
            yield

    def _evaluate(self, plan: Plan, observer: Observer) -> None:
        log = self._layout.log("process:0")
        start = log.stat().st_size if log.exists() else 0
        with observer.evaluating(plan):
            status = self.process(plan)
        if status == STOPPED:
            raise KeyboardInterrupt
        # On a disk that is full, it could not write, either.
        is_silent = status == DISK_FULL and log.exists() and log.stat().st_size == start
        if log.exists() and not (is_silent or self._has_begun(plan, log, start)):
            # So its exit status is not one of psyflow's.
            raise PsyflowError(self._about_not_begun(plan, status, last_words(log, start)))
        if status in ENDED_EARLY:
            observer.stopped_early(plan, status)
            return
        if status == DISK_FULL:
            raise OSError(errno.ENOSPC, "the disk is full, or a quota is used up")
        if status and not log.exists():
            raise PsyflowError(
                f"{shown_path(self._layout.root)} is gone. If it was moved, what is done is "
                f"where it is now; go on there with: psy run {self._task.name}"
            )
        if status:
            raise PsyflowError(
                f"the workers gave up (exit status {status}); see {shown_path(log)}\n"
                f"{of_users_files(last_words(log, start), plan.layout, self._task.path.parent)}"
            )

    def _has_begun(self, plan: Plan, log: Path, start: int) -> bool:
        return bool(plan.layout.shards(plan.run_id)) or has_heading(log, start, plan.run_id)

    def _about_not_begun(self, plan: Plan, status: int, words: str) -> str:
        python = f"`python` ({shlex.join(self._task.interpreter)})"
        who = f"`prologue`, or {python}," if is_there(plan.frozen.preparation) else python
        return (
            f"{who} ended with exit status {status} before psyflow began; see "
            f"{shown_path(self._layout.log('process:0'))}\n{words}"
        ).rstrip()


def _warm_up(store: Store) -> None:
    # What is wrong with the store is said where it is needed.
    with contextlib.suppress(Exception):
        store.warm_up()
