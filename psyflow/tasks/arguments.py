"""What `execute` is given beside its pset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psyflow.tasks.signature import names_parameter

if TYPE_CHECKING:
    from psyflow.pspace.streams import RandomStreams
    from psyflow.tasks.taskdef import TaskDef

__all__ = ["streams_of", "takes_context"]


def takes_context(task: TaskDef) -> bool:
    """Tell whether `execute` asks for the argument ``ctx``: by that name, and no pset gives it.

    Parameters
    ----------
    task : TaskDef

    Examples
    --------
    >>> from psyflow.tasks import Config
    >>> takes_context(Config({"pspace": {"x": [1, 2]}, "execute": lambda x, ctx: {}}))
    True
    """
    return names_parameter(task.execute, "ctx") and "ctx" not in task.pspace.keys()  # noqa: SIM118


def streams_of(task: TaskDef) -> RandomStreams | None:
    """Return where the argument ``rng`` of a task's `execute` comes from; None without a seed.

    Parameters
    ----------
    task : TaskDef

    Examples
    --------
    >>> from psyflow.tasks import Config
    >>> streams_of(Config({"seed": 7, "seed_by": ["trial"]}))
    RandomStreams(seed=7, names=['trial'], defaults={})
    """
    from psyflow.pspace.streams import RandomStreams

    if task.seed is None:
        return None
    return RandomStreams(task.seed, task.seed_by, task.defaults)
