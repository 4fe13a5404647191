"""``psy debug``: evaluate one item in the foreground, under the debugger. Keeps nothing."""

from __future__ import annotations

import bdb
import pdb
import shlex
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from psyflow.cli.output import FAILED, OK, say
from psyflow.cli.selection import for_each_task, take_task
from psyflow.cli.streams import as_they_are
from psyflow.cli.wanted import check_named, named_items
from psyflow.exceptions import Skip, StoreError
from psyflow.report.psets import pset_text, value_text
from psyflow.runs.debug import ItemCall
from psyflow.runs.run import Run
from psyflow.tasks import TaskDef
from psyflow.texts import exception_text, traceback_text
from psyflow.work.context import StopNow
from psyflow.work.rows import result_row

__all__ = ["execute"]


def execute(arguments: Namespace) -> int:
    """Evaluate an item of a task, and print its result row or debug what it raises."""
    take_task(arguments)
    check_named(arguments)
    return for_each_task(arguments, lambda task: _debug(task, arguments))


def _debug(task: TaskDef, arguments: Namespace) -> int:
    task.check_execute()
    assessment = Run(task).assess()
    item = named_items(arguments, assessment)[0]
    with tempfile.TemporaryDirectory(prefix="psyflow-debug-") as scratch:
        return _evaluate(ItemCall.of(assessment, item, Path(scratch)), item, arguments)


def _evaluate(call: ItemCall, item: int, arguments: Namespace) -> int:
    task = call.task
    say(f"{task.name}: item {item}: {pset_text(call.pset)}")
    if task.interpreter != [sys.executable]:
        elsewhere = shlex.join(task.interpreter)
        say(f"{task.name}: runs in {sys.executable}, where jobs would run in {elsewhere}.")
    try:
        with as_they_are():
            row = call(_step_through) if arguments.pdb else call()
    except bdb.BdbQuit:
        say(f"{task.name}: the debugger was left, so item {item} has no result.")
        return FAILED
    except Skip as reason:
        say(f"{task.name}: item {item} is skipped: {reason}".removesuffix(": "))
        return OK
    except StopNow:
        say(f"{task.name}: item {item} called ctx.stop(), so it has no result.")
        return FAILED
    except (Exception, SystemExit) as error:
        return _failed(task, item, error)
    print(f"{task.name}:")
    for name, value in row.items():
        print(f"  {name}: {value_text(value)}")
    return OK


class _Debugger(pdb.Pdb):
    """Tells whether it was left before the function came to its end."""

    was_left = False

    def set_quit(self) -> None:
        self.was_left = True
        super().set_quit()


def _step_through(function: Callable[..., Any], **arguments: Any) -> Any:
    debugger = _Debugger()
    returned = debugger.runcall(function, **arguments)
    if debugger.was_left:
        raise bdb.BdbQuit
    return returned


def _failed(task: TaskDef, item: int, error: BaseException) -> int:
    frames = _users_frames(error.__traceback__)
    if frames is None or isinstance(error, StoreError):
        # What is wrong is the result, and no code of the user's is there to look at.
        say(f"{task.name}: item {item} failed: {exception_text(error)}")
        return FAILED
    say(traceback_text(error, frames).rstrip())
    say(f'{task.name}: item {item} failed. The debugger is where it did; "q" leaves, "h" helps.')
    with as_they_are():
        pdb.post_mortem(frames)
    return FAILED


def _users_frames(frames: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the first line on that is neither psyflow's nor the debugger's."""
    callers = (_evaluate, ItemCall.__call__, result_row, bdb.Bdb.runcall)
    ours = [caller.__code__.co_filename for caller in callers]
    while frames and frames.tb_frame.f_code.co_filename in ours:
        frames = frames.tb_next
    return frames
