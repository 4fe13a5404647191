"""The words of ``psy accept``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_dry_run, add_tasks, add_trust
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    add_tasks(parser, "nothing")
    add_trust(parser)
    add_dry_run(parser, "what would be accepted")


COMMAND = Command(
    summary="keep results although the code has changed",
    description="""\
Say that the results which are there are what the present code would give, so that
psy run computes only what is missing. Needs names; accepts nothing otherwise.
Prints what had changed.""",
    examples="""\
  psy accept circle
  psy accept -n circle     only show what has changed""",
    acts=True,
    add_arguments=_add_arguments,
)
