"""``psy log``: what a task's jobs printed, or what there is about one item.

Writes nothing, but for a question to the job of a running item that `--stack` asks.
"""

from __future__ import annotations

import shutil
import sys
import time
from argparse import Namespace
from pathlib import Path

from psyflow.cli.output import OK, say, tell
from psyflow.cli.reading import without_bytecode
from psyflow.cli.selection import for_each_task, take_task
from psyflow.cli.wanted import named_items
from psyflow.command.packs import outputs
from psyflow.command.place import STDERR, STDOUT
from psyflow.exceptions import PsyflowError
from psyflow.messages import shown_path
from psyflow.record.assess import Assessment
from psyflow.record.attempts import FailedItem
from psyflow.record.layout import is_of_worker
from psyflow.record.usersfiles import of_users_files
from psyflow.report.failures import attempts_of
from psyflow.report.folded import folded
from psyflow.report.longrunning import long_runners
from psyflow.report.printed import printed_by_failure, printed_by_item
from psyflow.report.psets import pset_text
from psyflow.runs.run import Run
from psyflow.runs.stack import stack_of
from psyflow.tasks import TaskDef
from psyflow.work.context import Contexts

__all__ = ["execute"]

MOST_STACKS = 10
DEATHS = ("crash", "timeout")


def execute(arguments: Namespace) -> int:
    """Print the logs of a task, or what they and the shards say about an item."""
    take_task(arguments)
    with without_bytecode():
        return for_each_task(arguments, lambda task: _show(task, arguments))


def _show(task: TaskDef, arguments: Namespace) -> int:
    run = Run(task)
    if arguments.stack:
        _show_stack(run, arguments)
    elif arguments.item is None and not arguments.where:
        logs = run.layout.logs()
        for log in logs:
            print(f"==> {shown_path(log)} <==")
            if is_of_worker(log):
                _print_file(log)
            else:
                _print_folded(log, run)
        if not logs:
            say(f"{task.name}: has no logs.")
    else:
        assessment = run.assess()
        shown: dict[str, int] = {}
        for item in named_items(arguments, assessment):
            _show_item(task.name, assessment, item, shown)
    return OK


def _show_stack(run: Run, arguments: Namespace) -> None:
    """Show where in the code an item is that is running, or all that have been for a while."""
    assessment = run.assess()
    plan = assessment.plan
    runners = long_runners(plan) if plan is not None else []
    if arguments.item is not None or arguments.where:
        named = named_items(arguments, assessment)
        runners = [runner for runner in runners if runner.item in named]
        if not runners:
            what = f"Item {named[0]}" if len(named) == 1 else "Each of these items"
            raise PsyflowError(
                f"{what} is not running, or has not been for long: after some seconds, psy "
                "status names it, and --stack shows where it is."
            )
    if plan is None or not runners:
        say(f"{run.task.name}: no item has been running for some seconds.")
        return
    for runner in runners[:MOST_STACKS]:
        print(f"{run.task.name}: {runner} on {runner.host}")
        stack = stack_of(plan, runner.job, runner.item)
        if stack is None:
            say(f"Item {runner.item} has ended meanwhile.")
        elif not stack:
            say("Its process does not tell: the code it runs has taken the signal for itself.")
        else:
            print(of_users_files(stack, run.layout, run.task.path.parent), flush=True)


def _print_folded(log: Path, run: Run) -> None:
    """Print the log of a job, which says of each failed item with what."""
    folder = run.task.path.parent
    for text in folded(log, lambda text: of_users_files(text, run.layout, folder)):
        sys.stdout.write(text)


def _print_file(log: Path) -> None:
    sys.stdout.flush()
    # Logs may be longer than what fits into memory.
    if sys.stdout.isatty() or not hasattr(sys.stdout, "buffer"):
        with log.open(errors="replace", newline="") as file:
            shutil.copyfileobj(file, sys.stdout)
    else:
        with log.open("rb") as bytes_file:
            shutil.copyfileobj(bytes_file, sys.stdout.buffer)


def _show_item(name: str, assessment: Assessment, item: int, shown: dict[str, int]) -> None:
    """Show what there is about an item; `shown` has the tracebacks that others were shown with."""
    layout, recovered = assessment.layout, assessment.recovered
    tell(f"{name}: item {item}: {pset_text(assessment.space[item])}")
    for attempt in attempts_of(assessment, item):
        failure = attempt.failure
        folder = assessment.task.path.parent
        told = of_users_files(failure.traceback, layout, folder)
        # A traceback ends with its exception, and a stack does not say what happened.
        if not told or failure.kind in DEATHS:
            told = f"{failure.exception}\n{told}"
        if failure.traceback and shown.setdefault(failure.traceback, item) != item:
            told = f"{failure.exception}\n(with the traceback of item {shown[failure.traceback]})"
        tell(_heading(attempt))
        print(told.rstrip())
        if failure.log:
            printed = printed_by_failure(layout, failure)
            _print_printed(printed, is_in_log=printed is None and attempt.log.is_file())
        else:
            say("What it printed is not told apart from what other items did: see the whole log.")
    if recovered.table.piece_of[item] >= 0:
        print("=== done")
        printed = printed_by_item(layout, recovered, item)
        if not _print_outputs(assessment, item) or printed:
            _print_printed(printed)
    else:
        _print_outputs(assessment, item)


def _print_outputs(assessment: Assessment, item: int) -> bool:
    """Print what the programs of an item wrote, if it has run any; tell whether they wrote."""
    has_written = False
    root = assessment.layout.psets
    folder = Contexts(root, "", assessment.task.defaults).folder(assessment.space, item)
    with outputs(root, folder.name) as found:
        for name in (STDOUT, STDERR):
            if found is not None and (found / name).is_file() and (found / name).stat().st_size:
                where = "packed" if found != folder else shown_path(found / name)
                print(f"=== {name} of the program, {where}:")
                _print_file(found / name)
                has_written = True
    return has_written


def _heading(attempt: FailedItem) -> str:
    failure = attempt.failure
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(failure.start))
    return (
        f"=== {when} attempt {failure.attempt}: {failure.kind} after {failure.duration:.3g} s, "
        f"process {failure.pid} on {failure.host}, log {shown_path(attempt.log)}"
    )


def _print_printed(text: str | None, is_in_log: bool = False) -> None:
    if text:
        print(f"=== printed:\n{text.rstrip()}")
    elif is_in_log:
        # Of an item whose process died, nobody has noted how far the log had come.
        say("What it printed is in that log, among what other items did.")
    else:
        say("It printed nothing." if text == "" else "What it printed is not there any more.")
