"""The words of ``psy submit``."""

from __future__ import annotations

from psyflow.cli.grammar import Command, run

__all__ = ["COMMAND"]

COMMAND = Command(
    summary="another name for run",
    description="""\
The same as psy run, for those who think of it as handing jobs to a cluster. Tasks
whose scheduler is this machine are run here.""",
    examples="""\
  psy submit circle
  psy submit -n circle     only show the job scripts""",
    acts=True,
    add_arguments=run.COMMAND.add_arguments,
)
