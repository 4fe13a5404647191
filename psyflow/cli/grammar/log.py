"""The words of ``psy log``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_one_task, add_trust, add_where
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    add_one_task(parser)
    parser.add_argument(
        "item",
        metavar="ITEM",
        nargs="?",
        help='number of an item, or "first-failed"; the whole logs if none is given',
    )
    add_where(parser, "instead of ITEM: the items")
    parser.add_argument(
        "--stack",
        action="store_true",
        help="show where in the code the item, which is running, is now",
    )
    add_trust(parser)


COMMAND = Command(
    summary="show what a task or an item printed",
    description="""\
Print the logs of a task's jobs, in the order of its steps. With an item: its failures,
and what the log says about them. Items are numbered from 0 in the order of the
parameter space. With --stack: where in the code a running item is; its job is asked,
on whatever host it is, and goes on.""",
    examples="""\
  psy log circle
  psy log circle 7
  psy log circle first-failed
  psy log circle 7 --stack
  psy log circle --where radius=0.5""",
    acts=False,
    add_arguments=_add_arguments,
)
