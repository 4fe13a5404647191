"""Arguments that several commands take."""

from __future__ import annotations

from argparse import ArgumentParser, _ActionsContainer

from psyflow.cli.amounts import in_order, names, rows_at_most
from psyflow.conventions import TASKDIR

__all__ = [
    "FORMATS",
    "add_choice",
    "add_dry_run",
    "add_format",
    "add_host",
    "add_json",
    "add_one_task",
    "add_patterns",
    "add_result",
    "add_taskdir",
    "add_tasks",
    "add_trust",
    "add_verbose",
    "add_where",
    "add_yes",
]

_THE_ONLY_ONE = "the only one there is, if none is given"
FORMATS = ("table", "csv", "tsv", "json", "jsonl", "md", "tex")
"""How `psy show` and `psy query` print rows: see `psyflow.results.text.written`."""


def add_trust(parser: ArgumentParser) -> None:
    """Add ``--trust``."""
    text = "load whatever is in a run's folder, though that may run code of who wrote it"
    parser.add_argument("--trust", action="store_true", help=text)


def add_taskdir(parser: ArgumentParser) -> None:
    """Add ``--taskdir``."""
    parser.add_argument(
        "--taskdir",
        metavar="DIR",
        help=f"folder with the task files (default: {TASKDIR}, here or in a folder above)",
    )


def add_tasks(parser: ArgumentParser, otherwise: str) -> None:
    """Add names of tasks, and where these are; `otherwise` says what no name means."""
    parser.add_argument(
        "tasks",
        metavar="task",
        nargs="*",
        help=f'name of a task, or a pattern such as "fit_*"; {otherwise} if none is given',
    )
    add_taskdir(parser)


def add_one_task(parser: ArgumentParser) -> None:
    """Add the name of one task, and where it is; `take_task` says which, if none is given."""
    parser.add_argument("task", metavar="TASK", nargs="?", help=f"name of a task; {_THE_ONLY_ONE}")
    add_taskdir(parser)


def add_result(parser: ArgumentParser) -> None:
    """Add the task whose results are meant; `take_task` says which, if none is given."""
    text = "name of a task, the folder of a run, or a result file"
    parser.add_argument("task", metavar="TASK", nargs="?", help=f"{text}; {_THE_ONLY_ONE}")
    add_taskdir(parser)
    add_trust(parser)


def add_host(parser: ArgumentParser, folders: str) -> None:
    """Add a host, and what is copied to or from it; `folders` is the help of these."""
    host = "as for ssh; HOST:PATH if the study is not where it is here, from the home folder on"
    parser.add_argument("host", metavar="HOST", help=host)
    parser.add_argument("folders", metavar="FOLDER", nargs="*", help=folders)
    parser.add_argument(
        "--all",
        action="store_true",
        help="the whole study, which is the folder that psy is called in, but .git and .venv",
    )
    add_dry_run(parser, "what would be copied")


def add_where(parser: ArgumentParser, what: str = "only rows") -> None:
    """Add ``--where``, which chooses rows of a result, or `what`."""
    parser.add_argument(
        "--where",
        metavar="CONDITION",
        action="append",
        default=[],
        help=f"{what} for which this holds: a=2, 'b>0.5', mode!=slow; may be repeated",
    )


def add_patterns(parser: _ActionsContainer, text: str) -> None:
    """Add ``-p``, which names what is found in the outputs of programs; `text` is its help."""
    parser.add_argument(
        "-p",
        dest="patterns",
        nargs=2,
        metavar=("NAME", "REGEX"),
        action="append",
        default=[],
        help=text,
    )


def add_choice(parser: ArgumentParser, by: str) -> None:
    """Add what chooses rows and columns of a result; `by` says what groups are for."""
    add_where(parser)
    for option, kind, text in (
        ("--by", names, f"{by} for each value of these parameters, over all others"),
        ("--sort", in_order, "sort rows by these columns; -y from large to small"),
        ("--columns", names, "only these columns, in this order"),
    ):
        parser.add_argument(
            option, metavar="NAMES", action="extend", type=kind, default=[], help=text
        )
    parser.add_argument("--top", metavar="N", type=rows_at_most, help="only the first N rows")


def add_format(parser: ArgumentParser) -> None:
    """Add ``-f``, and ``--json``, which is one of its formats."""
    parser.add_argument(
        "-f",
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help="how rows are printed: table, for people; csv, tsv, json or jsonl, for programs; "
        "md or tex, for papers",
    )
    parser.add_argument(
        "--json", dest="format", action="store_const", const="json", help="the same as -f json"
    )


def add_dry_run(parser: ArgumentParser, otherwise: str) -> None:
    """Add ``-n``, which only shows `otherwise`."""
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help=f"only show {otherwise}; change nothing"
    )


def add_yes(parser: ArgumentParser) -> None:
    """Add ``-y``."""
    parser.add_argument(
        "-y", "--yes", action="store_true", help="do not ask, as psy does on a terminal"
    )


def add_json(parser: ArgumentParser, condition: str = "") -> None:
    """Add ``--json``; `condition` says with what it goes."""
    text = f"{condition}print one JSON document for programs"
    parser.add_argument("--json", action="store_true", help=text)


def add_verbose(parser: ArgumentParser, text: str) -> None:
    """Add ``-v``, of which `text` is the help."""
    parser.add_argument("-v", "--verbose", action="store_true", help=text)
