"""The words of ``psy kill``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_tasks, add_yes
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    add_tasks(parser, "nothing")
    add_yes(parser)
    text = "take jobs that cannot be ended from here for gone, if their cluster is"
    parser.add_argument("--forget", action="store_true", help=text)


COMMAND = Command(
    summary="end the jobs of tasks",
    description="""\
End the queued and running jobs of the tasks, and nobody else's, and wait until they
are gone. Finished items are kept. Needs names; ends nothing otherwise.""",
    examples="""\
  psy kill circle
  psy kill -y 'fit_*'      without being asked""",
    acts=True,
    add_arguments=_add_arguments,
)
