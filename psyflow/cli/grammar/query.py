"""The words of ``psy query``."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.cli.arguments import add_format, add_taskdir, add_trust
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("sql", metavar="SQL", help="one statement that asks, in quotes")
    add_taskdir(parser)
    add_trust(parser)
    parser.add_argument("--all", action="store_true", help="every row of a long table")
    add_format(parser)


COMMAND = Command(
    summary="ask the results of all tasks in SQL",
    description="""\
Ask the results of all tasks in SQL, which DuckDB answers: each task is a table of its
name; odd names are put in double quotes. Only the columns that are named are read.
A query can read nothing else, and write nothing.""",
    examples="""\
  psy query 'SELECT a, avg(y) FROM lif GROUP BY a'
  psy query 'SELECT * FROM lif JOIN "other-task" USING (a)' -f csv
  psy query 'SUMMARIZE lif'""",
    acts=False,
    add_arguments=_add_arguments,
)
