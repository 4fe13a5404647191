"""Which items a command line wants."""

from __future__ import annotations

from argparse import Namespace

from psyflow.cli.selection import suggestion
from psyflow.exceptions import UsageError
from psyflow.record.assess import Assessment, Choice
from psyflow.record.wanted import Wanted

__all__ = [
    "about_unfulfilled",
    "check_named",
    "named_items",
    "part_of",
    "wanted_of",
]


def wanted_of(arguments: Namespace) -> Wanted:
    """Return which items `psy run` is to evaluate."""
    again = None if arguments.again is None else tuple(arguments.again)
    return Wanted(Choice(arguments.choice), tuple(arguments.where), arguments.limit, again)


def part_of(arguments: Namespace) -> Wanted | None:
    """Return which items a command that only looks is about; None if it is all."""
    return Wanted(where=tuple(arguments.where)) if arguments.where else None


def about_unfulfilled(wanted: Wanted, assessment: Assessment) -> str:
    """Say that no item at all fulfils the conditions that there are; nothing if one does."""
    if not wanted.where or len(wanted.of_all(assessment)):
        return ""
    return f"No item fulfils {' and '.join(wanted.where)}."


def check_named(arguments: Namespace) -> None:
    """Raise UsageError if items are not named in just one way, ``ITEM`` or ``--where``."""
    if arguments.where and arguments.item is not None:
        raise UsageError("Name an item by its number or by --where, and not by both.")
    if not arguments.where and arguments.item is None:
        from psyflow.runs.debug import FIRST_FAILED  # a run needs none of what that imports

        command = suggestion(arguments, arguments.task, FIRST_FAILED)
        raise UsageError(
            f"Which item? Name it by its number or by --where, or type, for example: {command}"
        )


def named_items(arguments: Namespace, assessment: Assessment) -> list[int]:
    """Return the items of a task that ``ITEM`` or ``--where`` names, at least one.

    Raises
    ------
    UsageError
        If there is none, or if not just one of both is given.
    """
    check_named(arguments)
    part = part_of(arguments)
    if part is None:
        from psyflow.runs.debug import item_number  # a run needs none of what that imports

        return [item_number(assessment, arguments.item)]
    items: list[int] = part.of_all(assessment).tolist()
    if not items:
        conditions = " and ".join(arguments.where)
        raise UsageError(f'No item of task "{assessment.task.name}" fulfils {conditions}.')
    return items
