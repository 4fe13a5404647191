"""What a task must not need whose items an engine evaluates, without the study's folder."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType
from typing import TYPE_CHECKING

from psyflow.exceptions import TaskFileError
from psyflow.scheduler.engines import EngineScheduler
from psyflow.tasks.arguments import takes_context
from psyflow.tasks.programs import take_command

if TYPE_CHECKING:
    from psyflow.tasks.taskdef import TaskDef

__all__ = ["check_afar"]


def check_afar(task: TaskDef) -> None:
    """Raise TaskFileError if an engine is to evaluate a task that needs a folder of the study.

    Parameters
    ----------
    task : TaskDef
    """
    if not isinstance(task.scheduler, EngineScheduler):
        return
    engine = type(task.scheduler).__name__
    elsewhere = "Use a scheduler whose jobs see the study's folder, such as Slurm() or Ssh(…)"
    if take_command(task.execute) is not None:
        raise TaskFileError(
            f"{task.source}: `execute` is a Command, which keeps what its programs write in the "
            f"run's folder, and workers of {engine} do not see that. {elsewhere}, or run the "
            f"program in a function, with subprocess.run."
        )
    if takes_context(task) and "dir" in set(_names_in(getattr(task.execute, "__code__", None))):
        raise TaskFileError(
            f"{task.source}: `execute` uses `ctx.dir`, a folder in that of the run, which workers "
            f"of {engine} do not see. {elsewhere}, or return what is to be kept."
        )


def _names_in(code: CodeType | None) -> Iterator[str]:
    """Yield the names of globals and attributes that code uses, with the functions in it."""
    if code is not None:
        yield from code.co_names
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from _names_in(constant)
