"""What to type next, in messages."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

__all__ = ["TASKDIR", "command_line"]

TASKDIR = "psy-tasks"
"""The task folder that `psy` looks in, where it is called, if it is told no other."""


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
    option = [] if folder == here / TASKDIR else ["--taskdir", str(shown)]
    return shlex.join(["psy", command, *option, *words])
