"""``psy new-task``: a task file to begin with."""

from __future__ import annotations

import re
from argparse import Namespace
from importlib.resources import files
from pathlib import Path
from string import Template

from psyflow.cli.output import OK, say
from psyflow.cli.selection import suggestion
from psyflow.exceptions import UsageError
from psyflow.files import link_new, make_folder

__all__ = ["execute"]

_NAME = re.compile(r"[^\W\d]\w*")


def execute(arguments: Namespace) -> int:
    """Write a task file that runs as it is, unless there is one of that name."""
    name = arguments.name
    if not _NAME.fullmatch(name):
        raise UsageError(
            f'"{name}" cannot be the name of a task. Use letters, digits and underscores, and '
            "begin with a letter."
        )
    # The scheduler is looked up first: if there is none of that name, nothing is made.
    text = _task_file(name, arguments.scheduler)
    path = make_folder(Path(arguments.taskdir)) / f"task_{name}.py"
    if not link_new(path, text.encode()):
        raise UsageError(f"{path} exists already, and stays as it is. Choose another name.")
    print(path)
    command = suggestion(arguments, name, command="test")
    say(f"Edit it, then type: {command}")
    return OK


def _task_file(name: str, scheduler: str | None) -> str:
    template = Template(files("psyflow.cli").joinpath("templates/task.py.txt").read_text())
    lines = _local_lines() if scheduler is None else _scheduler_lines(scheduler)
    imports = "" if scheduler is None else _scheduler_import(scheduler)
    return template.substitute(name=name, scheduler="\n".join(lines), scheduler_import=imports)


def _local_lines() -> list[str]:
    return [
        'pool_size = "auto"  # workers: as many as this process may use CPUs',
        "# To run on a cluster, see: psy new-task --help",
    ]


def _scheduler_import(scheduler: str) -> str:
    from psyflow.scheduler import scheduler_by_name

    found = scheduler_by_name(scheduler)
    return f"from {found.__module__} import {found.__qualname__}\n"


def _scheduler_lines(scheduler: str) -> list[str]:
    from psyflow.scheduler import scheduler_by_name

    found = scheduler_by_name(scheduler)
    options = [f"    {name!r}: {value!r}," for name, value in found.USER_DEFAULT_ARGS.items()]
    return [
        "pool_size = 1  # workers in each job; ask the scheduler for as many CPUs",
        "max_jobs = 100  # at most",
        f"scheduler = {found.__qualname__}()",
        "scheduler_args = {" if options else "scheduler_args = {}",
        *options,
        *(["}"] if options else []),
    ]
