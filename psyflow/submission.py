"""The jobs of a plan, in the words that every scheduler is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from psyflow.plan import Plan

__all__ = ["JobRequest", "process_array", "process_job", "step_job"]


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
        For the scheduler.
    array_size : int or None
        Number of members; None for a single job.
    """

    job: str
    args: list[str]
    log: Path
    name: str
    array_size: int | None = None


def step_job(plan: Plan, python: str, step: str) -> JobRequest:
    """Return the job of the step ``split`` or ``merge``.

    Parameters
    ----------
    plan : Plan
    python : str
        The interpreter.
    step : str
    """
    return JobRequest(
        step, _command(plan, python, step), plan.layout.log(step), f"{plan.task}:{step}"
    )


def process_job(plan: Plan, python: str, number: int) -> JobRequest:
    """Return one process job."""
    job = f"process:{number}"
    args = _command(plan, python, "process", str(number))
    return JobRequest(job, args, plan.layout.log(job), f"{plan.task}:{job}")


def process_array(plan: Plan, python: str) -> JobRequest:
    """Return all process jobs as one array."""
    return JobRequest(
        f"process:0-{plan.n_jobs - 1}",
        _command(plan, python, "process", "%a"),
        plan.layout.log("process:%a"),
        f"{plan.task}:process",
        plan.n_jobs,
    )


def _command(plan: Plan, python: str, step: str, *numbers: str) -> list[str]:
    return [python, "-m", "psyflow.job", step, str(plan.frozen.plan_file), *numbers]
