"""``psy accept``: keep results although the code, or a file that counts, has changed."""

from __future__ import annotations

from argparse import Namespace

from psyflow.cli.output import OK, say
from psyflow.cli.reading import without_bytecode
from psyflow.cli.selection import for_each_task, none_named, suggestion
from psyflow.exceptions import UsageError
from psyflow.record import refusals
from psyflow.runs.accept import accept
from psyflow.runs.run import Run
from psyflow.tasks import TaskDef

__all__ = ["execute"]

NOTHING = "nothing has changed, so there is nothing to accept."


def execute(arguments: Namespace) -> int:
    """Declare the results of the named tasks to be those of the present code."""
    if none_named(arguments):
        return OK
    if arguments.dry_run:
        with without_bytecode():
            return for_each_task(arguments, lambda task: _show(task, arguments))
    return for_each_task(arguments, _accept)


def _accept(task: TaskDef) -> int:
    accepted = accept(Run(task))
    for what in accepted:
        print(f"{task.name}: accepted {what}")
    if not accepted:
        say(f"{task.name}: {NOTHING}")
    return OK


def _show(task: TaskDef, arguments: Namespace) -> int:
    assessment = Run(task).assess()
    acceptable = assessment.acceptable
    if assessment.plan is None and not acceptable:
        raise UsageError(refusals.never_run(task))
    for what in acceptable:
        print(f"{task.name}: would accept {what}")
    if acceptable:
        say(f"{task.name}: nothing is accepted yet. Type: {suggestion(arguments, task.name)}")
    else:
        say(f"{task.name}: {NOTHING}")
    return OK
