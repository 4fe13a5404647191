"""Loading what a task has computed, at any time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from psyflow.columns import Columns, concatenate, table_length
from psyflow.conventions import WORKDIR, default_taskdir, study_of
from psyflow.exceptions import PsyflowError, StoreError, UsageError
from psyflow.record.assess import Assessment
from psyflow.record.bookkeeping import About, ItemsFile
from psyflow.record.merged import MergedTable
from psyflow.record.plan import Plan
from psyflow.record.recover import recover, store_of
from psyflow.results.axes import Places
from psyflow.results.glance import Glance
from psyflow.results.part import Part
from psyflow.results.table import Results
from psyflow.results.usercode import code_of
from psyflow.store import known_extensions, store_for
from psyflow.store.comparing import comparable
from psyflow.system.files import is_gone, is_there, reopen
from psyflow.system.place import absolute, is_same_file
from psyflow.system.trust import Origin, found_in, is_trusting, trusting
from psyflow.tasks import PackageLoader

__all__ = ["load", "peek"]

ATTEMPTS = 3


def load(
    task: str | os.PathLike[str],
    taskdir: str | os.PathLike[str] | None = None,
    workdir: str | os.PathLike[str] | None = None,
    *,
    trust: bool = False,
) -> Results:
    """Return the table of a task's results: parameters and what the function returned.

    While a run is going, or after one that failed in part, these are the rows that are done so
    far, in item order.

    Parameters
    ----------
    task : str or path
        Name of a task, the folder of its run, or a result file.
    taskdir : str or path, optional
        Where the task file is: ``psy-tasks``, here or in a folder above, if None. Asked only if
        there is no folder of the task in `workdir`.
    workdir : str or path, optional
        Where the runs are: ``psy-work`` in the study if None.
    trust : bool
        Load whatever is in the folder of the run, though that may run code of whoever wrote it.
        Otherwise, what is not plain (numbers, text, dates, lists, dicts, arrays, …) is loaded only
        if your own `psy` wrote it there. A result file that you name is always loaded.

    Returns
    -------
    Results
        A dict of columns of one length, and what is known of them and of their run. Columns of
        text, or with absent values, are arrays, so that ``column == "x"`` compares each value.

    Raises
    ------
    UsageError
        If the task has no results.
    UntrustedFileError
        If only code that may not be yours could load them.
    StoreError
        If they are damaged, of a later psyflow, or of classes that are not there.

    Examples
    --------
    >>> import tempfile
    >>> from psyflow import NpzStore
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     NpzStore().save(f"{folder}/walks.npz", {"mode": ["slow", "fast"], "km": [3.5, 9.0]})
    ...     walks = load(f"{folder}/walks.npz")
    >>> walks["km"][walks["mode"] == "fast"]
    array([9.])
    """
    return _load(task, taskdir, workdir, trust, Part())


def peek(
    task: str | os.PathLike[str],
    taskdir: str | os.PathLike[str] | None = None,
    *,
    n_ends: int,
    trust: bool = False,
) -> tuple[Results, int]:
    """Return some of the first and as many of the last rows, and how many there are.

    What `load` would return is read no further than that where its store can do so; else, and if
    there are no more rows than that, all of them are returned.

    Parameters
    ----------
    task, taskdir, trust
        As for `load`.
    n_ends : int
        How many rows at each end.
    """
    part = Part(n_ends)
    results = _load(task, taskdir, None, trust, part)
    return results, part.n_rows if part.n_rows is not None else results.n_rows


def _load(
    task: str | os.PathLike[str],
    taskdir: str | os.PathLike[str] | None,
    workdir: str | os.PathLike[str] | None,
    trust: bool,
    part: Part,
) -> Results:
    if Path(task).suffix.lower() in known_extensions():
        with trusting(trust or is_trusting()):
            return _load_file(Path(task), part)
    with trusting(trust):
        return _load_patiently(task, taskdir, workdir, part)


def _table(
    columns: Columns,
    parameters: Iterable[str],
    glance: Glance | None = None,
    items: npt.NDArray[np.int64] | None = None,
) -> Results:
    # What the stores of others give, and what is not merged yet, are lists.
    table = {name: comparable(column) for name, column in columns.items()}
    places = Places(items)
    return Results(table, parameters=list(parameters), glance=glance, places=places)


def _load_file(result: Path, part: Part) -> Results:
    plan = _plan_beside(result)
    with contextlib.nullcontext() if plan is None else code_of(plan):
        columns = part.read(store_for(result), result)
    about = ItemsFile(plan.layout).about() if plan is not None else None
    if plan is None or about is None:
        return _table(columns, ())
    return _of_result(plan, about, columns)


def _plan_beside(result: Path) -> Plan | None:
    """Return the plan of the run that a result file lies in, if it does."""
    with contextlib.suppress(StoreError, OSError):
        plan = Plan.read(result.with_name("plan.json"))
        if plan is not None and is_same_file(Path(plan.result), result):
            return plan
    return None


def _of_result(plan: Plan, about: About, columns: Columns) -> Results:
    parameters = [name for name in columns if name not in about.outputs]
    glance = Glance(plan, about.n_items, about.n_rows, is_trusting())
    items = np.arange(about.n_rows) if _is_all_of(about, plan) else None
    return _table(columns, parameters, glance, items)


def _load_patiently(
    task: str | os.PathLike[str],
    taskdir: str | os.PathLike[str] | None,
    workdir: str | os.PathLike[str] | None,
    part: Part,
) -> Results:
    for _ in range(ATTEMPTS - 1):
        # A merge may have put the shards into the result between our look and our reading, or
        # changed code may have put everything into the archive.
        try:
            return _load_run(Path(task), taskdir, workdir, part)
        except OSError as error:
            if not is_gone(error):
                raise
            if error.filename:
                reopen(Path(error.filename).parent)
    try:
        return _load_run(Path(task), taskdir, workdir, part)
    except FileNotFoundError as error:
        raise UsageError(
            f'{error.filename}, of task "{task}", is gone. Type: psy run {Path(task).name}'
        ) from error


def _load_run(
    task: Path,
    taskdir: str | os.PathLike[str] | None,
    workdir: str | os.PathLike[str] | None,
    part: Part,
) -> Results:
    tasks = Path(taskdir) if taskdir is not None else default_taskdir()
    runs = Path(workdir) if workdir is not None else _default_workdir(tasks)
    for folder in (runs / task, task):
        plan = Plan.read(folder / "plan.json")
        if plan is not None:
            return _load_planned(plan, part)
    return _load_task(task.name, tasks, part)


def _default_workdir(taskdir: Path) -> Path:
    # Where there are only results, as in what somebody has sent, there is no task folder.
    is_study = absolute(taskdir).is_dir() and not Path(WORKDIR).is_dir()
    return study_of(absolute(taskdir)) / WORKDIR if is_study else Path(WORKDIR)


def _load_task(name: str, taskdir: Path, part: Part) -> Results:
    tasks, _ = PackageLoader(taskdir, study_of(absolute(taskdir))).load([name])
    assessment = Assessment(tasks[0]) if tasks else None
    if assessment is not None and assessment.plan is not None:
        return _load_planned(assessment.plan, part)
    if tasks and is_there(tasks[0].resultfile):
        # Made by another tool of this family, or all else is gone.
        with found_in(Origin(tasks[0].folder, None)):
            columns = part.read(tasks[0].store, tasks[0].resultfile)
        return _table(columns, tasks[0].pspace.keys())
    raise UsageError(f'Task "{name}" has no results yet. Type: psy run {name}')


def _load_planned(plan: Plan, part: Part) -> Results:
    with code_of(plan) as code:
        try:
            table = _load_rows(plan, part)
        except PsyflowError:
            if not code.is_mixed:
                raise
        else:
            if not code.is_mixed:
                return table
        return _load_rows(plan, part)


def _load_rows(plan: Plan, part: Part) -> Results:
    about = ItemsFile(plan.layout).about()
    if about is not None and _is_all_of(about, plan):
        # It may have another name than in the plan, whose merge has not come to an end.
        with found_in(plan.layout.origin(about.run_id)):
            columns = part.read(store_of(plan, about.result), Path(about.result))
        about.check(columns, about.n_rows + table_length(columns) - part.n_rows_of(columns))
        return _of_result(plan, about, columns)
    store = store_of(plan)
    if about is None and is_there(Path(plan.result)):
        # A run would go on without a damaged result; whoever asks for it has to know.
        with found_in(plan.layout.origin(plan.run_id)):
            store.length(plan.result)
    part.n_rows = None
    # Until all rows are there, they come as they will then.
    recovered = recover(plan, store)
    columns = store.as_loaded(concatenate(MergedTable(recovered).blocks()))
    glance = Glance(plan, len(recovered.frozen), recovered.n_done, is_trusting())
    items = np.flatnonzero(recovered.table.piece_of >= 0)
    return _table(columns, recovered.frozen.space.keys(), glance, items)


def _is_all_of(about: About, plan: Plan) -> bool:
    """Tell whether a result has just the rows that a plan is about."""
    wanted = plan.contents or {}
    is_of_other_files = any(wanted.get(p, c) != c for p, c in about.contents.items())
    is_of_space = about.space_digest == plan.space_digest
    return about.is_complete and is_of_space and not is_of_other_files
