"""Schedulers by name."""

from __future__ import annotations

import importlib

from psyflow.exceptions import UnknownNameError, UsageError
from psyflow.scheduler.base import Scheduler

__all__ = ["scheduler_by_name", "scheduler_names"]

GROUP = "psyflow.schedulers"
_SHORT = {"immediaterun": "immediate"}
"""Classes whose names are not those of their entry points, in small letters."""


def scheduler_names() -> list[str]:
    """Return the names of the installed schedulers: the entry points ``psyflow.schedulers``.

    Examples
    --------
    >>> [name for name in ("immediate", "slurm", "sqsub") if name not in scheduler_names()]
    []
    """
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    return sorted(entry_points(group=GROUP).names)


def scheduler_by_name(name: str) -> type[Scheduler]:
    """Return the scheduler class of that name.

    Parameters
    ----------
    name : str
        Name of an entry point, in any case, as ``Slurm``, or where a class is: ``pkg.mod:Class``
        or ``pkg.mod.Class``.

    Raises
    ------
    UnknownNameError
        If there is no such scheduler.
    UsageError
        If what is there is not a scheduler.
    ImportError
        If its module is there, but cannot be imported.

    Examples
    --------
    >>> scheduler_by_name("slurm").__name__
    'Slurm'
    >>> scheduler_by_name("psyflow.scheduler.Slurm").__name__
    'Slurm'
    """
    found = _load(name)
    if not (isinstance(found, type) and issubclass(found, Scheduler)):
        raise UsageError(f'"{name}" is not a scheduler: it does not derive from Scheduler.')
    return found


def _load(name: str) -> object:
    from importlib.metadata import entry_points

    for entry_point in entry_points(group=GROUP):
        if entry_point.name.lower() in (name.lower(), _SHORT.get(name.lower())):
            return entry_point.load()
    module, _, attribute = name.replace(":", ".").rpartition(".")
    if all(part.isidentifier() for part in module.split(".")):
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            # A module that is there but lacks one of its own imports says so itself.
            if not f"{module}.".startswith(f"{error.name}."):
                raise
        else:
            if hasattr(found, attribute):
                return getattr(found, attribute)
    raise UnknownNameError("scheduler", name, scheduler_names())
