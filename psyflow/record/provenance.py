"""When, where and with what a run was made."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
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
        "packages": {name: _version(name) for name in ("psyflow", "numpy", "tables", "joblib")},
    }


def _version(package: str) -> str | None:
    """Return the version of an installed package; None of what runs from a folder of its own."""
    from importlib.metadata import PackageNotFoundError, version  # slow, and jobs do without it

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit(folder: Path) -> str | None:
    """Return the commit of `folder`, with ``+`` if files differ from it; None outside of git."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--abbrev=40"]
    try:
        git = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return git.stdout.strip() if git.returncode == 0 else None
