"""The words of ``psy test``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_tasks, add_where
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    add_tasks(parser, "all tasks")
    add_where(parser, "the first parameter set")


COMMAND = Command(
    summary="try the first parameter set of tasks",
    description="""\
Evaluate the first parameter set of each task as a worker would, setup included, and
print the result row. Runs on this machine, whatever the task's scheduler is, and keeps
nothing.""",
    examples="""\
  psy test circle
  psy test circle --where radius=0.5""",
    acts=False,
    add_arguments=_add_arguments,
)
