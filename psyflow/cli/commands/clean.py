"""``psy clean``: remove what tasks have made."""

from __future__ import annotations

from argparse import Namespace

from psyflow.clearing import clear, generated, refuse_if_alive
from psyflow.cli.output import OK, say, shown_path
from psyflow.cli.reading import without_bytecode
from psyflow.cli.selection import for_each_task, none_named
from psyflow.run import Run
from psyflow.tasks import TaskDef

__all__ = ["execute"]


def execute(arguments: Namespace) -> int:
    """Remove what the named tasks have made, and print what it was."""
    if none_named(arguments):
        return OK
    if arguments.dry_run:
        with without_bytecode():
            return for_each_task(arguments, _show)
    return for_each_task(arguments, _clean)


def _show(task: TaskDef) -> int:
    run = Run(task)
    refuse_if_alive(run)
    made = generated(run.layout)
    for path in made:
        print(f"{task.name}: would remove {shown_path(path)}")
    if not made:
        say(f"{task.name}: nothing to remove.")
    return OK


def _clean(task: TaskDef) -> int:
    removed = clear(Run(task))
    for path in removed:
        print(f"{task.name}: removed {shown_path(path)}")
    if not removed:
        say(f"{task.name}: nothing to remove.")
    return OK
