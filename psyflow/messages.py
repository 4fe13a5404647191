"""How messages show paths, time spans, and what to type next."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from psyflow.conventions import default_taskdir

__all__ = ["command_line", "counted", "duration", "shortly", "shown_path"]


def command_line(taskdir: Path, command: str, *words: str) -> str:
    """Return a command line of `psy` that can be typed in the working directory.

    Parameters
    ----------
    taskdir : Path
        The task folder, which the command line names unless it is the default.
    command : str
    *words : str
        What follows the command.

    Examples
    --------
    >>> command_line(Path("psy-tasks"), "kill", "circle")
    'psy kill circle'
    >>> command_line(Path("my tasks"), "kill", "circle")
    "psy kill --taskdir 'my tasks' circle"
    """
    here = Path.cwd()
    folder = Path(os.path.abspath(taskdir))  # noqa: PTH100 (Path would resolve links)
    shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
    option = [] if folder == here / default_taskdir() else ["--taskdir", str(shown)]
    return shlex.join(["psy", command, *option, *words])


def shown_path(path: str | os.PathLike[str]) -> str:
    """Return `path` as it is shortest to type: relative to the working directory if it is inside.

    Examples
    --------
    >>> shown_path(Path.cwd() / "psy-work" / "circle")
    'psy-work/circle'
    >>> shown_path("/somewhere/else")
    '/somewhere/else'
    """
    absolute = Path(path).absolute()
    here = Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


def counted(number: int, what: str, plural: str = "") -> str:
    """Return how many there are of something, in words.

    Examples
    --------
    >>> counted(1, "row"), counted(0, "row"), counted(2, "batch", "batches")
    ('1 row', '0 rows', '2 batches')
    """
    return f"{number} {what if number == 1 else plural or f'{what}s'}"


def duration(seconds: float) -> str:
    """Return a time span in words, in two units at most.

    Examples
    --------
    >>> duration(12.4), duration(95), duration(7325), duration(90000)
    ('12 s', '1 min 35 s', '2 h 2 min', '1 d 1 h')
    """
    whole = round(seconds)
    for size, unit, lower_size, lower_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // lower_size} {lower_unit}"
    return f"{whole} s"


def shortly(seconds: float) -> str:
    """Return a time span in words, also one of less than a second.

    Examples
    --------
    >>> shortly(0.0004), shortly(0.052), shortly(3.14), shortly(75)
    ('0.4 ms', '52 ms', '3.1 s', '1 min 15 s')
    """
    if seconds >= 10:
        return duration(seconds)
    return f"{seconds:.2g} s" if seconds >= 1 else f"{1000 * seconds:.2g} ms"
