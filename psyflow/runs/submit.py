"""The jobs of a plan: how many, in which words, and their submission."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psyflow.exceptions import SchedulerError
from psyflow.record.jobrecord import JobRecord
from psyflow.record.jobs import Jobs
from psyflow.record.plan import Plan
from psyflow.runs.command import job_command
from psyflow.runs.maxjobs import fitting, largest_array
from psyflow.runs.preparation import starter
from psyflow.runs.withdrawal import withdraw
from psyflow.scheduler import Scheduler
from psyflow.scheduler.arguments import resolve
from psyflow.scheduler.engines import EngineScheduler
from psyflow.scheduler.gpus import count_gpus
from psyflow.scheduler.limits import JOBS, least
from psyflow.scheduler.names import marked, new_mark
from psyflow.tasks import TaskDef

__all__ = [
    "Foreseen",
    "JobRequest",
    "Submission",
    "allotment",
    "largest_of",
    "named",
    "process_arrays",
    "process_job",
    "scheduler_args",
    "step_job",
]


_LIMIT = re.compile(
    "limit|too (many|large|big)|exceed|maximum|quota|threshold|allowed|reject|array|polic"
    "|admission",
    re.IGNORECASE,
)
"""What clusters say when they refuse so many jobs."""


@dataclass(frozen=True)
class JobRequest:
    """One job, or one array of jobs, that is to be submitted.

    Attributes
    ----------
    job : str
        What it is called in the record of jobs: ``split``, ``process:<k>``,
        ``process:<first>-<last>`` for an array, or ``merge``.
    args : list of str
        The command. In an array ``%a``, here and in `log`, stands for a member's index.
    log : Path
    name : str
        For the scheduler, but for the mark.
    array_size : int or None
        Number of members; None for a single job.
    mark : str or None
        The random end of the name that the scheduler gets.
    """

    job: str
    args: list[str]
    log: Path
    name: str
    array_size: int | None = None
    mark: str | None = None


@dataclass(frozen=True)
class Foreseen:
    """A request as it would be submitted.

    Attributes
    ----------
    request : JobRequest
    after : list of JobRequest
        What it would wait for.
    n_arrays : int
        How many of its kind there would be.
    """

    request: JobRequest
    after: list[JobRequest] = field(default_factory=list)
    n_arrays: int = 1


def step_job(plan: Plan, task: TaskDef, step: str) -> JobRequest:
    """Return the job of the step ``split`` or ``merge``.

    Parameters
    ----------
    plan : Plan
    task : TaskDef
        Says how jobs are started.
    step : str
    """
    return JobRequest(
        step, _command(plan, task, step), plan.layout.log(step), f"{plan.task}:{step}"
    )


def process_job(plan: Plan, task: TaskDef, number: int) -> JobRequest:
    """Return one process job."""
    job = f"process:{number}"
    args = _command(plan, task, "process", str(number))
    return JobRequest(job, args, plan.layout.log(job), f"{plan.task}:{job}")


def largest_of(plan: Plan, task: TaskDef) -> int | None:
    """Return how many members an array of process jobs may have; None if that does not matter."""
    if plan.n_jobs < 2:
        return None
    job = f"{plan.task}:process"
    args = resolve(task.scheduler_args, job, plan.attempt, plan.reason)
    return largest_array(task.scheduler, args, job)


def process_arrays(plan: Plan, task: TaskDef, largest: int | None = None) -> list[JobRequest]:
    """Return all process jobs as arrays of at most `largest` members."""
    size = min(largest or plan.n_jobs, plan.n_jobs)
    firsts = range(0, plan.n_jobs, size)
    return [_array(plan, task, first, min(size, plan.n_jobs - first)) for first in firsts]


def _array(plan: Plan, task: TaskDef, first: int, size: int) -> JobRequest:
    # The index begins with 0 in each array, so all but the first are told where they begin.
    offset = [str(first)] if first else []
    return JobRequest(
        f"process:{first}-{first + size - 1}",
        _command(plan, task, "process", "%a", *offset),
        plan.layout.log(f"process:{first}+%a" if first else "process:%a"),
        f"{plan.task}:process",
        size,
    )


def share_throttle(args: Mapping[str, object], n_arrays: int) -> dict[str, object]:
    """Return scheduler arguments with which `n_arrays` arrays together keep to ``max_running``.

    Examples
    --------
    >>> share_throttle({"max_running": 10, "qos": "low"}, 3)
    {'max_running': 3, 'qos': 'low'}
    """
    limit = args.get("max_running")
    if n_arrays < 2 or not isinstance(limit, int):
        return dict(args)
    return {**args, "max_running": max(1, limit // n_arrays)}


def _command(plan: Plan, task: TaskDef, step: str, *numbers: str) -> list[str]:
    words = [*starter(task, plan.frozen), *job_command(task.interpreter)]
    return [*words, step, str(plan.frozen.plan_file), *numbers]


def allotment(
    task: TaskDef, n_pending: int, n_jobs: int, attempt: int, reason: str | None
) -> dict[str, Any]:
    """Return the fields of a plan that say into which jobs its items go, and what a job gets.

    Parameters
    ----------
    task : TaskDef
    n_pending : int
        Number of items to evaluate.
    n_jobs : int
        Into how many jobs they go.
    attempt, reason
        What scheduler arguments may depend on.
    """
    backend, scheduler = task.backend(task), task.scheduler
    process = f"{task.name}:process"
    options = resolve(task.scheduler_args, process, attempt, reason)
    return {
        "n_pending": n_pending,
        "n_jobs": n_jobs,
        "batch_of_job": [backend.batch_of(job) for job in range(n_jobs)],
        "time_limit": _time_limit(scheduler, options, process),
        "n_cpus": _as_number(options.get("n_cpus")),
        "n_gpus": count_gpus(options) or None,
        "is_afar": isinstance(scheduler, EngineScheduler),
        "attempt": attempt,
        "reason": reason,
    }


def _time_limit(scheduler: Scheduler, options: dict[str, object], job: str) -> float | None:
    given = scheduler.time_limit(options, job)
    limit = scheduler.default_time_limit(options, job) if given is None else given
    return None if limit is None or math.isinf(limit) else limit


def _as_number(value: object) -> int | None:
    """Return the number that a scheduler argument gives, if it gives one."""
    return int(value) if isinstance(value, int | str) and str(value).isdecimal() else None


class Submission:
    """Hands the jobs of a plan to the task's scheduler.

    Parameters
    ----------
    plan : Plan
    task : TaskDef
    jobs : Jobs
        The record of the run's jobs.
    host : str, optional
        Where the user is to go who wants to end them; this host if not given.
    """

    def __init__(self, plan: Plan, task: TaskDef, jobs: Jobs, host: str | None = None) -> None:
        self._plan = plan
        self._task = task
        self._jobs = jobs
        self._host = host or socket.gethostname()

    def submit(self) -> None:
        """Submit all steps; each job id is on disk before the next submission.

        Raises
        ------
        SchedulerError, UsageError
            If the scheduler refuses one. Those before it are ended then: alone they would wait
            for nothing, and every later `psy run` for them.
        """
        try:
            self._submit_steps()
        except SchedulerError as error:
            hint = self._hint_at_limits(str(error))
            text = f"{str(error).rstrip()}\n{hint}{self._withdraw()}"
            raise SchedulerError(text.rstrip()) from error
        except BaseException:
            # Also Ctrl-C, and arguments that a function gives for a later step only.
            self._withdraw()
            raise

    def _hint_at_limits(self, refusal: str) -> str:
        """Say what to change if a cluster may have refused so many jobs; otherwise ''."""
        plan, scheduler = self._plan, self._task.scheduler
        n_jobs, job = plan.n_jobs, f"{plan.task}:process"
        if n_jobs < 2 or not _LIMIT.search(refusal):
            return ""
        args = resolve(self._task.scheduler_args, job, plan.attempt, plan.reason)
        told = scheduler.limits_of(args, job)
        limits = f" What it says of limits: {'; '.join(map(str, told))}." if told else ""
        most = least(told, JOBS)
        # What it keeps to is not all that it tells.
        smaller = min(n_jobs // 2, fitting(most) or n_jobs if most else n_jobs)
        return (
            f"The task asks for {n_jobs} process jobs.{limits} If that is more than you may have "
            f"here at once, set a smaller max_jobs in the task file, such as max_jobs = "
            f"{smaller}. "
        )

    def _withdraw(self) -> str:
        """End what was submitted, and say in a sentence what became of it; '' if nothing was."""
        plan, scheduler = self._plan, self._task.scheduler
        try:
            killed = withdraw(self._jobs, plan.run_id, scheduler)
        except SchedulerError as error:
            return f"What was submitted before could not be ended: {error}"
        return f"Ended what was submitted before: {', '.join(killed)}." if killed else ""

    def _submit_steps(self) -> None:
        plan, task = self._plan, self._task
        split = self._submit(step_job(plan, task, "split"), [])
        process = self._submit_process([split]) if plan.n_jobs else []
        self._submit(step_job(plan, task, "merge"), [split, *process])

    def _submit_process(self, depends_on: list[str]) -> list[str]:
        plan, task = self._plan, self._task
        arrays = process_arrays(plan, task, largest_of(plan, task))
        try:
            return [self._submit(array, depends_on, len(arrays)) for array in arrays]
        except NotImplementedError:
            jobs = [process_job(plan, task, number) for number in range(plan.n_jobs)]
            return [self._submit(job, depends_on) for job in jobs]

    def _submit(self, request: JobRequest, depends_on: list[str], n_arrays: int = 1) -> str:
        scheduler = self._task.scheduler
        if scheduler.tells_names:
            request = dataclasses.replace(request, mark=new_mark())
        # Before the submission: if this process dies, a job that was accepted can be found.
        intent = JobRecord(
            self._plan.run_id,
            request.job,
            name=named(self._task, request),
            mark=request.mark,
            cluster=scheduler.cluster_name(),
            host=self._host,
        )
        self._jobs.record_intent(intent)
        jobid = self.hand_over(request, depends_on, n_arrays)
        # Once more: a spool has its name from its first job.
        self._jobs.record_submitted(intent, jobid, scheduler.cluster_name())
        return jobid

    def hand_over(
        self, request: JobRequest, depends_on: list[str] | None, n_arrays: int = 1
    ) -> str:
        """Submit one request, which nothing records, and return the job's id."""
        submit = self._task.scheduler.submit
        if request.array_size is not None:
            submit = functools.partial(self._task.scheduler.submit_array, request.array_size)
        return submit(
            request.args,
            str(request.log),
            name=marked(named(self._task, request), request.mark),
            depends_on=depends_on,
            scheduler_args=scheduler_args(self._plan, self._task, request, n_arrays),
        )


def named(task: TaskDef, request: JobRequest) -> str:
    """Return the name of a job for the scheduler, but for its mark."""
    return f"{task.job_prefix}{request.name}"


def scheduler_args(
    plan: Plan, task: TaskDef, request: JobRequest, n_arrays: int = 1
) -> dict[str, object]:
    """Return the arguments of one submission, without functions.

    Parameters
    ----------
    plan : Plan
    task : TaskDef
    request : JobRequest
    n_arrays : int
        How many arrays share ``max_running``.
    """
    args = resolve(task.scheduler_args, request.name, plan.attempt, plan.reason)
    return share_throttle(args, n_arrays)
