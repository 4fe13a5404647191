"""The words of ``psy failures``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_json, add_tasks, add_trust, add_where
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    add_tasks(parser, "all tasks")
    add_where(parser, "only failures of items")
    add_trust(parser)
    add_json(parser)


COMMAND = Command(
    summary="show what failed, and what it has in common",
    description="""\
Show the failures of items that have no result: grouped by the place in the code where
they happened, with the parameter values that are clearly more frequent among them
than among all items that ran, and an example with its traceback. Writes nothing.""",
    examples="""\
  psy failures
  psy failures --json circle""",
    acts=False,
    add_arguments=_add_arguments,
)
