"""How a task runs whose jobs are elsewhere: a scheduler gets all steps at once."""

from __future__ import annotations

from collections.abc import Iterator

from psyflow.exceptions import SchedulerError
from psyflow.record.assess import Assessment
from psyflow.record.jobs import Jobs
from psyflow.record.plan import Plan
from psyflow.runs.observer import Observer
from psyflow.runs.reasons import reason_of, statuses_of
from psyflow.runs.submit import (
    Foreseen,
    Submission,
    largest_of,
    process_arrays,
    process_job,
    step_job,
)
from psyflow.scheduler import Scheduler
from psyflow.tasks import TaskDef

__all__ = ["Away"]


class Away:
    """Each step is one job, or many, of the task's scheduler.

    Parameters
    ----------
    task : TaskDef
    jobs : Jobs
        Of the run.
    """

    def __init__(self, task: TaskDef, jobs: Jobs) -> None:
        self._task = task
        self._jobs = jobs
        self._attempts: dict[str, tuple[int, str | None]] = {}

    def wait_for_orphans(self) -> None:
        """Wait for nothing: jobs of a cluster outlive `psy run`, as they should."""

    def n_jobs(self, n_pending: int) -> int:
        """Return into how many jobs so many items go."""
        return self._task.backend(self._task).n_jobs(n_pending)

    def attempt(self, assessment: Assessment) -> tuple[int, str | None]:
        """Return how often the jobs are tried now, and why they failed before."""
        plan = assessment.plan
        if plan is None or assessment.is_complete:
            return 1, None
        if plan.run_id not in self._attempts:
            statuses = statuses_of(plan, self._task, self._jobs)
            reason = reason_of(assessment.recovered, statuses)
            self._attempts[plan.run_id] = (
                (1, None) if reason is None else (plan.attempt + 1, reason)
            )
        return self._attempts[plan.run_id]

    def do(self, step: str, plan: Plan, observer: Observer) -> None:
        """Submit all steps instead of the first; the others are done by their jobs."""
        if step == "split":
            Submission(plan, self._task, self._jobs).submit()
            observer.submitted(plan)

    def foreseen(self, plan: Plan) -> Iterator[Foreseen]:
        """Yield what would be submitted."""
        task, scheduler = self._task, self._task.scheduler
        split = step_job(plan, task, "split")
        if _has_arrays(scheduler):
            process = process_arrays(plan, task, _largest_array(plan, task))
        else:
            process = [process_job(plan, task, number) for number in range(plan.n_jobs)]
        yield Foreseen(split)
        for job in process:
            yield Foreseen(job, [split], len(process))
        yield Foreseen(step_job(plan, task, "merge"), [split, *process])


def _largest_array(plan: Plan, task: TaskDef) -> int | None:
    try:
        return largest_of(plan, task)
    except SchedulerError:
        # A dry run may be made where the cluster is not.
        return None


def _has_arrays(scheduler: Scheduler) -> bool:
    from psyflow.scheduler.checked import CheckedScheduler  # a run on this machine needs no such

    if isinstance(scheduler, CheckedScheduler):
        return scheduler.HAS_ARRAYS
    return type(scheduler).submit_array is not Scheduler.submit_array
