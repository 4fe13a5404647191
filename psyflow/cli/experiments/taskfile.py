"""The task file that stands for an experiment, which `psy run` continues and people may edit."""

from __future__ import annotations

import ast
import hashlib
import os
import pprint
import re
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psyflow.cli.experiments.settings import Command, Experiment
from psyflow.cli.experiments.variables import space_text
from psyflow.conventions import TASKDIR
from psyflow.exceptions import UsageError
from psyflow.messages import command_line, shown_path
from psyflow.system.files import make_folder, write_atomic
from psyflow.system.syntax import parsed

__all__ = ["Running", "path_of", "patterns_in", "task_file", "with_patterns", "write"]

_MARK = "# psy exec: "
_SPACE_MAKERS = ("arange", "geom", "igeom")


@dataclass(frozen=True)
class Running:
    """Where and how an experiment runs, as it stands in a task file.

    Attributes
    ----------
    pool_size : int or str
    scheduler : str
        The expression, such as ``Ssh({'lab1': 4})``; ``""`` for this machine.
    module : str
        Where the scheduler's class is.
    arguments : mapping
        For the scheduler.
    max_jobs : int or None
    """

    pool_size: int | str = "auto"
    scheduler: str = ""
    module: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    max_jobs: int | None = None


def path_of(folder: Path, name: str) -> Path:
    """Return where the task file of an experiment is."""
    return folder / TASKDIR / f"task_{name}.py"


def write(folder: Path, name: str, text: str) -> Path:
    """Write a task file, unless somebody has changed the one that is there.

    Raises
    ------
    UsageError
        If somebody has.
    """
    path = path_of(folder, name)
    if path.exists():
        present = path.read_text(encoding="utf-8")
        if present == text:
            return path
        if not _is_as_written(present):
            run = command_line(path.parent, "run", name)
            raise UsageError(
                f"{shown_path(path)} is not as psy exec wrote it, so it stays as it is. Go on "
                f"with what it says: {run}. Or give this experiment another --name."
            )
    make_folder(path.parent)
    write_atomic(path, text)
    return path


def _is_as_written(text: str) -> bool:
    head, mark, digest = text.rpartition(_MARK)
    return bool(mark) and digest.strip() == _digest(head)


def _digest(text: str) -> str:
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        what = text[error.start : error.end]
        raise UsageError(f"A word of the command line is no text in UTF-8: {what!r}.") from None
    return hashlib.sha256(data).hexdigest()[:16]


def task_file(experiment: Experiment, running: Running, words: Sequence[str]) -> str:
    """Return a task file.

    Parameters
    ----------
    experiment : Experiment
    running : Running
    words : sequence of str
        The command line that it stands for.
    """
    parts = [
        _heading(words),
        _imports(experiment, running),
        _space(experiment),
        _command(experiment),
        "\n".join(_settings(experiment, running)),
    ]
    text = "\n\n".join(parts) + "\n\n"
    return f"{text}{_MARK}{_digest(text)}\n"


def _heading(words: Sequence[str]) -> str:
    line = shlex.join(words).replace("\\", "\\\\").replace('"""', '\\"""')
    return f'"""Written by psy exec; yours to edit, run and submit.\n\n    {line}\n"""'


def _imports(experiment: Experiment, running: Running) -> str:
    makers = {variable.made_by.partition("(")[0] for variable in experiment.variables}
    names = ["Command", "Param", *sorted(makers.intersection(_SPACE_MAKERS))]
    lines = [f"from psyflow import {', '.join(names)}"]
    if running.scheduler:
        kind = running.scheduler.partition("(")[0]
        lines.append(f"from {running.module} import {kind}")
    return "\n".join(lines)


def _space(experiment: Experiment) -> str:
    return f"pspace = {space_text(experiment.variables, is_table=experiment.is_table)}"


def _command(experiment: Experiment) -> str:
    commands = [_plain(one) for one in experiment.commands]
    is_one_text = len(commands) == 1 and isinstance(commands[0], str)
    lines = [
        _literal(commands[0] if is_one_text else commands),
        f"cwd={_workdir(experiment.workdir)!r}",
    ]
    if experiment.shell:
        lines.append("shell=True")
    arguments = [f"{textwrap.indent(line, '    ')}," for line in lines]
    if experiment.patterns:
        arguments.append(_argument("parse", dict(experiment.patterns)))
    return "\n".join(["execute = Command(", *arguments, ")"])


def _argument(name: str, value: Any) -> str:
    return textwrap.indent(f"{name}={_literal(value)},", "    ")


def _plain(command: Command) -> Any:
    return command if isinstance(command, str) else list(command)


def _literal(value: Any) -> str:
    return pprint.pformat(value, width=90, sort_dicts=False)


def _workdir(workdir: str) -> str:
    """Return where the program starts, as it is for every host and from every folder."""
    if workdir == "~" or workdir.startswith("~/"):
        return f"$HOME{workdir[1:]}"
    here = re.sub(r"([{}])", r"\1\1", str(Path.cwd()))
    return workdir if workdir.startswith("$") else os.path.normpath(Path(here, workdir))


def _settings(experiment: Experiment, running: Running) -> list[str]:
    lines = []
    if experiment.repeat > 1:
        lines.append(f"repeat = {experiment.repeat}")
    lines.append(f"retries = {experiment.max_tries - 1}  # after the first of all attempts")
    if experiment.max_tries > 1:
        lines.append('retry_on = ["error", "crash", "oom", "timeout"]')
    if experiment.timeout is not None:
        lines.append(f"timeout = {experiment.timeout!r}  # seconds")
    lines.append(f"pool_size = {running.pool_size!r}  # programs at once, in each job")
    if running.scheduler:
        lines.append(f"scheduler = {running.scheduler}")
        if running.arguments:
            lines.append(f"scheduler_args = {_literal(dict(running.arguments))}")
        if running.max_jobs is not None:
            lines.append(f"max_jobs = {running.max_jobs}")
    lines.append('workdir = "."  # the results are in the folder of this name, beside psy-tasks')
    return lines


def patterns_in(path: Path) -> dict[str, Any]:
    """Return the patterns in a task file that is as `psy exec` wrote it; none if it is not."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return _patterns_of(_call_in(text)) if _is_as_written(text) else {}


def with_patterns(path: Path, patterns: Mapping[str, str]) -> bool:
    """Put patterns into a task file that is as `psy exec` wrote it; tell whether it is."""
    text = path.read_text(encoding="utf-8")
    if not _is_as_written(text):
        return False
    call = _call_in(text)
    new = _argument("parse", {**_patterns_of(call), **patterns}).splitlines()
    lines = text.rpartition(_MARK)[0].splitlines()
    given = _given_in(call)
    if given is None:
        first = last = (call.end_lineno or 0) - 1
    else:
        first, last = given.lineno - 1, given.value.end_lineno or 0
    body = "\n".join([*lines[:first], *new, *lines[last:]]) + "\n"
    write_atomic(path, f"{body}{_MARK}{_digest(body)}\n")
    return True


def _call_in(text: str) -> ast.Call:
    """Return the call of Command in a task file."""
    assigned = [node.value for node in parsed(text).body if isinstance(node, ast.Assign)]
    calls = (value for value in assigned if isinstance(value, ast.Call))
    return next(c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "Command")


def _given_in(call: ast.Call) -> ast.keyword | None:
    return next((word for word in call.keywords if word.arg == "parse"), None)


def _patterns_of(call: ast.Call) -> dict[str, Any]:
    given = _given_in(call)
    found: dict[str, Any] = {} if given is None else ast.literal_eval(given.value)
    return found
