"""``psy list``: the names of the tasks."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace

from psyflow.cli.output import OK
from psyflow.tasks import PackageLoader

__all__ = ["execute"]


def execute(arguments: Namespace) -> int:
    """Print the name of each task on a line of its own."""
    # What a task file prints that is run for its name is no name.
    with contextlib.redirect_stdout(sys.stderr):
        names = PackageLoader(arguments.taskdir).names()
    for name in names:
        print(name)
    return OK
