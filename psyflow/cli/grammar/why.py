"""The words of ``psy why``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_json, add_tasks, add_trust, add_verbose
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    add_verbose(parser, "also show which code is watched, and what is not")
    add_tasks(parser, "all tasks")
    add_trust(parser)
    add_json(parser)


COMMAND = Command(
    summary="say why tasks are not up to date",
    description="""\
Say why each task is or is not up to date: which lines of its code changed since its
last run, how many items are new, failed or have not run, what psy run would do with the
old result, and what else to type. Writes nothing.""",
    examples="""\
  psy why circle
  psy why -v circle        which code counts
  psy why --json""",
    acts=False,
    add_arguments=_add_arguments,
)
