"""Trying out a task: its first pset, through the same doors as in a run, leaving nothing."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from psyflow import steps
from psyflow.exceptions import UsageError
from psyflow.files import make_folder
from psyflow.fingerprint import freeze_code
from psyflow.layout import Layout
from psyflow.merge import read_outcomes
from psyflow.plan import Plan, freeze_space, new_run_id
from psyflow.scheduler import ImmediateRun
from psyflow.tasks import TaskDef

__all__ = ["Trial", "try_task"]


@dataclass(frozen=True)
class Trial:
    """What became of the first pset of a task.

    Attributes
    ----------
    row : dict or None
        The result row as the store gave it back, or None if there is none.
    log : str
        What the worker printed.
    failure : str
        What went wrong, with its traceback; empty if all went well.
    """

    row: dict[str, Any] | None
    log: str
    failure: str = ""


def try_task(task: TaskDef) -> Trial:
    """Evaluate the first pset of `task` in a new process, `setup` included, and store it.

    Everything happens in a temporary folder, on this machine, whatever the task's scheduler is.

    Parameters
    ----------
    task : TaskDef

    Returns
    -------
    Trial

    Raises
    ------
    UsageError
        If the parameter space is empty.
    TaskFileError
        If ``execute`` cannot be called with the names of the space.
    """
    if not len(task.pspace):
        raise UsageError(f'The parameter space of task "{task.name}" is empty: nothing to try.')
    task.check_execute()
    with tempfile.TemporaryDirectory(prefix="psyflow-test-") as folder:
        plan = _freeze(task, Path(folder) / task.name)
        with contextlib.redirect_stdout(io.StringIO()):
            steps.split(plan, task.backend(task))
        status = _process(plan, task.python)
        log = plan.layout.log("process:0").read_text(errors="replace")
        failures = _failures(plan)
        if status or any(failures):
            return Trial(None, log, next(failures, "") or f"exit status {status}\n{log}")
        with contextlib.redirect_stdout(io.StringIO()):
            steps.merge(plan, task.store)
        columns = task.store.load(plan.layout.result, row=0)
        return Trial({name: column[0] for name, column in columns.items()}, log)
