"""The words of ``psy parse``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_patterns, add_taskdir, add_trust
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "tasks",
        metavar="task",
        nargs="*",
        help="name of a task with a Command: read its results anew, as its parse says now",
    )
    parser.add_argument(
        "-e",
        dest="experiment",
        metavar="FOLDER",
        help="folder of an experiment, or of any run of a Command, of which to write a table",
    )
    add_patterns(
        parser,
        "with -e: a column OUT_NAME, the first group of REGEX in what was printed; @float@, "
        "@int@, @slug@ and @str@ are words; the last match counts",
    )
    parser.add_argument(
        "-n",
        dest="breakers",
        metavar="REGEX",
        action="append",
        default=[],
        help="with -e: a line that matches ends a row, so that a run has several; may be repeated",
    )
    parser.add_argument(
        "--sep", default=",", metavar="SIGN", help="what separates columns (default: a comma)"
    )
    parser.add_argument(
        "-o",
        dest="output",
        metavar="FILE",
        help="with -e: the table, - for stdout (default: output.csv in FOLDER)",
    )
    add_taskdir(parser)
    add_trust(parser)


COMMAND = Command(
    summary="read the outputs of programs again, and make a table",
    description="""\
Read what programs have left, running nothing. With -e, write a CSV table of an experiment
of psy exec: its variables, what the patterns find, and when, where and how often each run
was. What the patterns find is then also in the results, for psyflow.load and psy commands.
With the name of a task, read its results anew, as the parse of its Command says by now.""",
    examples="""\
  psy parse -e out/quick_experiment -p ACC 'accuracy: (@float@)' -p N 'steps: (@int@)'
  psy parse -e out/quick_experiment -p LOSS 'loss (@float@)' -n '^epoch' -o losses.csv
  psy parse sim            the patterns in task_sim.py have changed""",
    acts=True,
    add_arguments=_add_arguments,
)
