"""``psy push``: results of a study, to another host."""

from __future__ import annotations

from argparse import Namespace

from psyflow.cli.copying import transfer
from psyflow.cli.output import OK

__all__ = ["execute"]


def execute(arguments: Namespace) -> int:
    """Copy what is named to the host."""
    transfer(arguments).push()
    return OK
