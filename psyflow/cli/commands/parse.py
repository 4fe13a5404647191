"""``psy parse``: the outputs of programs, read again; nothing runs."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from psyflow.cli.experiments.outputs import OutputTable
from psyflow.cli.experiments.taskfile import with_patterns
from psyflow.cli.output import FAILED, OK, say
from psyflow.cli.selection import for_each_task
from psyflow.command import Command
from psyflow.command.parse import Parse
from psyflow.exceptions import UsageError
from psyflow.messages import shown_path
from psyflow.record.ownership import writable
from psyflow.record.plan import Plan
from psyflow.runs.reparse import Reparsed, reparse
from psyflow.runs.run import Run
from psyflow.system.files import atomic_path
from psyflow.tasks import TaskDef

__all__ = ["execute"]

_SHOWN_TROUBLES = 10


def execute(arguments: Namespace) -> int:
    """Write a table of an experiment, or read the results of tasks anew."""
    if arguments.experiment is not None:
        if arguments.tasks:
            raise UsageError("Name a task, or a folder as -e FOLDER, but not both.")
        return _make_table(arguments)
    if arguments.patterns or arguments.breakers or arguments.output:
        raise UsageError(
            "-p, -n and -o go with -e FOLDER. What is read for a task is the parse of its Command."
        )
    if not arguments.tasks:
        raise UsageError("Name a task, or a folder: psy parse -e FOLDER -p NAME REGEX")
    return for_each_task(arguments, _read_anew)


def _make_table(arguments: Namespace) -> int:
    plan = _plan_in(Path(arguments.experiment))
    separator = "\t" if arguments.sep == "\\t" else arguments.sep
    if len(separator) != 1 or separator in '"\r\n':
        raise UsageError(f"--sep is one character, such as ; or \\t, not {separator!r}.")
    patterns = dict(arguments.patterns)
    if len(patterns) < len(arguments.patterns):
        raise UsageError("Two patterns have the same name.")
    if arguments.breakers and not patterns:
        raise UsageError("-n goes with patterns: -p NAME REGEX")
    parse = Parse(patterns, breaker=_either(arguments.breakers)) if patterns else None
    table = OutputTable(plan, parse)
    target = arguments.output or str(plan.layout.root / "output.csv")
    with _opened(target) as file:
        n_rows = table.write(file, separator)
    if target != "-":
        say(f"{shown_path(target)} has {n_rows} rows.")
    if table.n_gone:
        say(f"Of {table.n_gone} runs, nothing is kept that could be read.")
    return _into_results(plan, arguments) if patterns and not arguments.breakers else OK


def _either(patterns: Sequence[str]) -> str | None:
    """Return a pattern that matches what any of some patterns does; None for none."""
    for pattern in patterns:
        Parse({}, breaker=pattern)  # each of them is one
    return (
        "|".join(f"(?:{one})" for one in patterns) if len(patterns) > 1 else (*patterns, None)[0]
    )


def _plan_in(folder: Path) -> Plan:
    """Return the plan of a run's folder, or of the one run in a folder."""
    found = [plan for one in (folder, *sorted(folder.glob("*"))) if (plan := _plan_of(one))]
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}.")
    if not found:
        raise UsageError(f"{folder} is no folder of an experiment: nothing has run in it.")
    if len(found) > 1 and found[0].layout.root.absolute() != folder.absolute():
        names = ", ".join(shown_path(plan.layout.root) for plan in found)
        raise UsageError(f"{folder} has several experiments. Name one of them: {names}")
    return found[0]


def _plan_of(folder: Path) -> Plan | None:
    return Plan.read(folder / "plan.json") if (folder / "plan.json").is_file() else None


@contextlib.contextmanager
def _opened(target: str) -> Iterator[TextIO]:
    if target == "-":
        yield sys.stdout
        return
    if not Path(target).absolute().parent.is_dir():
        raise UsageError(f"There is no folder for {target}.")
    if Path(target).is_dir():
        raise UsageError(
            f"{target} is a folder. Name a file in it: -o {Path(target, 'output.csv')}"
        )
    with (
        writable(Path(target).absolute().parent, "Name a file in a folder of your own: -o FILE"),
        atomic_path(Path(target)) as temporary,
        temporary.open("w", newline="") as file,
    ):
        yield file


def _into_results(plan: Plan, arguments: Namespace) -> int:
    """Have the results say what the patterns find, and the task file as well."""
    path = Path(plan.task_file)
    if not path.is_file():
        say(f"{shown_path(path)} is gone, so the results stay as they were.")
        return OK
    patterns = dict(arguments.patterns)
    for name in patterns.keys() & set(plan.load_space().space.keys()):
        say(f'"{name}" is a variable, so what is found by that name is in the table alone.')
        del patterns[name]
    if not patterns:
        return OK
    if not with_patterns(path, patterns):
        say(
            f"{shown_path(path)} is not as psy exec wrote it, so the results stay as they were. "
            f"For these columns in them, put the patterns into its `parse`, and type: psy parse"
        )
        return OK
    arguments.tasks, arguments.taskdir = [plan.task], str(path.parent)
    return for_each_task(arguments, _read_anew)


def _read_anew(task: TaskDef) -> int:
    command = task.execute
    if not isinstance(command, Command):
        raise UsageError("its `execute` is no Command, so there are no outputs to read.")
    if command.parse is None:
        raise UsageError("its Command has no `parse`, so there is nothing to read.")
    parse = Parse.of(command.parse)
    done = reparse(Run(task), parse.of_folder, parse.reads)
    say(f"{task.name}: {_verdict(done)}")
    for item, trouble in list(done.troubles.items())[:_SHOWN_TROUBLES]:
        say(f"{task.name}: item {item}: {trouble}")
    return FAILED if done.troubles else OK


def _verdict(done: Reparsed) -> str:
    n_new = done.n_rows - done.n_gone - len(done.troubles)
    text = f"{n_new} of {done.n_rows} rows were read anew."
    if done.n_gone:
        text += f" {done.n_gone} are as they were, for nothing is kept of what they are from."
    if done.troubles:
        text += f" {len(done.troubles)} are as they were, for they cannot be read."
    return text
