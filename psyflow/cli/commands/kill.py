"""``psy kill``: end the jobs of tasks."""

from __future__ import annotations

from argparse import Namespace

from psyflow.cli.output import OK, say
from psyflow.cli.selection import for_each_task, none_named
from psyflow.run import Run
from psyflow.tasks import TaskDef

__all__ = ["execute"]


def execute(arguments: Namespace) -> int:
    """End the jobs of the named tasks, and print which they were."""
    return OK if none_named(arguments) else for_each_task(arguments, _kill)


def _kill(task: TaskDef) -> int:
    killed = Run(task).kill()
    for job in killed:
        print(f"{task.name}: killed {job}")
    if not killed:
        say(f"{task.name}: has no jobs at work.")
    return OK
