"""The words of ``psy restore``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_dry_run, add_json, add_one_task, add_trust
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    add_one_task(parser)
    text = "name of a run in the archive, or its beginning; all are listed if none is given"
    parser.add_argument("run", metavar="RUN", nargs="?", help=text)
    add_trust(parser)
    add_dry_run(parser, "what would be moved")
    add_json(parser, "without RUN: ")


COMMAND = Command(
    summary="put results from the archive back",
    description="""\
List the runs in the archive of a task: when they began, how many rows they have, of
which code, and why they are there. With RUN, put that one back; what is there now goes
into the archive, so nothing is lost. If the code has changed since, the rows are
outdated, and psy accept keeps them. psy run takes up by itself what the archive has
of the present code.""",
    examples="""\
  psy restore circle                     what there is
  psy restore circle 20261128T09         the run whose name begins so
  psy restore -n circle 20261128T09      only show what would be moved""",
    acts=True,
    add_arguments=_add_arguments,
)
