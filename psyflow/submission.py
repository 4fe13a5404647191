"""The jobs of a plan, in the words that every scheduler is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from psyflow.plan import Plan

__all__ = ["JobRequest", "process_arrays", "process_job", "share_throttle", "step_job"]


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


def process_arrays(plan: Plan, python: str, largest: int | None = None) -> list[JobRequest]:
    """Return all process jobs as arrays of at most `largest` members."""
    size = min(largest or plan.n_jobs, plan.n_jobs)
    firsts = range(0, plan.n_jobs, size)
    return [_array(plan, python, first, min(size, plan.n_jobs - first)) for first in firsts]


def _array(plan: Plan, python: str, first: int, size: int) -> JobRequest:
    # The index begins with 0 in each array, so all but the first are told where they begin.
    offset = [str(first)] if first else []
    return JobRequest(
        f"process:{first}-{first + size - 1}",
        _command(plan, python, "process", "%a", *offset),
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


def _command(plan: Plan, python: str, step: str, *numbers: str) -> list[str]:
    return [python, "-m", "psyflow.job", step, str(plan.frozen.plan_file), *numbers]
