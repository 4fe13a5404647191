"""Whether what a task says goes together: functions with parameters, the store, and the place."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from psyflow.exceptions import TaskFileError, UnknownNameError
from psyflow.tasks.arguments import takes_context
from psyflow.tasks.programs import check_call
from psyflow.tasks.repeating import withheld
from psyflow.tasks.signature import check_setup, takes_keyword

if TYPE_CHECKING:
    from psyflow.tasks.taskdef import TaskDef

__all__ = ["check_agreement"]


def check_agreement(task: TaskDef) -> None:
    """Raise what `TaskDef.check_execute` tells of.

    Parameters
    ----------
    task : TaskDef
    """
    if task.setup is not None:
        check_setup(task.setup, source=task.source)
    _warn_of_random_traps(task)
    names = task.pspace.keys()
    for name in task.seed_by or ():
        if name not in names:
            raise UnknownNameError("parameter", name, names)
    if len(task.pspace):
        random = ["rng"] if _gives_rng(task) else []
        context = ["ctx"] if takes_context(task) else []
        psets = [name for name in names if name not in withheld(task)]
        check_call(task, [*psets, *random], context)
        excluded = task.exclude_from_result
        pset = task.pspace[0]
        with task.importable():
            task.store.check({name: pset[name] for name in names if name not in excluded})


def _warn_of_random_traps(task: TaskDef) -> None:
    """Warn of random numbers that psets would share, or that each job would draw anew."""
    from psyflow.fingerprint.randomness import random_traps
    from psyflow.tasks.advice import about_trap

    for found in random_traps(task.code_path, ["execute", "setup"], task.modules_elsewhere()):
        # Told as the doing of whoever has called `TaskDef.check_execute`.
        warnings.warn(about_trap(task.name, found), stacklevel=4)


def _gives_rng(task: TaskDef) -> bool:
    """Return whether `execute` is called with `rng`."""
    if task.seed is None:
        return False
    takes_rng = takes_keyword(task.execute, "rng")
    if not takes_rng and not task.seed_globals:
        raise TaskFileError(
            f"{task.source}: `seed` is set, but `execute` does not take `rng`. Add it to "
            "the parameters of `execute`, or remove `seed`. For code that cannot take it, "
            "set seed_globals = True."
        )
    return takes_rng
