"""``psy test``: try the first parameter set of tasks."""

from __future__ import annotations

from argparse import Namespace

from psyflow.cli.output import FAILED, OK, say
from psyflow.cli.selection import for_each_task
from psyflow.cli.wanted import part_of
from psyflow.record.wanted import EVERYTHING, Wanted
from psyflow.report.psets import value_text
from psyflow.runs.trial import try_task
from psyflow.tasks import TaskDef

__all__ = ["execute"]


def execute(arguments: Namespace) -> int:
    """Evaluate the first parameter set of each named task, or of all, and print the result row."""
    wanted = part_of(arguments) or EVERYTHING
    return for_each_task(arguments, lambda task: _test(task, wanted))


def _test(task: TaskDef, wanted: Wanted) -> int:
    trial = try_task(task, wanted)
    if trial.log:
        say(trial.log.rstrip())
    if trial.row is None and not trial.failures:
        say(f"{task.name}: the first parameter set was skipped, so there is no row.")
        return OK
    if trial.row is None:
        # The log has the tracebacks already.
        missing = [text for text in trial.failures if text not in trial.log]
        say("\n".join([*missing, f"{task.name}: the first parameter set failed."]))
        return FAILED
    print(f"{task.name}:")
    for name, value in trial.row.items():
        print(f"  {name}: {value_text(value)}")
    return OK
