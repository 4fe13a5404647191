"""The order of tasks: one that needs the result of another one comes after that."""

from __future__ import annotations

import fnmatch
import glob
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

from psyflow.exceptions import PsyflowWarning
from psyflow.tasks.taskdef import TaskDef

__all__ = ["in_order_of_need"]


def in_order_of_need(tasks: Sequence[TaskDef]) -> list[TaskDef]:
    """Return tasks in the given order, but each after those whose results its ``file_dep`` names.

    Of tasks that need each other's, which is told by a warning, the first one comes first.
    """
    found: dict[str, TaskDef] = {}
    for task in tasks:
        _add(task, tasks, found, [])
    return list(found.values())


def _add(
    task: TaskDef, tasks: Sequence[TaskDef], found: dict[str, TaskDef], needed_by: list[str]
) -> None:
    if task.name in found:
        return
    if task.name in needed_by:
        circle = [*needed_by[needed_by.index(task.name) :], task.name]
        message = (
            f"{' needs '.join(circle)}, by `file_dep`: tasks that need each other's results are "
            "never all up to date."
        )
        warnings.warn(PsyflowWarning(message), stacklevel=2)
        return
    for other in tasks:
        if other is not task and any(_has(path, other) for path in task.file_dep):
            _add(other, tasks, found, [*needed_by, task.name])
    found.setdefault(task.name, task)


def _has(path: Path, task: TaskDef) -> bool:
    """Tell whether a file, a folder or a glob of ``file_dep`` is, has or matches a result.

    Folders and globs have what is in the folder for runs only if they are in there themselves.
    """
    result, workdir = (Path(os.path.realpath(p)) for p in (task.resultfile, task.workdir))
    named = Path(os.path.realpath(path))
    is_from_outside = result.is_relative_to(workdir) and not _start(named).is_relative_to(workdir)
    if named == result or is_from_outside:
        return named == result
    return result.is_relative_to(named) or fnmatch.fnmatchcase(str(result), str(named))


def _start(path: Path) -> Path:
    """Return the folder from which a glob looks; a path without wildcards as it is."""
    return next((p for p in (path, *path.parents) if not glob.has_magic(str(p))), path)
