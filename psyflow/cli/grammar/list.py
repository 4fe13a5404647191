"""The words of ``psy list``."""

from __future__ import annotations

from psyflow.cli.arguments import add_taskdir
from psyflow.cli.grammar import Command

__all__ = ["COMMAND"]

COMMAND = Command(
    summary="list the tasks",
    description="Print the name of each task, one per line.",
    examples="  psy list --taskdir studies",
    acts=False,
    add_arguments=add_taskdir,
)
