"""The words of ``psy status``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_json, add_tasks, add_trust, add_verbose, add_where
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    add_tasks(parser, "all tasks")
    add_where(parser, "also how many items are done")
    add_verbose(parser, "also show missing and queued parameter sets, and failures")
    add_trust(parser)
    add_json(parser)


COMMAND = Command(
    summary="show how much is done",
    description="""\
Show how many items of each task are done, and why it is not up to date.
Writes nothing, and may be asked at any time.""",
    examples="""\
  psy status
  psy status -v circle     with the missing parameter sets
  psy status circle --where radius=0.5
  psy status --json""",
    acts=False,
    add_arguments=_add_arguments,
)
