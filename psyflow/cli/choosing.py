"""What the commands have in common that read a result: what is chosen of it, and whose it is."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence

from psyflow.cli.output import FAILED, OK, say
from psyflow.cli.reading import without_bytecode
from psyflow.cli.selection import suggestion
from psyflow.exceptions import UsageError
from psyflow.results import Results, load
from psyflow.results.choice import Choice, Chosen
from psyflow.results.loading import peek
from psyflow.results.origins import run_and_commit

__all__ = [
    "choice_of",
    "loaded",
    "looking",
    "peeked",
    "tell_aggregated",
    "tell_origin",
    "tell_without_rows",
]

_MOST_NAMED = 8


def choice_of(arguments: Namespace) -> Choice:
    """Return which rows and columns a command line wants."""
    return Choice(
        where=arguments.where,
        by=arguments.by,
        sort=arguments.sort,
        top=arguments.top,
        columns=arguments.columns,
    )


def loaded(arguments: Namespace, needed: Callable[[Results], list[str] | None]) -> Results:
    """Load the results that a command line names.

    Parameters
    ----------
    arguments : Namespace
    needed : callable
        Given a few rows, returns the names of the columns that are needed; None if all are.
    """
    head, n_rows = peeked(arguments, 1)
    if head.n_rows == n_rows:
        return head  # not every store can read less than all
    columns = needed(head)
    with looking():
        return load(arguments.task, arguments.taskdir, columns=columns, trust=arguments.trust)


def peeked(arguments: Namespace, n_ends: int) -> tuple[Results, int]:
    """Load so many of the first and of the last rows; return how many there are, too."""
    with looking():
        return peek(arguments.task, arguments.taskdir, n_ends=n_ends, trust=arguments.trust)


@contextlib.contextmanager
def looking() -> Iterator[None]:
    """Have task files that run for a moment print nothing on stdout, and leave nothing behind."""
    with without_bytecode(), contextlib.redirect_stdout(sys.stderr):
        yield


def tell_origin(results: Results, arguments: Namespace, n_rows: int | None = None) -> None:
    """Say how many rows are done, of which run, made with which commit.

    Parameters
    ----------
    results : Results
    arguments : Namespace
    n_rows : int, optional
        How many rows there are, if these are only some of them.
    """
    if results.run is None:
        n_there = results.n_rows if n_rows is None else n_rows
        say(f"{arguments.task}: {n_there} rows; nobody knows of which run.")
        return
    made = run_and_commit(results.run, results.provenance)
    say(f"{results.task}: {results.n_done} of {results.n_items} items done; {made}.")


def tell_aggregated(chosen: Chosen, arguments: Namespace) -> None:
    """Say over what the rows are means, and which outputs have none."""
    over = _named(chosen.over)
    hint = "" if arguments.by else " For every row: --all."
    say(f"Means and 95 % confidence intervals over {over}.{hint}")
    if chosen.left_out:
        say(f"Without a mean, so left out: {_named(chosen.left_out)}.")


def tell_without_rows(results: Results, arguments: Namespace) -> int:
    """Say why a result has no rows, and return the exit code.

    Raises
    ------
    UsageError
        If that is because nothing is done yet.
    """
    if results.run is None or results.n_items == 0:
        say(f"{arguments.task}: it has no rows, and none is missing.")
        return OK
    name = str(results.task)
    n_failed = results.failures.n_rows
    if not n_failed:
        see = suggestion(arguments, name, command="status")
        raise UsageError(
            f'Task "{name}" has no rows yet: 0 of {results.n_items} items are done. Follow: {see}'
        )
    see = suggestion(arguments, name, command="failures")
    say(f"{name}: no rows; {n_failed} of {results.n_items} items failed. See them: {see}")
    return FAILED


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown or "all rows"
