"""The words of ``psy new-task``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_taskdir
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the new task")
    parser.add_argument(
        "-s",
        "--scheduler",
        metavar="SCHED",
        help="scheduler to prepare the file for: slurm, sqsub, …, or package.module.Class",
    )
    add_taskdir(parser)


COMMAND = Command(
    summary="write a new task file",
    description="Write a task file that runs as it is, to be edited. Never replaces a file.",
    examples="""\
  psy new-task circle
  psy new-task -s slurm circle""",
    acts=True,
    add_arguments=_add_arguments,
)
