"""``psy clean``: remove what tasks have made."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from psyflow.cli.output import OK, first_lines, is_confirmed, say
from psyflow.cli.reading import without_bytecode
from psyflow.cli.selection import for_each_task, none_named
from psyflow.exceptions import PsyflowError
from psyflow.messages import counted, shown_path
from psyflow.runs.clear import clear, generated, refuse_if_alive
from psyflow.runs.run import Run
from psyflow.tasks import TaskDef

__all__ = ["execute"]


def execute(arguments: Namespace) -> int:
    """Remove what the named tasks have made, and print what it was."""
    if none_named(arguments):
        return OK
    if arguments.dry_run:
        with without_bytecode():
            return for_each_task(arguments, _show)
    return for_each_task(arguments, lambda task: _clean(task, arguments))


def _show(task: TaskDef) -> int:
    run = Run(task)
    refuse_if_alive(run)
    made = generated(run.layout)
    for path in made:
        print(f"{task.name}: would remove {shown_path(path)}")
    if not made:
        say(f"{task.name}: nothing to remove.")
    return OK


def _clean(task: TaskDef, arguments: Namespace) -> int:
    run = Run(task)
    refuse_if_alive(run)
    made = generated(run.layout)
    if made and not is_confirmed(_question(run, made), arguments):
        say(f"{task.name}: nothing was removed.")
        return OK
    removed = clear(run)
    for path in removed:
        print(f"{task.name}: removed {shown_path(path)}")
    if not removed:
        say(f"{task.name}: nothing to remove.")
    return OK


def _question(run: Run, made: list[Path]) -> str:
    paths = "\n".join(first_lines((f"  {shown_path(path)}" for path in made), len(made)))
    return f"{paths}\n{run.task.name}: remove this for good{_with_what(run)}?"


def _with_what(run: Run) -> str:
    """Say what of it would have to be computed again."""
    n_rows, n_archived = _n_rows(run), len(run.layout.archived())
    lost = [counted(n_rows, "row")] * bool(n_rows)
    lost += [f"{counted(n_archived, 'run')} in the archive"] * bool(n_archived)
    return f", with {' and '.join(lost)}" if lost else ""


def _n_rows(run: Run) -> int:
    try:
        return run.assess().n_done
    except PsyflowError:
        return 0  # what cannot be read may be cleaned all the more
