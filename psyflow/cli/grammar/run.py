"""The words of ``psy run``."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser

from psyflow.cli.amounts import items, items_at_most, pool_size
from psyflow.cli.arguments import add_dry_run, add_json, add_tasks, add_trust, add_where
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]


def _add_arguments(parser: ArgumentParser) -> None:
    add_tasks(parser, "all tasks")
    parser.add_argument(
        "-c",
        "--continue",
        dest="keep",
        action="store_true",
        help="keep existing results although the code has changed, and add what is missing",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        dest="pool_size",
        metavar="N",
        type=pool_size,
        help='workers per job, instead of the task\'s pool_size; "auto": as many as CPUs',
    )
    choice = parser.add_mutually_exclusive_group()
    for name, text in (
        ("failed", "run only the items that failed, and leave alone those that have not run"),
        ("todo", "run only the items that have not run, and leave alone those that failed"),
    ):
        choice.add_argument(
            f"--{name}", dest="choice", action="store_const", const=name, default="all", help=text
        )
    # Its name until "missing" came to mean only one thing: without a result, failed or not.
    choice.add_argument(
        "--missing", dest="choice", action="store_const", const="todo", help=SUPPRESS
    )
    add_where(parser, "only items")
    parser.add_argument(
        "--limit", metavar="N", type=items_at_most, help="only the first N of these items"
    )
    parser.add_argument(
        "--again",
        metavar="ITEM",
        nargs="*",
        type=items,
        help="compute these items anew, and no others, although they have results: 7 or 10-12, or "
        "none to go by --where alone. The old results go to the archive",
    )
    parser.add_argument(
        "--fail-fast",
        action="store_true",
        help="stop at the first item that fails, like max_failures = 1 in the task file",
    )
    parser.add_argument(
        "--wait",
        action="store_true",
        help="wait until the jobs that a scheduler runs are over, and say how it went",
    )
    add_trust(parser)
    add_dry_run(parser, "what would run, why, and how it would be submitted")
    add_json(parser, "with -n: ")


COMMAND = Command(
    summary="bring tasks up to date",
    description="""\
Bring tasks up to date: compute the parameter sets that have no result yet, and merge
all rows into the result file. Each step is one line: . if it is executed, -- if it is
up to date. If the code of a task has changed, its results are put into its archive
folder and computed anew, unless -c is given. A run that was interrupted, or in which
items failed, goes on where it was when psy run is typed again.""",
    examples="""\
  psy run                  all tasks
  psy run circle 'fit_*'   some of them, in this order
  psy run -n circle        only show what would run, and why
  psy run -c circle        keep results of older code
  psy run -c --failed      mended the code? run what failed, keep the other results
  psy run lif --where a=2 --where 'b>0.5' --limit 10
                           some of the items without a result
  psy run lif --again 7    compute item 7 anew
  psy run -j 4             four workers per job
  psy run --wait circle    with a cluster: return when the jobs are over""",
    acts=True,
    add_arguments=_add_arguments,
)
