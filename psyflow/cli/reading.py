"""What the commands have in common that only look: text for people, or one JSON document."""

from __future__ import annotations

import contextlib
import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from psyflow.cli.output import OK
from psyflow.cli.selection import for_each_task
from psyflow.system.reading import looked_again

if TYPE_CHECKING:
    from psyflow.tasks import TaskDef

__all__ = ["report_each", "without_bytecode"]


def report_each(
    arguments: Namespace,
    show: Callable[[TaskDef], None],
    as_json: Callable[[TaskDef], object],
    begin: Callable[[list[TaskDef]], None] = lambda tasks: None,
) -> int:
    """Call `show` for each named task, or print what `as_json` returns for all of them.

    `begin` is called before, with the tasks that load.

    Returns
    -------
    int
        The exit code.
    """
    reports: dict[str, object] = {}

    def report(task: TaskDef) -> int:
        if arguments.json:
            reports[task.name] = looked_again(lambda: as_json(task))
        else:
            show(task)
        return OK

    # A space may be computed by code that prints.
    quiet = contextlib.redirect_stdout(sys.stderr) if arguments.json else contextlib.nullcontext()
    with without_bytecode(), quiet:
        status = for_each_task(arguments, report, begin)
    if arguments.json:
        print(json.dumps(reports, indent=1))
    return status


@contextlib.contextmanager
def without_bytecode() -> Iterator[None]:
    """Keep Python from writing compiled modules beside what task files import."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
