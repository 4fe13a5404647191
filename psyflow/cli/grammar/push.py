"""The words of ``psy push``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_host
from psyflow.cli.grammar import Command
from psyflow.conventions import CALC_DIR

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    add_host(parser, f"what is copied, within the study; {CALC_DIR} if none is given")


COMMAND = Command(
    summary="copy the results of a study to another host",
    description="""\
Copy the folder calc to another host, by rsync, so that its jobs can be submitted there:
results only, unless --all is given. Files that are newer where they would be replaced stay
as they are. Rows that only the database there has are added to the one here.""",
    examples="""\
  psy push -n cluster                  only show what would be copied
  psy push cluster                     calc/, to the same place there
  psy push me@host:/scratch/me/study""",
    acts=True,
    add_arguments=_add_arguments,
)
