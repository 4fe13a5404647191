"""``psy list``: the names of the tasks."""

from __future__ import annotations

from argparse import Namespace

from psyflow.cli.output import OK
from psyflow.tasks import PackageLoader

__all__ = ["execute"]


def execute(arguments: Namespace) -> int:
    """Print the name of each task on a line of its own."""
    for name in PackageLoader(arguments.taskdir).names():
        print(name)
    return OK
