"""``psy new-task``: a task file to begin with."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from string import Template

from psyflow.cli.output import OK, say
from psyflow.cli.selection import suggestion
from psyflow.exceptions import UsageError
from psyflow.record.ownership import writable
from psyflow.scheduler import Scheduler, scheduler_by_name
from psyflow.scheduler.profile import Site, find_site
from psyflow.system.files import link_new, make_folder
from psyflow.tasks.settings import NAME

__all__ = ["execute"]


def execute(arguments: Namespace) -> int:
    """Write a task file that runs as it is, unless there is one of that name."""
    name = _checked(arguments.name)
    # The scheduler is looked up first: if there is none of that name, nothing is made.
    with _importing_from(arguments.taskdir):
        site = find_site(Path(arguments.taskdir).absolute())
        of_site = None if site is None else site.scheduler
        text = _task_file(name, arguments.scheduler or of_site, site)
    folder = Path(arguments.taskdir)
    with writable(folder):
        path = make_folder(folder) / f"task_{name}.py"
        is_new = link_new(path, text.encode())
    if not is_new:
        raise UsageError(f"{path} exists already, and stays as it is. Choose another name.")
    print(path)
    command = suggestion(arguments, name, command="test")
    say(f"Edit it, then type: {command}")
    return OK


def _checked(name: str) -> str:
    try:
        return str(NAME.convert(name))
    except ValueError:
        raise UsageError(
            f'"{name}" cannot be the name of a task: it has to be {NAME.allowed}.'
        ) from None


@contextlib.contextmanager
def _importing_from(folder: str) -> Iterator[None]:
    """Import from `folder` as well, as task files in it do."""
    path = list(sys.path)
    sys.path.insert(0, str(Path(folder).absolute()))
    try:
        yield
    finally:
        sys.path[:] = path


def _task_file(name: str, scheduler: str | None, site: Site | None) -> str:
    template = Template(files("psyflow.cli").joinpath("templates/task.py.txt").read_text())
    found = None if scheduler is None else scheduler_by_name(scheduler)
    return template.substitute(
        name=name,
        scheduler_import=f"from {found.__module__} import {found.__qualname__}\n" if found else "",
        scheduler="\n".join(_local_lines() if found is None else _scheduler_lines(found, site)),
    )


def _local_lines() -> list[str]:
    return [
        'pool_size = "auto"  # workers: as many as this process may use CPUs',
        "# For a cluster, start with: psy new-task -s SCHEDULER NAME",
    ]


def _scheduler_lines(scheduler: type[Scheduler], site: Site | None) -> list[str]:
    args, made = scheduler.USER_DEFAULT_ARGS, ""
    if site is not None and site.kind() is scheduler:
        args = site.above(site.make_scheduler(), args)
        made = ", ".join(f"{name}={value!r}" for name, value in site.options.items())
    options = [f"    {name!r}: {value!r}," for name, value in args.items()]
    return [
        "pool_size = 1  # workers in each job; ask the scheduler for as many CPUs",
        "max_jobs = 100  # at most",
        f"scheduler = {scheduler.__qualname__}({made})",
        *(["scheduler_args = {", *options, "}"] if options else ["scheduler_args = {}"]),
    ]
