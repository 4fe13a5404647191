"""``psy run``: bring tasks up to date."""

from __future__ import annotations

import contextlib
import importlib
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from psyflow import job
from psyflow.cli.amounts import AUTO
from psyflow.cli.interruption import terminated_as_interrupted
from psyflow.cli.output import INTERRUPTED, OK, TROUBLE
from psyflow.cli.selection import load_tasks
from psyflow.cli.steps import run_steps
from psyflow.cli.task_run import TaskRun
from psyflow.conventions import WORKDIR, study_of
from psyflow.exceptions import TaskWorkdirDirtyWarning, UsageError
from psyflow.record.provenance import asking_git_seldom
from psyflow.runs.command import job_command
from psyflow.scheduler import ImmediateRun
from psyflow.scheduler.forkserver import ForkServer
from psyflow.system.allotted import AsManyAsCpus, usable_cpus
from psyflow.system.place import absolute
from psyflow.tasks import TaskDef

__all__ = ["execute", "server"]


# A module in NumPy, for that itself may be one that comes late.
_NUMPY = "numpy.linalg"


def server(arguments: Namespace) -> ForkServer:
    """Return what forks the jobs of this machine; to be entered before any task is loaded."""
    # `psy exec` makes its task file first, so that it is newer than any run.
    taskdir = getattr(arguments, "taskdir", None)
    if taskdir is None or _has_newer_tasks(Path(taskdir)):
        # Then this process and the jobs will need it.
        for module in (_NUMPY, "psyflow.runs.begin", "psyflow.runs.here"):
            importlib.import_module(module)
    modules = [_NUMPY, "psyflow.runs.process", "psyflow.store.npz", "psyflow.store.h5"]
    return ForkServer(job_command([sys.executable]), job.main, modules)


def _has_newer_tasks(taskdir: Path) -> bool:
    """Guess whether something will have to run: a task file is newer than its run, or has none."""
    runs = study_of(absolute(taskdir)) / WORKDIR
    for file in taskdir.glob("task_*.py"):
        plan = runs / file.stem.removeprefix("task_") / "plan.json"
        with contextlib.suppress(OSError):
            if not plan.exists() or plan.stat().st_mtime < file.stat().st_mtime:
                return True
    return False


def execute(arguments: Namespace) -> int:
    """Bring the named tasks, or all, up to date."""
    if arguments.pool_size == AUTO:
        arguments.pool_size = AsManyAsCpus(usable_cpus())
    if arguments.dry_run:
        from psyflow.cli.dry_run import dry_run  # a run needs none of what that imports

        return dry_run(arguments)
    if arguments.json:
        raise UsageError("--json shows what would run, so it goes with -n: psy run -n --json")
    tasks, status = load_tasks(arguments)
    if arguments.server is not None:
        _start_with(arguments.server, tasks)
    runs = [TaskRun(task, arguments) for task in tasks]
    try:
        with terminated_as_interrupted(), asking_git_seldom():
            are_done = run_steps(runs)
    except KeyboardInterrupt:
        for run in runs:
            run.interrupt()
        return INTERRUPTED
    _tell_rows(runs)
    if TaskWorkdirDirtyWarning in arguments.notices.categories:
        status = TROUBLE
    status = max([status, *(run.exit_code for run in runs)], default=OK)
    if not are_done:
        status = max(status, TROUBLE if status == OK else OK)
    if not arguments.wait:
        return status
    from psyflow.cli.waiting import wait_for_all  # few wait

    with terminated_as_interrupted():
        return max(status, wait_for_all(list(filter(_is_far, tasks)), arguments))


def _start_with(server: ForkServer, tasks: Sequence[TaskDef]) -> None:
    for task in tasks:
        if isinstance(task.scheduler, ImmediateRun):
            task.scheduler.start = server.start


def _tell_rows(runs: Sequence[TaskRun]) -> None:
    for run in runs:
        run.tell_rows()


def _is_far(task: TaskDef) -> bool:
    return not task.scheduler.runs_here
