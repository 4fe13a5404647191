"""``psy log``: what a task's jobs printed, or what there is about one item. Writes nothing."""

from __future__ import annotations

import shutil
import sys
import time
from argparse import Namespace
from pathlib import Path

from psyflow.assess import Assessment
from psyflow.cli.output import OK, say, shown_path
from psyflow.cli.psets import pset_text
from psyflow.cli.reading import without_bytecode
from psyflow.cli.selection import for_each_task
from psyflow.debug import item_number
from psyflow.failures import FailedItem, attempts_of
from psyflow.logs import job_logs, printed_at
from psyflow.run import Run
from psyflow.tasks import TaskDef

__all__ = ["execute"]


def execute(arguments: Namespace) -> int:
    """Print the logs of a task, or what they and the shards say about an item."""
    with without_bytecode():
        return for_each_task(arguments, lambda task: _show(task, arguments.item))


def _show(task: TaskDef, item: str | None) -> int:
    run = Run(task)
    if item is None:
        logs = job_logs(run.layout)
        for log in logs:
            _print_log(log)
        if not logs:
            say(f"{task.name}: has no logs.")
    else:
        assessment = run.assess()
        _show_item(task.name, assessment, item_number(assessment, item))
    return OK


def _print_log(log: Path) -> None:
    print(f"==> {shown_path(log)} <==", flush=True)
    with log.open(errors="replace") as file:
        # Logs may be longer than what fits into memory.
        shutil.copyfileobj(file, sys.stdout)


def _show_item(name: str, assessment: Assessment, item: int) -> None:
    attempts = attempts_of(assessment, item)
    if not attempts:
        say(f"{name}: no failure of item {item} is on record.")
        return
    print(f"{name}: item {item}: {pset_text(assessment.space[item])}")
    for attempt in attempts:
        _print_attempt(attempt)


def _print_attempt(attempt: FailedItem) -> None:
    failure, printed = attempt.failure, printed_at(attempt)
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(failure.start))
    print(f"  {failure.kind}, attempt {failure.attempt}, began {when}, {failure.duration:.3g} s")
    print(f"  process {failure.pid} on {failure.host}")
    if printed is None:
        print(f"  {failure.exception}\n{failure.traceback}".rstrip())
    else:
        print(f"  {shown_path(printed.log)}, line {printed.line}:\n{printed.text}")
