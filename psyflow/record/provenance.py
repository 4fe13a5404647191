"""When, where and with what a run was made."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["provenance"]


def provenance(folder: Path) -> dict[str, Any]:
    """Return when, where and with what a run was made.

    Parameters
    ----------
    folder : Path
        The task folder, for the git commit.
    """
    system = os.uname()
    return {
        "time": time.time(),
        "host": socket.gethostname(),
        "python": sys.version,
        "platform": f"{system.sysname} {system.release} {system.machine}",
        "git_commit": _git_commit(folder),
        "packages": _versions(("psyflow", "numpy", "tables", "joblib")),
    }


def _versions(packages: Sequence[str]) -> dict[str, str | None]:
    """Return the versions of installed packages; None of what is not, or not from a package.

    They stand in the names of folders beside the packages. To have `importlib.metadata` read the
    files in these takes longer than many a run.
    """
    found: dict[str, str | None] = dict.fromkeys(packages)
    for entry in reversed(sys.path):
        with contextlib.suppress(OSError):
            for name in (path.name for path in Path(entry or os.curdir).iterdir()):
                package, dash, rest = name.partition("-")
                if (
                    dash
                    and package.lower() in found
                    and rest.endswith((".dist-info", ".egg-info"))
                ):
                    found[package.lower()] = rest.rpartition(".")[0].partition("-py")[0]
    return found


def _git_commit(folder: Path) -> str | None:
    """Return the commit of `folder`, with ``+`` if files differ from it; None outside of git."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--abbrev=40"]
    try:
        git = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return git.stdout.strip() if git.returncode == 0 else None
