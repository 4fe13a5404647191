"""Another user of this machine, whom only root can be."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys

import pytest

NOBODY = 65534
_SECOND_USER = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
as_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs a second user"
)


def run_as_second_user(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python as another user, who has no home; skip the test if that one cannot."""
    if not _has_python():
        pytest.skip("another user cannot run this Python")
    return _python(*arguments)


@functools.cache
def _has_python() -> bool:
    return _python("-c", "import psyflow.results, psyflow.scheduler.ssh.runner").returncode == 0


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_SECOND_USER, sys.executable, *arguments],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        cwd="/",
        capture_output=True,
        text=True,
    )
