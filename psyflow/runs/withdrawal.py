"""Ending what was submitted of a run that is not whole: alone it would wait for nothing."""

from __future__ import annotations

from psyflow.record.answers import Answers
from psyflow.record.jobs import Jobs
from psyflow.record.layout import STEPS
from psyflow.record.plan import Plan
from psyflow.scheduler import Scheduler
from psyflow.scheduler.base import HELD, OVER, QUEUED

__all__ = ["is_broken_off", "withdraw"]

_WAITING = {QUEUED, HELD}


def withdraw(jobs: Jobs, run_id: str, scheduler: Scheduler) -> list[str]:
    """End the jobs of a plan, note that they are over if they are, and return what was ended.

    Raises
    ------
    SchedulerError
        If the scheduler does not answer.
    """
    killed = jobs.kill(run_id, scheduler).killed
    if not jobs.lingering(run_id, scheduler):
        jobs.record_over(run_id)
    return killed


def is_broken_off(jobs: Jobs, plan: Plan | None, scheduler: Scheduler) -> bool:
    """Tell whether `psy` died while it submitted a plan, and no job of that has begun.

    The merge job goes last. Jobs that have begun get somewhere, and so are left to do that. Asks
    the scheduler only if the record of jobs lacks the merge job.

    Parameters
    ----------
    jobs : Jobs
        Of the run, which is held: nobody is about to submit the rest.
    plan : Plan or None
        The present one.
    scheduler : Scheduler
    """
    if plan is None or scheduler.runs_here or jobs.are_over(plan.run_id):
        return False
    question = jobs.question(plan.run_id)
    noted = [record.step for record in question.records]
    if STEPS[-1] in noted or not (noted or question.intents):
        return False
    answers = Answers.of(scheduler, [question])
    if STEPS[-1] in [record.step for record in question.accepted(answers.found)]:
        return False
    members = jobs.members(plan.run_id, answers).values()
    states = {status.status for some in members for status in some} - OVER
    return bool(states) and states <= _WAITING and not jobs.owners()
