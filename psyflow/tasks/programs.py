"""What a task whose `execute` is a `psyflow.Command` has instead of code."""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psyflow.exceptions import CommandWarning, TaskFileError
from psyflow.system.files import make_folder, write_atomic
from psyflow.tasks.signature import check_execute

if TYPE_CHECKING:
    from psyflow.command import Command
    from psyflow.fingerprint import FileDigests, Part
    from psyflow.tasks.taskdef import TaskDef

__all__ = [
    "TEMPLATES",
    "check_call",
    "command_parts",
    "freeze_templates",
    "runs_programs",
    "take_command",
    "with_frozen_templates",
    "with_launcher",
]

TEMPLATES = "own-templates"  # no module can have a name with a hyphen
"""The folder with the copies of templates, in that of the code that a plan froze."""
_PART = "execute."


def take_command(execute: Callable[..., Any]) -> Command | None:
    """Return `execute` if it is a `Command`; None if it is a function.

    Parameters
    ----------
    execute : callable

    Examples
    --------
    >>> from psyflow import Command
    >>> take_command(Command("./sim")), take_command(len)
    (Command('./sim'), None)
    """
    # Without its module, nothing can be one; and most tasks do without.
    module = sys.modules.get("psyflow.command.command")
    return execute if module is not None and isinstance(execute, module.Command) else None


def runs_programs(fingerprint: Collection[str]) -> bool:
    """Tell from the names of the parts of a fingerprint whether it is that of a command."""
    return f"{_PART}command" in fingerprint


def freeze_templates(execute: Callable[..., Any], code: Path) -> None:
    """Copy the templates of a command beside the code that a plan has frozen, for its jobs.

    Parameters
    ----------
    execute : callable
    code : Path
    """
    command = take_command(execute)
    for name, template in (command.templates() if command is not None else {}).items():
        copy = make_folder(code / TEMPLATES) / name
        write_atomic(copy, template.read_bytes())
        shutil.copymode(template, copy)


def with_frozen_templates(execute: Callable[..., Any], code: Path | None) -> Callable[..., Any]:
    """Return `execute`, with the templates that were frozen with the code, if any were.

    Parameters
    ----------
    execute : callable
    code : Path, optional
    """
    command = take_command(execute)
    if command is None or code is None:
        return execute
    return command.with_templates_in(code / TEMPLATES)


def with_launcher(
    execute: Callable[..., Any], launcher: str | Sequence[str] | None
) -> Callable[..., Any]:
    """Return `execute`, with the launcher of the task if it is a `Command` that has none.

    Parameters
    ----------
    execute : callable
    launcher : str or list of str, optional
    """
    command = take_command(execute)
    if command is None or launcher is None or command.launcher is not None:
        return execute
    return command.with_launcher(launcher)


def check_call(task: TaskDef, names: Sequence[str], context: Sequence[str]) -> None:
    """Find out whether `execute` of a task can be called, without calling it.

    Parameters
    ----------
    task : TaskDef
    names : sequence of str
        What it is called with: the parameters, and perhaps ``rng``.
    context : sequence of str
        ``ctx``, if it takes that.

    Raises
    ------
    TaskFileError
        If a call could not be made, or a program is not there.

    Warns
    -----
    CommandWarning
        Of a command that is hardly what was meant.
    """
    command, has_setup = take_command(task.execute), task.setup is not None
    if command is None:
        check_execute(task.execute, [*names, *context], has_setup=has_setup, source=task.source)
        return
    remarks = command.check(names, may_be_more=has_setup, source=task.source)
    if (absent := command.absent_program()) is not None:
        remarks.append(_about_absent(task, absent))
    for remark in remarks:
        warnings.warn(CommandWarning(task.name, remark), stacklevel=4)


def _about_absent(task: TaskDef, program: str) -> str:
    from psyflow.scheduler import ImmediateRun

    about = f"there is no program {program} here, or it may not be run (chmod +x)."
    # Elsewhere there may be other programs; and `setup` may make one.
    if isinstance(task.scheduler, ImmediateRun) and task.setup is None:
        raise TaskFileError(
            f"{task.source}: {about} Its path goes from the task file on; one that has a name "
            "only is looked for on PATH."
        )
    return f"{about} Is there one where it is to run?"


def command_parts(
    command: Command, path: Path, own: Collection[Path], digests: FileDigests
) -> dict[str, Part]:
    """Return the parts of a fingerprint for a command: what it is, and the files that it reads.

    Parameters
    ----------
    command : Command
    path : Path
        The task file.
    own : collection of Path
        What the task writes, absolute.
    digests : FileDigests
    """
    from psyflow.fingerprint import file_parts
    from psyflow.fingerprint.files import is_in_study
    from psyflow.fingerprint.parts import Part, digest

    lines = command.counts()
    parts = {
        f"{_PART}{name}": Part(digest(line), line, 0, path.name) for name, line in lines.items()
    }
    files, programs = command.files()
    files += [file for file in programs if file.is_file() and is_in_study(file, path.parent)]
    return parts | file_parts(files, path.parent, own, digests)
