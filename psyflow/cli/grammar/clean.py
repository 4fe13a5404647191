"""The words of ``psy clean``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_dry_run, add_tasks, add_yes
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    add_tasks(parser, "nothing")
    add_dry_run(parser, "what would be removed")
    add_yes(parser)


COMMAND = Command(
    summary="remove what tasks have made",
    description="""\
Remove everything that psyflow made for the tasks: results, logs, archive. Needs names;
removes nothing otherwise. Prints what was removed.""",
    examples="""\
  psy clean circle
  psy clean -n circle      only show what would be removed
  psy clean '*'            all tasks""",
    acts=True,
    add_arguments=_add_arguments,
)
