"""Frozen modules in processes that `execute` starts, by whatever start method.

Such a process gets the `sys.path` of its worker, but not its import hooks. So the first thing on
that path is an archive with a *stand-in* for each frozen module (`fingerprint.frozen`). The first
to be imported installs the hooks, and gives its place to the module that it stands for.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from psyflow.record.plan import Plan
from psyflow.tasks.surroundings import Surroundings

__all__ = ["take_place"]


def take_place(name: str, file: str) -> None:
    """Import the frozen module of a stand-in instead, and have those after it found at once.

    Parameters
    ----------
    name, file : str
        The name of the module, and where it is in the archive.

    Raises
    ------
    ImportError
        If the plan is gone that has frozen it.
    """
    archive = Path(file).parent
    plan = Plan.read(archive.parents[1] / "plan.json")
    if plan is None:
        raise ImportError(
            f"The plan of {archive} is gone: its run was moved or removed.", name=name
        )
    sys.path[:] = [entry for entry in sys.path if entry != str(archive)]
    Surroundings(Path(plan.task_file).parent, plan.frozen.code).find_frozen()
    sys.modules.pop(name, None)
    # The import system returns what is there when this has run.
    importlib.import_module(name)
