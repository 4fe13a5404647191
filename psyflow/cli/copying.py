"""What is copied between hosts, as the command line says it."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from psyflow.conventions import CALC_DIR
from psyflow.exceptions import UsageError
from psyflow.study.transfer import Transfer

__all__ = ["transfer"]


def transfer(arguments: Namespace) -> Transfer:
    """Return what a command line of `psy push` or `psy pull` asks for."""
    if arguments.all and arguments.folders:
        raise UsageError("Name folders, or give --all, not both.")
    names = ["."] if arguments.all else arguments.folders or [CALC_DIR]
    return Transfer(arguments.host, names, Path.cwd(), dry_run=arguments.dry_run)
