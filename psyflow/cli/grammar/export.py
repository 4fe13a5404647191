"""The words of ``psy export``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_choice, add_result
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    add_result(parser)
    parser.add_argument(
        "file", metavar="FILE", nargs="?", help="where to write; its extension names the format"
    )
    add_choice(parser, "a row of means and their spread")


COMMAND = Command(
    summary="write a result to a file for other programs",
    description="""\
Write what there is of a task's results, all rows or those that are chosen, to a file that
other programs read: .csv .tsv .json .jsonl .md .tex .parquet .arrow .nc .h5 .npz or .pkl.
The file is written whole or not at all, and replaced if there is one; files of a run are
never. What a format cannot hold is named, and then nothing is written.""",
    examples="""\
  psy export lif lif.csv
  psy export lif fast.parquet --where mode=fast
  psy export lif means.tex --by a --columns a,y""",
    acts=True,
    add_arguments=_add_arguments,
)
