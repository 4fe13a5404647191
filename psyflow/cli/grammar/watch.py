"""The words of ``psy watch``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.amounts import seconds
from psyflow.cli.arguments import add_tasks, add_trust
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    add_tasks(parser, "all tasks")
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        type=seconds,
        default=2.0,
        help="how often to look (default: %(default)g)",
    )
    add_trust(parser)


COMMAND = Command(
    summary="watch tasks and their jobs",
    description="""\
Show how far tasks and their jobs are, until no job is at work any more. Only looks,
and may be closed at any time. The cluster is asked every ten seconds, and less and
less often.""",
    examples="""\
  psy watch
  psy watch --interval 10 circle""",
    acts=False,
    add_arguments=_add_arguments,
)
