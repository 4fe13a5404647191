"""The Python that `psy` runs in: that of the active virtual environment, if psyflow is there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from psyflow.cli.output import say

__all__ = ["enter_active_environment"]

# The folder of this process is no place where the other Python has psyflow.
_PROBE = """
import os, sys
sys.path = [entry for entry in sys.path if entry]
import psyflow.main
if not os.path.samefile(sys.prefix, os.environ["VIRTUAL_ENV"]):
    sys.exit(f"its Python is that of {sys.prefix}")
"""


def enter_active_environment() -> None:
    """Go on as the same command in the Python of the active virtual environment.

    The task files, and with them all items, see the packages of that environment. If psyflow does
    not run there, this is said, and what to install. A `psy` that was named by its path is taken
    at its word: it stays where it is, as ``python -m psyflow`` does.
    """
    folder = os.environ.get("VIRTUAL_ENV")
    if not folder or _is_here(folder) or not _is_found_on_path(sys.argv[0]):
        return
    python = str(Path(folder, "bin", "python"))
    problem = _problem_with(python)
    if problem is None:
        os.execv(python, [python, *sys.argv])
    say(
        f"psy: psyflow does not run in the active environment {folder} ({problem}), so tasks run "
        f"in {sys.executable}, with the packages there. To have them run in {folder}: "
        f"{python} -m pip install psyflow"
    )


def _is_here(folder: str) -> bool:
    try:
        return Path(folder).samefile(sys.prefix)
    except OSError:
        return False


def _is_found_on_path(program: str) -> bool:
    """Return whether the shell has chosen this program, and not the one who typed its name."""
    found = shutil.which(Path(program).name)
    return found is not None and Path(found).absolute() == Path(program).absolute()


def _problem_with(python: str) -> str | None:
    """Return why psyflow does not run in another Python, or None if it does."""
    try:
        probe = subprocess.run(
            [python, "-c", _PROBE], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    except OSError as error:
        return str(error)
    if probe.returncode == 0:
        return None
    return (probe.stderr.strip().splitlines() or [f"exit code {probe.returncode}"])[-1]
