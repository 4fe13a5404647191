"""Which items a command line wants."""

from __future__ import annotations

from argparse import Namespace

from psyflow.record.assess import Choice
from psyflow.record.wanted import Wanted

__all__ = ["wanted_of"]


def wanted_of(arguments: Namespace) -> Wanted:
    """Return which items `psy run` is to evaluate."""
    again = None if arguments.again is None else tuple(arguments.again)
    return Wanted(Choice(arguments.choice), tuple(arguments.where), arguments.limit, again)
