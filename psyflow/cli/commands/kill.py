"""``psy kill``: end the jobs of tasks, and see to it that they are gone."""

from __future__ import annotations

import time
from argparse import Namespace

from psyflow.cli.output import OK, TROUBLE, is_confirmed, say
from psyflow.cli.selection import for_each_task, none_named, suggestion
from psyflow.record.jobs import Killed
from psyflow.record.plan import Plan
from psyflow.runs.run import Run
from psyflow.runs.wait import pauses
from psyflow.system.lease import LEASE_SECONDS
from psyflow.system.owner import Owner
from psyflow.tasks import TaskDef

__all__ = ["execute"]

PATIENCE = 60.0
LONGEST_PAUSE = 5.0


def execute(arguments: Namespace) -> int:
    """End the jobs of the named tasks, and print which they were."""
    if none_named(arguments):
        return OK
    return for_each_task(arguments, lambda task: _kill(task, arguments))


def _kill(task: TaskDef, arguments: Namespace) -> int:
    run = Run(task)
    alive = run.alive()
    if not alive:
        say(f"{task.name}: has no jobs at work.{_about_original(run)}")
        return OK
    if not is_confirmed(f"{task.name}: end {', '.join(alive)}?", arguments):
        say(f"{task.name}: nothing was ended.")
        return OK
    told = _kill_jobs(run)
    is_all = arguments.forget or not told.left
    left = _wait_until_gone(run, left=bool(told.left), forget=arguments.forget)
    if left:
        command = suggestion(arguments, task.name, command="status")
        say(f"{task.name}: still at work: {', '.join(left)}. Look again with: {command}")
        for owner in run.jobs.elsewhere():
            say(f"{task.name}: {_how_to_end(owner)}")
    if told.left:
        _say_what_is_left(task, told, arguments)
    return OK if is_all and not left else TROUBLE


def _about_original(run: Run) -> str:
    plan = Plan.present(run.layout)
    if plan is None or plan.place is None or plan.is_at_home:
        return ""
    return f" This is a copy of {plan.place.path}: jobs of that are ended there."


def _how_to_end(owner: Owner) -> str:
    if owner.is_namesake:
        # Its number is somebody else's here.
        return f"end {owner} there; if it is gone, that is known {LEASE_SECONDS:.0f} s later"
    return f"end {owner} there: ssh {owner.host} kill {owner.pid}"


def _kill_jobs(run: Run) -> Killed:
    told = run.kill()
    for job in told.killed:
        print(f"{run.task.name}: killed {job}")
    for job in told.others:
        say(f"{run.task.name}: left {job} alone: it is another job, and the recorded one is gone")
    return told


def _say_what_is_left(task: TaskDef, told: Killed, arguments: Namespace) -> None:
    jobs = "; ".join(told.left)
    if arguments.forget:
        say(f"{task.name}: taken for gone, and not ended: {jobs}.")
        return
    command, forget = (
        suggestion(arguments, *words, task.name, command="kill") for words in ((), ("--forget",))
    )
    say(
        f"{task.name}: not ended: {jobs}. On {' and '.join(told.places)}, type: {command}. "
        f"If that is no more, and the jobs with it: {forget}"
    )


def _wait_until_gone(run: Run, *, left: bool, forget: bool) -> list[str]:
    """Return what is still at work after a while; what was killed needs time to write and end."""
    end, waiting = time.monotonic() + PATIENCE, pauses(0.1, LONGEST_PAUSE)
    killed = Plan.present(run.layout)
    while (found := run.lingering(left=left, forget=forget)) and time.monotonic() < end:
        if (present := Plan.present(run.layout)) and killed and present.run_id != killed.run_id:
            # The merge job was just continuing the plan with another one.
            killed = present
            _kill_jobs(run)
        time.sleep(next(waiting))
    return found
