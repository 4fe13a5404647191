"""What the setting ``repeat`` does to a task: each pset is evaluated several times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psyflow.exceptions import TaskFileError
from psyflow.tasks.programs import take_command
from psyflow.tasks.signature import names_parameter

if TYPE_CHECKING:
    from psyflow.tasks.taskdef import TaskDef

__all__ = ["add_repeats", "withheld"]


def add_repeats(task: TaskDef) -> None:
    """Give the space of a task the parameter that its setting ``repeat`` asks for, if it does.

    The first repetition is the pset that there is without the setting: it has the same key, and
    so the same rows, folder and random numbers.

    Raises
    ------
    TaskFileError
        If there is such a parameter, or another default of it.

    Examples
    --------
    >>> from psyflow.tasks import Config
    >>> task = Config({"pspace": {"x": [1, 2]}, "repeat": 2})
    >>> add_repeats(task)
    >>> task.pspace.build(), task.defaults
    ({'repeat': [0, 1, 0, 1], 'x': [1, 1, 2, 2]}, {'repeat': 0})
    """
    if task.repeat is None:
        return
    from psyflow.pspace.repeat import FIRST, REPEAT, repeated_space

    if REPEAT in task.pspace.keys():  # noqa: SIM118
        raise TaskFileError(
            f"{task.source}: `repeat` is set, but `pspace` has a parameter `repeat` already. "
            "Remove one of them, rename the parameter, or set repeat = None."
        )
    if REPEAT in task.defaults:
        raise TaskFileError(
            f"{task.source}: `repeat` is set, so `defaults` must not give it a value: the first "
            "repetition, 0, is what counts as the pset without it. Remove it from `defaults`."
        )
    task.pspace = repeated_space(task.pspace, task.repeat)
    task.defaults = {**task.defaults, **FIRST}


def withheld(task: TaskDef) -> frozenset[str]:
    """Return the parameters that `execute` is not called with: ``repeat``, unless it names it.

    Parameters
    ----------
    task : TaskDef

    Examples
    --------
    >>> from psyflow.tasks import Config
    >>> sorted(withheld(Config({"execute": lambda **pset: {}, "repeat": 5})))
    ['repeat']
    >>> withheld(Config({"execute": lambda x, repeat: {}, "repeat": 5}))
    frozenset()
    """
    # A command has no use for what it does not name, and may name anything.
    takes_it = names_parameter(task.execute, "repeat") or take_command(task.execute) is not None
    is_withheld = task.repeat is not None and not takes_it
    return frozenset(["repeat"] if is_withheld else [])
