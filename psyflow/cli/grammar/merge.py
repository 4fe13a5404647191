"""The words of ``psy merge``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_trust
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", help="folder with result files, or of a run")
    parser.add_argument("merged", metavar="FILE", help="where to put all rows")
    parser.add_argument(
        "--replace", action="store_true", help="keep none of the rows that FILE has already"
    )
    add_trust(parser)


COMMAND = Command(
    summary="put result files together",
    description="""\
Put the rows of all result files in DIR together into FILE, below the rows it has.
Files with another extension than FILE's are left out; the others are taken in the
order of their names. If DIR is the folder of a run, its rows so far are taken in the
order of the parameter space, also while it is running.""",
    examples="""\
  psy merge old-results all.npz
  psy merge psy-work/circle so-far.h5""",
    acts=True,
    add_arguments=_add_arguments,
)
