"""``psy restore``: what is in the archive of a task, and putting it back."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict

from psyflow.cli.output import OK, first_lines, say
from psyflow.cli.reading import report_each, without_bytecode
from psyflow.cli.selection import for_each_task, suggestion, take_task
from psyflow.exceptions import UsageError
from psyflow.messages import shown_path
from psyflow.record.assess import Assessment
from psyflow.runs.archive import archive_of, replaceable
from psyflow.runs.preview import RUN_ID
from psyflow.runs.restore import Shelved, check_restorable, in_archive, restore, shelved
from psyflow.runs.run import Run
from psyflow.tasks import TaskDef

__all__ = ["execute"]


def execute(arguments: Namespace) -> int:
    """List what is in the archive of a task, or put one run of it back."""
    take_task(arguments)
    if arguments.run is None:
        return report_each(arguments, lambda task: _list(task, arguments), _as_json)
    if arguments.json:
        raise UsageError("--json lists what is in the archive, so no run is to be named with it.")
    if arguments.dry_run:
        with without_bytecode():
            return for_each_task(arguments, lambda task: _show(task, arguments))
    return for_each_task(arguments, lambda task: _restore(task, arguments))


def _list(task: TaskDef, arguments: Namespace) -> None:
    found = shelved(Run(task))
    if not found:
        say(f"{task.name}: nothing is in the archive.")
        return
    print(f"{task.name}:")
    for run in found:
        print("\n".join(_lines(run)))
    command = suggestion(arguments, task.name, found[0].name)
    say(f"{task.name}: to put one back, name it: {command}")


def _lines(run: Shelved) -> Iterator[str]:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.time))
    rows = "rows unknown" if run.n_rows is None else f"{run.n_rows} of {run.n_items} rows"
    commit = f", commit {run.commit[:10]}" if run.commit else ""
    yield f"  {run.name}  {when}  {rows}, {_about_code(run)}{commit}"
    if run.why:
        yield from (f"    archived: {why}" for why in first_lines(run.why, len(run.why)))
    if run.problem:
        yield f"    {run.problem}"


def _about_code(run: Shelved) -> str:
    if run.is_present_code is None:
        return "of unknown code"
    return "of the present code" if run.is_present_code else "of other code"


def _as_json(task: TaskDef) -> object:
    runs = [asdict(run) | {"folder": str(run.folder)} for run in shelved(Run(task))]
    return {"runs": runs}


def _show(task: TaskDef, arguments: Namespace) -> int:
    run = Run(task)
    archived = in_archive(run, arguments.run)
    check_restorable(run, archived)
    assessment = run.assess()
    paths = replaceable(assessment, is_whole=True)
    if paths:
        folder = shown_path(archive_of(assessment, RUN_ID, paths))
        print(f"{task.name}: would put {', '.join(path.name for path in paths)} into {folder}")
    print(f"{task.name}: would restore {shown_path(archived.root)}")
    there = Assessment(task, layout=archived)
    say(f"{task.name}: nothing is restored yet. {_what_it_is(there, arguments)}")
    return OK


def _restore(task: TaskDef, arguments: Namespace) -> int:
    run = Run(task)
    restored = restore(run, in_archive(run, arguments.run))
    print(f"{task.name}: restored {shown_path(restored.archived)}")
    if restored.aside is not None:
        say(f"{task.name}: what was there is in {shown_path(restored.aside)} now.")
    say(f"{task.name}: {_what_it_is(restored.now, arguments)}")
    return OK


def _what_it_is(there: Assessment, arguments: Namespace) -> str:
    """Say whether results are those of the task as it is, and what to type if not."""
    name = there.task.name
    number = f"It has {there.n_done} of {there.n_items} rows"
    if not there.dirt:
        command = suggestion(arguments, name, command="run")
        return f"{number}." if not there.reasons() else f"{number}. Bring it up to date: {command}"
    first, *others = there.dirt
    more = f" (and {len(others)} more)" if others else ""
    keep = suggestion(arguments, name, command="accept")
    return (
        f"{number}, of other code: {first}{more}. psy run would put it into the archive again. "
        f"To keep it: {keep}"
    )
