"""Files that evaluations read, and whose content does not count."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePath

import numpy as np

from psyflow.columns import Column
from psyflow.messages import command_line
from psyflow.record.assess import Assessment
from psyflow.record.reads import files_read, told
from psyflow.system.place import absolute
from psyflow.tasks import TaskDef

__all__ = ["about_undeclared", "undeclared"]

# So many files of one kind in a folder have one name.
_MANY = 4


def undeclared(assessment: Assessment) -> list[str]:
    """Return the files of the study that evaluations have read, though their content counts not.

    Those that somebody was told about are none. Looks at nothing but a folder if workers have
    found none.

    Returns
    -------
    list of str
        From the task folder on.
    """
    found = files_read(assessment.layout)
    if found:
        found -= told(assessment.layout)
    if not found:
        return []
    folder = assessment.task.path.parent
    counting = _counting(assessment.task) | _from_folder(assessment.frozen.paths, folder)
    return sorted(name for name in found - counting if (folder / name).is_file())


def _counting(task: TaskDef) -> set[str]:
    parts = task.fingerprint().values()
    return {part.file for part in parts}.union(*(part.files or () for part in parts))


def _from_folder(paths: Collection[str], folder: Path) -> set[str]:
    return {os.path.relpath(absolute(folder / path), folder) for path in paths}


def about_undeclared(assessment: Assessment, files: Sequence[str]) -> list[str]:
    """Say which files a task reads, and what makes them count.

    Parameters
    ----------
    assessment : Assessment
    files : sequence of str
        What `undeclared` gave.

    Returns
    -------
    list of str
        Sentences; none if there are no files.
    """
    task = assessment.task
    by_parameter = _named_in_psets(assessment, files) if files else {}
    others = [file for file in files if not any(file in some for some in by_parameter.values())]
    lines = [
        f"{task.path.name} reads {', '.join(_shortened(sorted(some)))}, which `{name}` names as "
        "text: give it as pathlib.Path(...), so that the content counts for its pset"
        for name, some in by_parameter.items()
    ]
    return [*lines, _to_declare(task, list(_shortened(others)))] if others else lines


def _to_declare(task: TaskDef, names: list[str]) -> str:
    declared = [os.path.relpath(file, task.path.parent) for file in task.file_dep]
    lines = ", ".join(f'"{name}"' for name in [*declared, *names])
    verb = "set" if declared else "add"
    accept = command_line(task.path.parent, "accept", task.name)
    return (
        f"{task.path.name} reads {', '.join(names)}: {verb} file_dep = [{lines}] "
        f"(then, to keep the results: {accept})"
    )


def _named_in_psets(assessment: Assessment, files: Collection[str]) -> dict[str, set[str]]:
    """Return which of the files are values of a parameter, as text."""
    folder = assessment.task.path.parent
    columns = assessment.space.take(np.arange(assessment.n_items))
    named = {name: _from_folder(_texts(column), folder) for name, column in columns.items()}
    return {name: found for name in named if (found := named[name].intersection(files))}


def _texts(column: Column) -> set[str]:
    if isinstance(column, np.ndarray) and column.dtype.kind not in "UO":
        return set()
    return {
        str(value) for value in column if isinstance(value, str) and value and "\0" not in value
    }


def _shortened(files: Sequence[str]) -> Iterator[str]:
    """Give the names of files, a glob where many of one kind are in one folder."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for file in files:
        path = PurePath(file)
        kinds[str(path.with_name(f"*{path.suffix}"))].append(file)
    for glob, some in kinds.items():
        yield from [glob] if len(some) >= _MANY else some
