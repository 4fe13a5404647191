"""Trying out a task: its first pset, through the same doors as in a run, leaving nothing."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from psyflow.exceptions import UsageError
from psyflow.outcomes.reading import read_outcomes
from psyflow.pspace.space import Selection
from psyflow.record.layout import Layout
from psyflow.record.usersfiles import of_users_files
from psyflow.record.wanted import EVERYTHING, Wanted
from psyflow.runs.begin import begin
from psyflow.runs.run import Run
from psyflow.scheduler import ImmediateRun
from psyflow.tasks import TaskDef

__all__ = ["Trial", "try_task"]


@dataclass(frozen=True)
class Trial:
    """What became of the first pset of a task.

    Attributes
    ----------
    row : dict or None
        The result row as the store gave it back; None if the pset failed or was skipped.
    log : str
        What the worker printed.
    failures : list of str
        What went wrong, with tracebacks where there are any; empty if nothing did.
    """

    row: dict[str, Any] | None
    log: str
    failures: list[str]


def try_task(task: TaskDef, wanted: Wanted = EVERYTHING) -> Trial:
    """Evaluate the first pset of `task` in a new process, `setup` included, and store it.

    Everything happens in a temporary folder, on this machine, whatever the task's scheduler is.

    Parameters
    ----------
    task : TaskDef
    wanted : Wanted
        The first of these psets.

    Returns
    -------
    Trial

    Raises
    ------
    UsageError
        If the parameter space is empty, or no pset fits.
    TaskFileError
        If ``execute`` cannot be called with the names of the space.
    StoreError
        If the store cannot hold the row.
    """
    if not len(task.pspace):
        raise UsageError("The parameter space is empty, so there is nothing to try.")
    with tempfile.TemporaryDirectory(prefix="psyflow-test-") as folder:
        run = Run(_first_item_of(task, Path(folder), wanted))
        try:
            with run.task.importable():
                return _tried(run)
        finally:
            run.release()


def _tried(run: Run) -> Trial:
    run.task.check_execute()
    plan = begin(run, pool_size=1)
    assert plan is not None
    run.here.split(plan)
    status = run.here.process(plan)
    # The copies of the files that ran are gone when this is read.
    of_user = functools.partial(of_users_files, layout=run.layout, folder=run.task.path.parent)
    log = of_user(_printed(run.layout))
    failures = list(map(of_user, _failures(run.layout)))
    is_skipped = bool(len(read_outcomes(run.layout.shards()).skipped))
    if status and not failures and not is_skipped:
        failures = [f"The worker gave up (exit status {status})."]
    if failures or is_skipped:
        return Trial(None, log, failures)
    run.here.merge(plan)
    columns = run.task.store.load(run.layout.result, row=0)
    return Trial({name: column[0] for name, column in columns.items()}, log, [])


def _first_item_of(task: TaskDef, workdir: Path, wanted: Wanted) -> TaskDef:
    """Return the same task with one pset, which leaves what it makes in `workdir`."""
    alone = task.reload()
    alone.workdir, alone.folder = workdir, workdir / task.name
    alone.resultfile = alone.folder / f"result{task.resultfile.suffix}"
    items = wanted.among(alone.pspace, np.arange(len(alone.pspace)))
    if not len(items):
        raise UsageError(f"No parameter set fulfils {' and '.join(wanted.where)}.")
    alone.pspace = Selection(alone.pspace, items[:1])
    alone.scheduler = ImmediateRun()
    return alone


def _printed(layout: Layout) -> str:
    _heading, _, log = layout.log("process:0").read_text(errors="replace").partition("\n")
    own = layout.worker_log(0, 0)
    return log + (own.read_text(errors="replace") if own.exists() else "")


def _failures(layout: Layout) -> Iterator[str]:
    for record in read_outcomes(layout.shards()).failures:
        failure = record.read()
        yield failure.traceback.rstrip() or failure.exception
