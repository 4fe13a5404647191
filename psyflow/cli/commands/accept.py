"""``psy accept``: keep results although the code has changed."""

from __future__ import annotations

from argparse import Namespace

from psyflow import refusals
from psyflow.cli.output import OK, say
from psyflow.cli.reading import without_bytecode
from psyflow.cli.selection import for_each_task, none_named, suggestion
from psyflow.exceptions import UsageError
from psyflow.run import Run
from psyflow.tasks import TaskDef

__all__ = ["execute"]


def execute(arguments: Namespace) -> int:
    """Declare the results of the named tasks to be those of the present code."""
    if none_named(arguments):
        return OK
    if arguments.dry_run:
        with without_bytecode():
            return for_each_task(arguments, lambda task: _show(task, arguments))
    return for_each_task(arguments, _accept)


def _accept(task: TaskDef) -> int:
    changes = Run(task).accept()
    for change in changes:
        print(f"{task.name}: accepted {change.describe()}")
    if not changes:
        say(f"{task.name}: nothing has changed, so there is nothing to accept.")
    return OK


def _show(task: TaskDef, arguments: Namespace) -> int:
    assessment = Run(task).assess()
    if assessment.plan is None:
        raise UsageError(refusals.never_run(task))
    for change in assessment.code_changes:
        print(f"{task.name}: would accept {change.describe()}")
    if assessment.code_changes:
        say(f"{task.name}: nothing is accepted yet. Type: {suggestion(arguments, task.name)}")
    else:
        say(f"{task.name}: nothing has changed, so there is nothing to accept.")
    return OK
