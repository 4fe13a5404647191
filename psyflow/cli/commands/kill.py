"""``psy kill``: end the jobs of tasks, and see to it that they are gone."""

from __future__ import annotations

import sys
import time
from argparse import Namespace

from psyflow.cli.output import OK, TROUBLE, say
from psyflow.cli.selection import for_each_task, none_named, suggestion
from psyflow.cli.waiting import pauses
from psyflow.plan import Plan
from psyflow.run import Run
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
        say(f"{task.name}: has no jobs at work.")
        return OK
    if not arguments.yes and sys.stdin.isatty() and not _confirmed(task, alive):
        say(f"{task.name}: nothing was ended.")
        return OK
    _kill_jobs(run)
    if left := _wait_until_gone(run):
        command = suggestion(arguments, task.name, command="status")
        say(f"{task.name}: still at work: {', '.join(left)}. Look again with: {command}")
        for owner in run.jobs.elsewhere():
            say(f"{task.name}: end {owner} there: ssh {owner.host} kill {owner.pid}")
        return TROUBLE
    return OK


def _kill_jobs(run: Run) -> None:
    for job in run.kill():
        print(f"{run.task.name}: killed {job}")


def _confirmed(task: TaskDef, alive: list[str]) -> bool:
    print(f"{task.name}: end {', '.join(alive)}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _wait_until_gone(run: Run) -> list[str]:
    """Return what is still at work after a while; what was killed needs time to write and end."""
    end, waiting = time.monotonic() + PATIENCE, pauses(0.1, LONGEST_PAUSE)
    killed = Plan.present(run.layout)
    while (left := run.lingering()) and time.monotonic() < end:
        if (present := Plan.present(run.layout)) and killed and present.run_id != killed.run_id:
            # The merge job was just continuing the plan with another one.
            killed = present
            _kill_jobs(run)
        time.sleep(next(waiting))
    return left
