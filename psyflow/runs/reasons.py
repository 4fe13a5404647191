"""Why jobs have left items without a result, as far as items and the scheduler tell."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from psyflow.exceptions import SchedulerError
from psyflow.record.jobs import Jobs
from psyflow.record.plan import Plan
from psyflow.record.recover import Recovered
from psyflow.scheduler.base import OOM, REASONS, TIMEOUT, JobStatus
from psyflow.tasks import TaskDef

__all__ = ["failed_for_want", "reason_of", "statuses_of"]

_OF_RESOURCES = {OOM, TIMEOUT}


def statuses_of(plan: Plan, task: TaskDef, jobs: Jobs) -> dict[str, JobStatus]:
    """Return what the scheduler says of the jobs of a plan; nothing if it does not answer."""
    try:
        return jobs.statuses(plan.run_id, task.scheduler)
    except SchedulerError as error:
        print(f"{task.name}: {error}", file=sys.stderr)
        return {}


def reason_of(recovered: Recovered, statuses: Mapping[str, JobStatus]) -> str | None:
    """Return why earlier jobs left items without a result, if items or the scheduler tell.

    Parameters
    ----------
    recovered : Recovered
    statuses : mapping from str to JobStatus
        What the scheduler says of those jobs.
    """
    told = {status.reason for status in statuses.values()} & REASONS
    reasons = told | set(failed_for_want(recovered).values())
    # Memory goes first: it is the one that a second attempt as before cannot mend.
    return next((reason for reason in (OOM, TIMEOUT, *sorted(reasons)) if reason in reasons), None)


def failed_for_want(recovered: Recovered) -> dict[int, str]:
    """Return the items that failed for want of memory or time, and which of them it was."""
    failed = set(recovered.failed.tolist())
    records = (record for record in recovered.outcomes.failures if record.item in failed)
    kinds = {record.item: record.read().kind for record in records}
    return {item: kind for item, kind in kinds.items() if kind in _OF_RESOURCES}
