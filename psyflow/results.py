"""Loading what a task has computed, at any time."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from psyflow.bookkeeping import ItemsFile
from psyflow.columns import Column, concatenate, unpacked
from psyflow.exceptions import UsageError
from psyflow.plan import Plan
from psyflow.sources import recover
from psyflow.steps import MergedTable
from psyflow.store import Store, known_extensions, store_for
from psyflow.tasks import PackageLoader

__all__ = ["load"]

ATTEMPTS = 3


def load(
    task: str | os.PathLike[str],
    taskdir: str | os.PathLike[str] = "psy-tasks",
    workdir: str | os.PathLike[str] = "psy-work",
) -> dict[str, Column]:
    """Return the columns of a task's result: parameters and what the function returned.

    While a run is going, or after one that failed in part, these are the rows that are done so
    far, in item order.

    Parameters
    ----------
    task : str or path
        Name of a task, or a result file.
    taskdir : str or path, optional
        Where the task file is; asked only if there is no folder of the task in `workdir`.
    workdir : str or path, optional

    Returns
    -------
    dict from str to list or ndarray
        All of one length; made for ``pandas.DataFrame(...)`` if all values are scalars.

    Raises
    ------
    UsageError
        If the task has no results.
    """
    if Path(task).suffix.lower() in known_extensions():
        return store_for(task).load(task)
    for _ in range(ATTEMPTS - 1):
        # A merge may have put the shards into the result between our look and our reading, or
        # changed code may have put everything into the archive.
        with contextlib.suppress(FileNotFoundError):
            return _load_task(str(task), Path(taskdir), Path(workdir))
    try:
        return _load_task(str(task), Path(taskdir), Path(workdir))
    except FileNotFoundError as error:
        raise UsageError(
            f'{error.filename}, of task "{task}", is gone. Type: psy run {task}'
        ) from error


def _load_task(name: str, taskdir: Path, workdir: Path) -> dict[str, Column]:
    plan = Plan.read(workdir / name / "plan.json")
    if plan is not None:
        return _load_planned(plan)
    tasks, _ = PackageLoader(taskdir).load([name])
    plan = Plan.read(tasks[0].folder / "plan.json") if tasks else None
    if plan is not None:
        return _load_planned(plan)
    if tasks and tasks[0].resultfile.exists():
        # Made by another tool of this family, or all else is gone.
        return tasks[0].store.load(tasks[0].resultfile)
    raise UsageError(f'Task "{name}" has no results yet. Type: psy run {name}')


def _load_planned(plan: Plan) -> dict[str, Column]:
    about = ItemsFile(plan.layout).about()
    store = _store_of(plan)
    if about is not None and about.is_complete and about.space_digest == plan.space_digest:
        return store.load(plan.result)
    if about is None and Path(plan.result).exists():
        # A run would go on without a damaged result; whoever asks for it has to know.
        store.length(plan.result)
    frozen = plan.load_space()
    recovered = recover(plan.layout, frozen, store, plan.exclude, verify=True)
    return unpacked(concatenate(MergedTable(recovered, frozen, frozenset(plan.exclude)).blocks()))


def _store_of(plan: Plan) -> Store:
    try:
        return store_for(plan.result)
    except UsageError:
        # A store of the task's own, which no entry point makes known.
        return plan.load_task().store
