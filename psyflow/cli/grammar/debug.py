"""The words of ``psy debug``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_one_task, add_trust, add_where
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    add_one_task(parser)
    parser.add_argument(
        "item", metavar="ITEM", nargs="?", help='number of an item, or "first-failed"'
    )
    add_where(parser, "instead of ITEM: the first one")
    parser.add_argument(
        "--pdb", action="store_true", help="stop in the debugger where execute begins"
    )
    add_trust(parser)


COMMAND = Command(
    summary="run one item under the debugger",
    description="""\
Evaluate one item in the foreground, setup included. If it raises, Python's debugger
opens where it did; if not, the result row is printed. Keeps nothing.""",
    examples="""\
  psy debug circle 7
  psy debug circle first-failed
  psy debug circle --where radius=0.5
  psy debug --pdb circle 7     step through execute from its first line""",
    acts=False,
    add_arguments=_add_arguments,
)
