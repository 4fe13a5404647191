"""The words of ``psy show``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_choice, add_format, add_result
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    add_result(parser)
    add_choice(parser, "means and their spread")
    parser.add_argument(
        "--all", action="store_true", help="every row: no means over repetitions, nothing left out"
    )
    parser.add_argument(
        "--effects",
        metavar="Y",
        help="the share of the variance of output Y that parameters explain, alone and in pairs",
    )
    add_format(parser)


COMMAND = Command(
    summary="show the rows of a result",
    description="""\
Show what there is of a task's results, also while it runs: the first and the last rows,
in columns that fit the terminal. What is the same in all rows is said once. If there are
repetitions (a parameter "repeat"), their means are shown, with 95 % confidence intervals;
--by names the parameters that tell groups apart instead. Writes nothing.""",
    examples="""\
  psy show lif
  psy show lif --where a=2 --where 'b>0.5' --sort -y --top 10
  psy show lif --by a,b        means over all other parameters
  psy show lif --effects y     what does y depend on?
  psy show lif --columns a,y -f csv --all > lif.csv
  psy show psy-work/lif        the folder of a run, wherever it is""",
    acts=False,
    add_arguments=_add_arguments,
)
