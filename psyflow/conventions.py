"""The names that users' folders go by, and where a study is."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["CALC_DIR", "DATABASE", "MAP_FILE", "TASKDIR", "WORKDIR", "default_taskdir", "study_of"]

TASKDIR = "psy-tasks"
"""The task folder, if no other is named."""
WORKDIR = "psy-work"
"""The folder for runs, if no other is set."""
CALC_DIR = "calc"
"""The folder of `psyflow.study`, if no other is named."""
DATABASE = "database.pk"
"""The file with its rows."""
MAP_FILE = "task_map.py"
"""The task file in the folder of a map, which is that of its run."""


def default_taskdir() -> Path:
    """Return the task folder that is meant if none is named: the nearest one, looking upwards.

    If there is none, it is the one that would be here.
    """
    here = Path.cwd()
    is_here = (here / TASKDIR).is_dir()
    # isdir: no, if it is above what may be looked into.
    found = (folder / TASKDIR for folder in here.parents if os.path.isdir(folder / TASKDIR))  # noqa: PTH112
    return Path(TASKDIR) if is_here else next(found, Path(TASKDIR))


def study_of(taskdir: Path) -> Path:
    """Return the folder that is the study of a task folder: where its relative paths start.

    Parameters
    ----------
    taskdir : Path
        Absolute.

    Examples
    --------
    >>> str(study_of(Path("/home/me/study/psy-tasks")))
    '/home/me/study'
    >>> str(study_of(Path("/home/me/study/psy-tasks/fits")))
    '/home/me/study'
    >>> str(study_of(Path("/home/me/other/tasks")))
    '/home/me/other'
    """
    inside = [folder for folder in taskdir.parents if folder.name == TASKDIR]
    return (inside[0] if inside else taskdir).parent
