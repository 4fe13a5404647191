"""The tasks that a command line names."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from psyflow.cli.output import OK, TROUBLE, describe, exit_code_of, say
from psyflow.conventions import MAP_FILE, WORKDIR, study_of
from psyflow.exceptions import UsageError
from psyflow.messages import command_line

if TYPE_CHECKING:
    from psyflow.tasks import TaskDef

__all__ = ["for_each_task", "load_tasks", "none_named", "suggestion", "take_task"]

_MOST_NAMES = 10


def load_tasks(arguments: Namespace) -> tuple[list[TaskDef], int]:
    """Load the tasks that are named, all if none is.

    Returns
    -------
    tasks : list of TaskDef
        Those that load; why the others do not is on stderr.
    status : int
        The exit code so far: `OK`, or `TROUBLE` if one did not load.
    """
    from psyflow.tasks import PackageLoader

    maps = [name for name in arguments.tasks if _is_map(name)]
    names = [name for name in arguments.tasks if name not in maps]
    # What task files print while they load is no result.
    with contextlib.redirect_stdout(sys.stderr):
        tasks = [_task_of_map(Path(folder)) for folder in maps]
        if maps and not names:
            return tasks, OK
        base = _base_of(Path(arguments.taskdir))
        found, failures = PackageLoader(arguments.taskdir, base).load(names)
        tasks += found
    for failure in failures:
        say(f"Error: {failure}")
    return tasks, TROUBLE if failures else OK


def _is_map(name: str) -> bool:
    """Tell whether what stands for a task is the folder of a map, which has its task file."""
    return (Path(name) / MAP_FILE).is_file()


def _task_of_map(folder: Path) -> TaskDef:
    from psyflow.system.place import absolute
    from psyflow.tasks import Config, TaskDef

    path = absolute(folder)
    return TaskDef(path / MAP_FILE, Config(), path.parent)


def _base_of(taskdir: Path) -> Path:
    """Return where relative paths in task files start from, and say it if that is not here."""
    from psyflow.record.plan import has_run_of
    from psyflow.system.place import absolute, is_same_file

    here, study = Path.cwd(), study_of(absolute(taskdir))
    if is_same_file(here, study):
        return here
    # They used to start from wherever `psy` was called.
    if has_run_of(taskdir, here / WORKDIR) and not has_run_of(taskdir, study / WORKDIR):
        say(f"The results of {taskdir} lie in {here / WORKDIR}, from where they are taken.")
        return here
    say(f"The study is {study}: relative paths start there.")
    return study


def for_each_task(
    arguments: Namespace,
    act: Callable[[TaskDef], int],
    begin: Callable[[list[TaskDef]], None] = lambda tasks: None,
) -> int:
    """Call `act` for each named task, which returns an exit code; return the highest.

    A task for which it raises does not stop the others. `begin` is called before, with all.
    """
    tasks, status = load_tasks(arguments)
    begin(tasks)
    for task in tasks:
        try:
            status = max(status, act(task))
        except BrokenPipeError:
            # Nobody reads what the others would print.
            raise
        except Exception as error:
            say(f"{task.name}: {describe(error)}")
            status = max(status, exit_code_of(error))
    return status


def none_named(arguments: Namespace) -> bool:
    """Tell whether no task is named, and if so, say what that means."""
    if arguments.tasks:
        return False
    there = _listed(_names(arguments))
    command = suggestion(arguments, "NAME")
    say(f"psy {arguments.command}: no task is named, so nothing is done. {there} Type: {command}")
    return True


def take_task(arguments: Namespace) -> None:
    """Take the only task there is where a command that needs one names none.

    Raises
    ------
    UsageError
        If there are several tasks, or none.
    """
    if arguments.task is None or _is_no_task(arguments):
        names = _names(arguments)
        words = [] if arguments.task is None else [arguments.task]
        if len(names) > 1:
            command = suggestion(arguments, names[0], *words)
            raise UsageError(f"Which task? {_listed(names)} Type, for example: {command}")
        _put_behind(arguments, words)
        arguments.task = names[0]
    arguments.tasks = [arguments.task]


def _is_no_task(arguments: Namespace) -> bool:
    """Tell whether what stands for a task is what comes after it: an item, a role, or a file."""
    word: str = arguments.task
    if hasattr(arguments, "roles"):
        return "=" in word and not Path(word).exists()
    if hasattr(arguments, "file"):
        return arguments.file is None and bool(Path(word).suffix) and word not in _names(arguments)
    from psyflow.runs.debug import FIRST_FAILED

    is_item = word.isdecimal() or word == FIRST_FAILED
    return is_item and getattr(arguments, "item", "") is None and word not in _names(arguments)


def _put_behind(arguments: Namespace, words: list[str]) -> None:
    if words and hasattr(arguments, "roles"):
        arguments.roles = [*words, *arguments.roles]
    elif words and hasattr(arguments, "file"):
        arguments.file = words[0]
    elif words:
        arguments.item = words[0]


def _names(arguments: Namespace) -> list[str]:
    """Return the names of all tasks, one at least."""
    from psyflow.tasks import PackageLoader

    with contextlib.redirect_stdout(sys.stderr):
        return PackageLoader(arguments.taskdir).names()


def _listed(names: list[str]) -> str:
    """Say which tasks there are.

    Examples
    --------
    >>> _listed(["lif", "walk"])
    'There are: lif, walk.'
    """
    more = len(names) - _MOST_NAMES
    rest = f" and {more} more" if more > 0 else ""
    are = "is" if len(names) == 1 else "are"
    return f"There {are}: {', '.join(names[:_MOST_NAMES])}{rest}."


def suggestion(arguments: Namespace, *words: str, command: str | None = None) -> str:
    """Return a command line to type next, for the same task folder.

    Examples
    --------
    >>> suggestion(Namespace(command="run", taskdir="my tasks"), "circle")
    "psy run --taskdir 'my tasks' circle"
    """
    return command_line(Path(arguments.taskdir), command or arguments.command, *words)
