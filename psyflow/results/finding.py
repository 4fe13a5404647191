"""Which run is meant by a name, a folder or a file, and one in its archive."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from psyflow.conventions import DATABASE, WORKDIR, default_taskdir, study_of
from psyflow.exceptions import StoreError, TaskFileError, UnknownNameError, UsageError
from psyflow.record.assess import Assessment
from psyflow.record.bookkeeping import ItemsFile
from psyflow.record.earlier import with_own_result
from psyflow.record.layout import Layout, runs_beginning
from psyflow.record.plan import Plan
from psyflow.system.place import absolute, is_same_file
from psyflow.tasks import PackageLoader, TaskDef

__all__ = ["Found", "archived_plan", "find", "plan_beside"]


@dataclass(frozen=True)
class Found:
    """What a name stands for.

    Attributes
    ----------
    name : str
        Of the task.
    plan : Plan or None
        The present one of its run.
    task : TaskDef or None
        If it had to be loaded.
    database : Path or None
        If it is a folder of `psyflow.study`: the file with its rows.
    """

    name: str
    plan: Plan | None = None
    task: TaskDef | None = None
    database: Path | None = None


def find(task: Path, taskdir: Path | None, workdir: Path | None) -> Found:
    """Find the run of a task.

    Parameters
    ----------
    task : Path
        Name of a task, the folder of its run, its task file, or the folder of a database.
    taskdir, workdir : Path, optional
        Where task files and runs are.

    Raises
    ------
    UnknownNameError
        If there is no such task.
    """
    tasks = taskdir if taskdir is not None else default_taskdir()
    for file in (task, study_of(absolute(tasks)) / task):
        if file.suffix == ".py" and file.is_file():
            return _of_file(absolute(file), workdir)
    runs = workdir if workdir is not None else _default_workdir(tasks)
    for folder in (runs / task, task):
        plan = Plan.read(folder / "plan.json")
        if plan is not None:
            return Found(plan.task, plan)
    database = task / DATABASE
    return Found(task.name, database=database) if database.is_file() else _loaded(task.name, tasks)


def _of_file(task_file: Path, workdir: Path | None) -> Found:
    tasks = task_file.parent
    name = PackageLoader(tasks, study_of(tasks)).name_of(task_file)
    runs = workdir if workdir is not None else study_of(tasks) / WORKDIR
    plan = Plan.read(runs / name / "plan.json")
    if plan is not None and is_same_file(Path(plan.task_file), task_file):
        return Found(name, plan)
    return _loaded(name, tasks)


def _loaded(name: str, taskdir: Path) -> Found:
    """Load a task, which may have its run anywhere."""
    tasks, failures = PackageLoader(taskdir, study_of(absolute(taskdir))).load([name])
    for failure in failures:
        raise TaskFileError(str(failure))
    return Found(name, Assessment(tasks[0]).plan, tasks[0])


def _default_workdir(taskdir: Path) -> Path:
    # Where there are only results, as in what somebody has sent, there is no task folder.
    is_study = absolute(taskdir).is_dir() and not Path(WORKDIR).is_dir()
    return study_of(absolute(taskdir)) / WORKDIR if is_study else Path(WORKDIR)


def plan_beside(result: Path) -> Plan | None:
    """Return the plan of the run that a result file lies in, if it does."""
    with contextlib.suppress(StoreError, OSError):
        plan = Plan.read(result.with_name("plan.json"))
        if plan is not None and is_same_file(Path(plan.result), result):
            return plan
    return None


def archived_plan(plan: Plan, run: str) -> Plan:
    """Return the plan of a run by the beginning of its id: the present one, or in the archive.

    Raises
    ------
    UnknownNameError
        If there is none.
    UsageError
        If there are several, or if nothing in the archive tells what its results are of.
    """
    layout = plan.layout
    runs = {there.root.name: there for there in layout.archived()}
    known = [plan.run_id, *runs]
    found = runs_beginning(run, known) if run else []
    if not found:
        raise UnknownNameError(f'run of "{plan.task}"', run, known)
    if len(found) > 1:
        raise UsageError(f'"{run}" may be any of: {", ".join(found)}. Give more of the id.')
    return plan if found[0] == plan.run_id else _plan_in(runs[found[0]])


def _plan_in(archived: Layout) -> Plan:
    layout = with_own_result(archived)
    plan = Plan.read(layout.plan_file)
    about = ItemsFile(layout).about()
    if plan is None and about is not None:
        plan = Plan.read(layout.plan(about.run_id).plan_file)
    if plan is None:
        raise UsageError(
            f"Nothing in {layout.root} tells what its results are of. Load its result file by "
            f"its path: {layout.result}"
        )
    return plan
