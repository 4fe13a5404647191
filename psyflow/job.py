"""What a job starts: ``python -m psyflow.job STEP PLAN [NUMBER [FIRST]]``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psyflow.record.plan import Plan
    from psyflow.tasks import TaskDef

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Do one step of a run, and return the exit status.

    Parameters
    ----------
    arguments : list of str
        ``split``, ``process`` or ``merge``; the plan's file; for ``process`` the job's number, in
        an array that is not the first also the number that its index 0 stands for.
    """
    step, plan_file, *numbers = arguments
    _leave_what_is_gone()
    _share_processors(Path(plan_file))
    from psyflow.system.exits import DISK_FULL
    from psyflow.system.oserrors import is_full
    from psyflow.system.trust import trusting
    from psyflow.work.capture import say

    try:
        # Whoever can write to the folder of the run can give this job other code to run.
        with trusting():
            return _do(step, Path(plan_file), *numbers)
    except OSError as error:
        if not is_full(error):
            raise
        # The log may be on the same disk: the exit status has to say it.
        say(str(error))
        return DISK_FULL


def _do(step: str, plan_file: Path, *numbers: str) -> int:
    from psyflow.record.plan import Plan
    from psyflow.record.planfile import newer_run
    from psyflow.work.capture import say

    plan = Plan.read(plan_file)
    if plan is None:
        say(f"{plan_file} is gone: a later psy run has replaced this plan.")
        return 3
    if newer := newer_run(plan.layout.plan_file, plan.run_id):
        say(f"{newer} has replaced this plan, {plan.run_id}: nothing is left to do for its jobs.")
        return 3
    job = sum(map(int, numbers))
    if len(numbers) > 1:
        _log_to(plan.layout.log(f"process:{job}"))
    say(plan.heading(f"process:{job}" if step == "process" else step))
    if step == "process":
        from psyflow.runs import process as processing

        return processing.process(plan, job)
    # Before the user's code is loaded, which may change what an import finds.
    from psyflow.runs.cutoff import give_up_misfits
    from psyflow.runs.merge import merge
    from psyflow.runs.split import split

    task = plan.load_task()
    if step == "split":
        split(plan, task.backend(task))
        return 0
    give_up_misfits(plan)
    try:
        return 0 if merge(plan, task).tally.is_settled or _is_continued(plan, task) else 1
    finally:
        _note_over(plan, task)


def _note_over(plan: Plan, task: TaskDef) -> None:
    """Note that no job of the plan is at work: the merge job runs after all others.

    And how they ended, if their cluster says so here: then nobody has to ask it again.
    """
    from psyflow.exceptions import SchedulerError
    from psyflow.record.jobs import Jobs, note_ends
    from psyflow.work.capture import say

    jobs = Jobs(plan.layout)
    try:
        jobs.record_over(plan.run_id)
        note_ends(jobs, plan.run_id, task.scheduler, but="merge")
    except SchedulerError as error:
        # Not every cluster lets jobs ask.
        say(f"How the jobs ended is not known here: {error}")
    except OSError as error:
        # The scheduler knows it, too, at least for a while.
        say(f"It could not be noted that all jobs are over: {error}")


def _is_continued(plan: Plan, task: TaskDef) -> bool:
    from psyflow.runs.continuation import continue_plan
    from psyflow.runs.run import Run

    return continue_plan(Run(task), plan)


def _leave_what_is_gone() -> None:
    """Go to a folder that is there, if the one where this job was started is none any more."""
    try:
        Path.cwd()
    except OSError:
        os.chdir("/")


def _log_to(log: Path) -> None:
    """Print to `log` from now on: the scheduler can only number logs by the index in the array."""
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)


def _share_processors(plan_file: Path) -> None:
    from psyflow.system.allotted import job_cpus
    from psyflow.system.limits import libraries_at_start, limit_loaded_libraries, share_processors
    from psyflow.system.reading import ask_again

    try:
        plan = json.loads(ask_again(plan_file.read_text, plan_file))
    except FileNotFoundError:
        return  # said where the plan is read
    # NumPy's libraries read this when they are loaded, and in a fork they are.
    n_cpus = job_cpus(os.environ, plan.get("n_cpus"))
    pool_size = n_cpus if plan.get("counts_cpus") else plan["pool_size"]
    share_processors(n_cpus, pool_size, os.environ)
    if "numpy" in sys.modules:
        limit_loaded_libraries(os.environ, libraries_at_start())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
