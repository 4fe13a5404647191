"""Loading what a task has computed, at any time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, Columns, concatenate, table_length
from psyflow.exceptions import PsyflowError, UsageError
from psyflow.record.bookkeeping import About, ItemsFile
from psyflow.record.merged import MergedTable
from psyflow.record.plan import Plan
from psyflow.record.recover import recover, store_of
from psyflow.results.convert.axes import Places
from psyflow.results.derived import Wanted
from psyflow.results.finding import archived_plan, find, plan_beside
from psyflow.results.glance import Glance, RunGlance
from psyflow.results.part import Part
from psyflow.results.table import Results
from psyflow.results.told import Told, told_by, told_of
from psyflow.results.usercode import UserCode, code_of
from psyflow.store import Store, store_for
from psyflow.store.comparing import comparable
from psyflow.store.registry import is_known_extension
from psyflow.system.reading import is_there, looked_again
from psyflow.system.trust import Origin, found_in, is_trusting, trusting
from psyflow.tasks import TaskDef

__all__ = ["load", "peek"]


def load(
    task: str | os.PathLike[str],
    taskdir: str | os.PathLike[str] | None = None,
    workdir: str | os.PathLike[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    run: str | None = None,
    trust: bool = False,
) -> Results:
    """Return the table of a task's results: parameters and what the function returned.

    While a run is going, or after one that failed in part, these are the rows that are done so
    far, in item order.

    Parameters
    ----------
    task : str or path
        Name of a task, its task file, the folder of its run, a result file, or the folder of a
        `psyflow.study`, such as ``"calc"``.
    taskdir : str or path, optional
        Where the task file is: ``psy-tasks``, here or in a folder above, if None. Asked only if
        there is no folder of the task in `workdir`.
    workdir : str or path, optional
        Where the runs are: ``psy-work`` in the study if None.
    columns : sequence of str, optional
        Names of the columns that are wanted, all if None. Of a complete result in HDF5 or NPZ, no
        others are read.
    run : str, optional
        Id of a run in the archive, or its beginning; the present one if None.
    trust : bool
        Load whatever is in the folder of the run, though that may run code of whoever wrote it.
        Otherwise, what is not plain (numbers, text, dates, lists, dicts, arrays, …) is loaded only
        if your own `psy` wrote it there, and columns are derived only by your own code. A result
        file that you name is always loaded.

    Returns
    -------
    Results
        A dict of columns of one length, and what is known of them and of their run. Columns of
        text, or with absent values, are arrays, so that ``column == "x"`` compares each value.
        What the task file has in `derive` comes last, worked out row by row.

    Raises
    ------
    UsageError
        If the task has no results.
    UnknownColumnError
        If there is no such column.
    UntrustedFileError
        If only code that may not be yours could load them.
    StoreError
        If they are damaged, of a later psyflow, or of classes that are not there.

    Warns
    -----
    PsyflowWarning
        If columns cannot be derived, or not for all rows.

    Examples
    --------
    >>> import tempfile
    >>> from psyflow import NpzStore
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     NpzStore().save(f"{folder}/walks.npz", {"mode": ["slow", "fast"], "km": [3.5, 9.0]})
    ...     walks = load(f"{folder}/walks.npz")
    ...     km = load(f"{folder}/walks.npz", columns=["km"])
    >>> walks["km"][walks["mode"] == "fast"]
    array([9.])
    >>> km
    Results: 2 rows
    km
    3.5
    9.0
    """
    if isinstance(columns, str):
        raise UsageError(f'`columns` is a list of names: write columns=["{columns}"].')
    names = None if columns is None else list(columns)
    return _load(_Where.of(task, taskdir, workdir, run), trust, _What(names, Part()))


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
    results = _load(_Where.of(task, taskdir), trust, _What(None, part))
    return results, part.n_rows if part.n_rows is not None else results.n_rows


@dataclass(frozen=True)
class _Where:
    """Which run is meant, or which file."""

    task: Path
    taskdir: Path | None
    workdir: Path | None
    run: str | None

    @classmethod
    def of(
        cls,
        task: str | os.PathLike[str],
        taskdir: str | os.PathLike[str] | None = None,
        workdir: str | os.PathLike[str] | None = None,
        run: str | None = None,
    ) -> _Where:
        tasks = Path(taskdir) if taskdir is not None else None
        runs = Path(workdir) if workdir is not None else None
        return cls(Path(task), tasks, runs, run)


@dataclass(frozen=True)
class _What:
    """Which columns are wanted, and which rows."""

    columns: Sequence[str] | None
    part: Part

    def of(self, told: Told) -> _Read:
        return _Read(Wanted(told, self.columns), self.part)


@dataclass
class _Read:
    """Reads what is wanted, and notes which columns there are."""

    wanted: Wanted
    part: Part
    names: list[str] = field(default_factory=list)

    def choose(self, names: list[str]) -> list[str]:
        self.names = names
        return self.wanted(names)

    def read(self, store: Store, file: Path) -> dict[str, Column]:
        return self.part.read(store, file, self.choose)

    def completed(self, table: Results) -> Results:
        return self.wanted.complete(table, self.names)


def _load(where: _Where, trust: bool, what: _What) -> Results:
    if is_known_extension(where.task.suffix.lower()):
        with trusting(trust or is_trusting()):
            return _load_file(where, what)
    with trusting(trust):
        return _load_patiently(where, what)


def _table(
    columns: Columns,
    parameters: Iterable[str],
    glance: Glance | None = None,
    items: npt.NDArray[np.int64] | None = None,
) -> Results:
    # Of a part of a file, nobody counts which rows it has.
    places = Places(items if items is not None and len(items) == table_length(columns) else None)
    return Results(columns, parameters=list(parameters), glance=glance, places=places)


def _load_file(where: _Where, what: _What) -> Results:
    result, plan = where.task, plan_beside(where.task)
    if where.run is not None:
        if plan is None:
            raise UsageError(f"Nothing beside {result} tells of runs. Leave `run` out.")
        return _load_planned(archived_plan(plan, where.run), what)
    read = what.of(Told() if plan is None else told_of(plan))
    store = store_for(result)
    with contextlib.nullcontext() if plan is None else code_of(plan):
        found = read.read(store, result)
    about = ItemsFile(plan.layout).about() if plan is not None else None
    if plan is None or about is None:
        parameters = (name for name in store.parameters(result) if name in found)
        return read.completed(_table(found, parameters))
    return read.completed(_of_result(plan, about, found))


def _of_result(plan: Plan, about: About, columns: Columns) -> Results:
    parameters = [name for name in columns if name not in about.outputs]
    glance = RunGlance(plan, about.n_items, about.n_rows, is_trusting())
    items = np.arange(about.n_rows) if _is_all_of(about, plan) else None
    return _table(columns, parameters, glance, items)


def _load_patiently(where: _Where, what: _What) -> Results:
    try:
        return looked_again(lambda: _load_run(where, what))
    except FileNotFoundError as error:
        raise UsageError(
            f'{error.filename}, of task "{where.task}", is gone. Type: psy run {where.task.name}'
        ) from error


def _load_run(where: _Where, what: _What) -> Results:
    found = find(where.task, where.taskdir, where.workdir)
    if found.plan is not None:
        plan = found.plan if where.run is None else archived_plan(found.plan, where.run)
        return _load_planned(plan, what)
    if found.database is not None and where.run is None:
        return _load_file(replace(where, task=found.database), what)
    if found.task is not None and is_there(found.task.resultfile) and where.run is None:
        return _load_unplanned(found.task, what)
    raise UsageError(f'Task "{found.name}" has no results yet. Type: psy run {found.name}')


def _load_unplanned(task: TaskDef, what: _What) -> Results:
    """Load a result that was made by another tool of this family, or of which all else is gone."""
    read = what.of(told_by(task))
    with found_in(Origin(task.folder, None)):
        table = read.read(task.store, task.resultfile)
    return read.completed(_table(table, task.pspace.keys()))


def _load_planned(plan: Plan, what: _What) -> Results:
    read = what.of(told_of(plan))
    with code_of(plan) as code:
        table = _load_again_if_mixed(plan, read, code)
    return read.completed(table)


def _load_again_if_mixed(plan: Plan, read: _Read, code: UserCode) -> Results:
    try:
        table = _load_rows(plan, read)
    except PsyflowError:
        if not code.is_mixed:
            raise
    else:
        if not code.is_mixed:
            return table
    return _load_rows(plan, read)


def _load_rows(plan: Plan, read: _Read) -> Results:
    about = ItemsFile(plan.layout).about()
    if about is not None and _is_all_of(about, plan):
        # It may have another name than in the plan, whose merge has not come to an end.
        with found_in(plan.layout.origin(about.run_id)):
            columns = read.read(store_of(plan, about.result), Path(about.result))
        n_unread = read.part.n_rows_of(columns) - table_length(columns)
        about.check(columns, about.n_rows - n_unread, read.names)
        return _of_result(plan, about, columns)
    store = store_of(plan)
    if about is None and is_there(Path(plan.result)):
        # A run would go on without a damaged result; whoever asks for it has to know.
        with found_in(plan.layout.origin(plan.run_id)):
            store.length(plan.result)
    read.part.n_rows = None
    # Until all rows are there, they come as they will then.
    recovered = recover(plan, store)
    merged = concatenate(MergedTable(recovered).blocks())
    chosen = {name: merged[name] for name in read.choose(list(merged))}
    table = {name: comparable(column) for name, column in store.as_loaded(chosen).items()}
    glance = RunGlance(plan, len(recovered.frozen), recovered.n_done, is_trusting())
    items = np.flatnonzero(recovered.table.piece_of >= 0)
    return _table(table, recovered.frozen.space.keys(), glance, items)


def _is_all_of(about: About, plan: Plan) -> bool:
    """Tell whether a result has just the rows that a plan is about."""
    wanted = plan.contents or {}
    is_of_other_files = any(wanted.get(p, c) != c for p, c in about.contents.items())
    is_of_space = about.space_digest == plan.space_digest
    is_same = is_of_space and about.renewals == plan.renewals and not is_of_other_files
    return about.is_complete and is_same
