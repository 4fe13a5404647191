"""``psy show``: the rows of a result. Writes nothing."""

from __future__ import annotations

from argparse import Namespace

from psyflow.cli.choosing import (
    choice_of,
    loaded,
    peeked,
    tell_aggregated,
    tell_origin,
    tell_without_rows,
)
from psyflow.cli.output import OK, say
from psyflow.cli.printing import MOST_ROWS, print_rows
from psyflow.cli.selection import take_task
from psyflow.results import Results
from psyflow.results.choice import REPEAT, Choice, Chosen
from psyflow.results.effects import effects

__all__ = ["execute"]


def execute(arguments: Namespace) -> int:
    """Print what is chosen of a result, and on stderr whose it is."""
    take_task(arguments)
    results, n_rows = _results(arguments)
    if not results.n_rows and (status := tell_without_rows(results, arguments)) != OK:
        return status
    chosen = _chosen(results, arguments)
    is_whole = arguments.all or arguments.top is not None
    print_rows(
        chosen,
        arguments.format,
        is_whole=is_whole,
        is_as_asked=bool(arguments.effects),
        n_rows=n_rows,
    )
    if not chosen.table.n_rows and results.n_rows:
        say(f"No row of {results.n_rows} fulfils {' and '.join(arguments.where)}.")
    if chosen.means:
        tell_aggregated(chosen, arguments)
    tell_origin(results, arguments, n_rows)
    return OK


def _results(arguments: Namespace) -> tuple[Results, int | None]:
    """Return the results, and how many rows they have if these are only some of them."""
    choice = choice_of(arguments)
    n_ends = choice.top
    if n_ends is None and arguments.format == "table" and not arguments.all:
        n_ends = MOST_ROWS // 2
    if n_ends is not None and choice.is_of_rows_as_they_are and not arguments.effects:
        results, n_rows = peeked(arguments, n_ends)
        if arguments.all or REPEAT not in results.parameters:
            return results, n_rows if n_rows > results.n_rows else None
    return loaded(arguments, lambda head: _needed(head, arguments)), None


def _needed(head: Results, arguments: Namespace) -> list[str] | None:
    choice = choice_of(arguments)
    if not arguments.effects:
        return choice.needed(head, over=_over(arguments))
    output = Choice(where=choice.where, columns=[arguments.effects, *head.parameters])
    return output.needed(head)


def _over(arguments: Namespace) -> list[str]:
    return [] if arguments.all else [REPEAT]


def _chosen(results: Results, arguments: Namespace) -> Chosen:
    choice = choice_of(arguments)
    if not arguments.effects:
        return choice.of(results, over=_over(arguments))
    found = effects(choice.rows_of(results), arguments.effects)
    for note in found.notes:
        say(note)
    return Chosen(found.table)
