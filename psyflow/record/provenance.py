"""When, where and with what a run was made."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["asking_git_seldom", "provenance"]

GIT_SECONDS = 2.0
"""For how long an answer of git's may stand, where it is asked seldom."""


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
            folder = os.path.abspath(entry)  # noqa: PTH100
            named = _named_in(folder, os.stat(folder).st_mtime_ns)  # noqa: PTH116
            found |= {package: named[package] for package in found.keys() & named.keys()}
    return found


@functools.lru_cache(maxsize=64)
def _named_in(folder: str, changed: int) -> dict[str, str]:
    """Return the versions of the packages beside which a folder, as of a time, says so."""
    versions = {}
    for name in os.listdir(folder):  # noqa: PTH208 (hundreds, and no need for paths)
        package, dash, rest = name.partition("-")
        if dash and rest.endswith((".dist-info", ".egg-info")):
            versions[package.lower()] = rest.rpartition(".")[0].partition("-py")[0]
    return versions


_seldom: contextvars.ContextVar[dict[Path, tuple[float, str | None]] | None]
_seldom = contextvars.ContextVar("_seldom", default=None)
"""What git has said of folders, and when it was asked, where it is asked seldom."""


@contextlib.contextmanager
def asking_git_seldom() -> Iterator[None]:
    """Within this, take an answer of git's for a while: one run may begin many tasks at once."""
    token = _seldom.set({})
    try:
        yield
    finally:
        _seldom.reset(token)


def _git_commit(folder: Path) -> str | None:
    """Return the commit of `folder`, with ``+`` if files differ from it; None outside of git."""
    now, known = time.monotonic(), _seldom.get()
    if known is None:
        return _asked_of_git(folder)
    if folder not in known or now - known[folder][0] > GIT_SECONDS:
        known[folder] = now, _asked_of_git(folder)
    return known[folder][1]


def _asked_of_git(folder: Path) -> str | None:
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--abbrev=40"]
    try:
        git = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return git.stdout.strip() if git.returncode == 0 else None
