"""The words of ``psy test``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_tasks
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    add_tasks(parser, "all tasks")


COMMAND = Command(
    summary="try the first parameter set of tasks",
    description="""\
Evaluate the first parameter set of each task as a worker would, setup included, and
print the result row. Runs on this machine, whatever the task's scheduler is, and keeps
nothing.""",
    examples="  psy test circle",
    acts=False,
    add_arguments=_add_arguments,
)
