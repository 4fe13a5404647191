"""Real processes: started, found again, and waited for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MARK = "PSYFLOW_TEST_MARK"
PATIENCE = 240.0
"""Seconds in which what has to happen does, however busy the machine is."""

_PROGRESS = re.compile(r"(?m)^.*: \d+ of \d+ done, \d+ failed, .* (left|unknown)\n")

_ROWS = re.compile(r"(?m)^\d+ (of \d+ )?rows? in .*; look at them: psy show .*\n")


def without_progress(err: str) -> str:
    """Leave out the lines that tell how far a run is; on a busy machine, any may last until one.

    Examples
    --------
    >>> without_progress("t: 1 of 9 done, 0 failed, 0.1/s, 12 s left\\nt: up to date.\\n")
    't: up to date.\\n'
    """
    return _PROGRESS.sub("", err)


def without_rows(err: str) -> str:
    """Leave out the last lines of ``psy run``, which say where rows are, whatever else it says.

    Examples
    --------
    >>> without_rows("4 rows in psy-work/t/result.pkl; look at them: psy show t\\nt: slow.\\n")
    't: slow.\\n'
    """
    return _ROWS.sub("", err)


def script(source: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start Python on `source`."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source), *map(str, arguments)],
        text=True,
        **options,
    )


def eventually(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """Wait until `condition` is true, and return its value.

    It is asked ever less often: to look at each process of the machine takes its time.
    """
    begin = time.monotonic()
    while not (value := condition()):
        waited = time.monotonic() - begin
        assert waited < seconds, f"not true within {seconds} s"
        time.sleep(min(max(0.01, waited / 10), 0.1))
    return value


def marked(mark: str) -> list[int]:
    """Return the living processes whose environment has `mark`."""
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid in _pids() if wanted in _environment(pid) and state_of(pid) not in "ZX"]


def children_of(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in text.split()]


def jobs_of(psy: int) -> list[int]:
    """Return the jobs of a `psy run`: children of the fork server, which is a child of `psy`."""
    return [job for server in children_of(psy) for job in children_of(server)]


def is_guard(pid: int) -> bool:
    """Tell whether a child of a supervisor is its guard, which leads a session of its own."""
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def _pids() -> Iterator[int]:
    return (int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit())


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def state_of(pid: int) -> str:
    """Return the letter that the kernel has for it; X if it is gone."""
    return (_stat(pid) or ["X"])[0]
