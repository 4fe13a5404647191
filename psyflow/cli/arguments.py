"""Arguments that several commands take."""

from __future__ import annotations

from argparse import ArgumentParser

from psyflow.conventions import TASKDIR

__all__ = [
    "add_dry_run",
    "add_json",
    "add_one_task",
    "add_taskdir",
    "add_tasks",
    "add_trust",
    "add_verbose",
    "add_yes",
]


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
    """Add the name of one task, and where it is."""
    parser.add_argument("tasks", metavar="TASK", nargs=1, help="name of a task")
    add_taskdir(parser)


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
