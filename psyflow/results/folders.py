"""The folders in which psets keep things, by their parameters."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from psyflow.exceptions import UnknownNameError
from psyflow.results.loading import peek
from psyflow.results.table import Results

__all__ = ["folder"]

_TABLES: dict[Path, Results] = {}
"""What the copies belong to that are made of packed folders, and would go with it."""


def folder(
    task: str | os.PathLike[str], taskdir: str | os.PathLike[str] | None = None, /, **pset: Any
) -> Path:
    """Return the folder in which a pset of a task keeps things: ``ctx.dir`` in its `execute`.

    Parameters
    ----------
    task : str or path-like
        The name of a task, its file, or the folder of a run, as for `load`.
    taskdir : path-like, optional
        The folder with the task files.
    **pset
        All parameters of one pset.

    Returns
    -------
    pathlib.Path
        It is there if the pset has kept anything. If many psets are packed in few files, it is a
        copy elsewhere, which goes when this process ends.

    Raises
    ------
    UnknownNameError
        If there is no parameter of some name.
    UsageError
        If no pset, or several, have these parameters, or if nothing has run yet.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from psyflow.runs.bring import bring
    >>> from psyflow.tasks import Config, TaskDef
    >>> code = '''
    ... pspace = {"x": [1, 2]}
    ... def execute(x, ctx):
    ...     (ctx.dir / "model.txt").write_text(str(x))
    ...     return {"y": x}
    ... '''
    >>> with tempfile.TemporaryDirectory() as study:
    ...     file = Path(study, "task_fit.py")
    ...     _ = file.write_text(code)
    ...     bring(TaskDef(file, Config(), study))
    ...     (folder(f"{study}/psy-work/fit", x=2) / "model.txt").read_text()
    '2'
    """
    table, _n_rows = peek(task, taskdir, n_ends=1)
    for name in pset:
        if name not in table.parameters:
            raise UnknownNameError("parameter", name, table.parameters)
    found = table.folder(pset)
    _TABLES[found] = table
    return found
