"""The standard output and error of this process and its children, sent to files as well."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

__all__ = ["copy_outputs", "redirect_outputs"]

_LAST_WORDS_SECONDS = 5.0

_Name: TypeAlias = str | os.PathLike[str] | None


def redirect_outputs(
    stdout_filename: str | os.PathLike[str] | None,
    stderr_filename: str | os.PathLike[str] | None,
) -> None:
    """Send the standard output and error to files, at the end of what they hold.

    What children of this process print goes there, too.

    Parameters
    ----------
    stdout_filename, stderr_filename : path or None
        None leaves a stream as it is; the same name twice merges both.

    Raises
    ------
    OSError
        If a file cannot be written.

    Examples
    --------
    >>> redirect_outputs(None, None)
    """
    _send(stdout_filename, stderr_filename, lambda path, fd: _opened(path))


def copy_outputs(
    stdout_filename: str | os.PathLike[str] | None,
    stderr_filename: str | os.PathLike[str] | None,
) -> None:
    """Send copies of the standard output and error to files, at the end of what they hold.

    What children of this process print is copied, too. This is done by the program ``tee``, so
    that nothing is lost if the process is killed.

    Parameters
    ----------
    stdout_filename, stderr_filename : path or None
        None leaves a stream as it is; the same name twice merges both.

    Raises
    ------
    OSError
        If a file cannot be written.

    Examples
    --------
    >>> copy_outputs(None, None)
    """
    before = {fd: os.dup(fd) for fd in (1, 2)}
    tees: list[subprocess.Popen[bytes]] = []
    _send(stdout_filename, stderr_filename, lambda path, fd: _copied(path, before[fd], tees))
    atexit.register(_end, before, tees, os.getpid())


def _send(stdout: _Name, stderr: _Name, target: Callable[[Path, int], int]) -> None:
    wanted = {fd: Path(name) for fd, name in ((1, stdout), (2, stderr)) if name is not None}
    # All are opened before the first is changed, so that an error is still seen.
    targets: dict[Path, int] = {}
    for fd, path in wanted.items():
        if path not in targets:
            targets[path] = target(path, fd)
    _flush()
    for fd, path in wanted.items():
        os.dup2(targets[path], fd)
    for opened in targets.values():
        os.close(opened)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
        if isinstance(stream, io.TextIOWrapper):
            # What is printed is to be in the file, whatever ends the process.
            stream.reconfigure(line_buffering=True)


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)


def _copied(path: Path, to: int, tees: list[subprocess.Popen[bytes]]) -> int:
    """Start a ``tee`` to a file and to a descriptor, and return what to write to."""
    os.close(_opened(path))  # it says what is wrong, which `tee` would say to nobody
    # In a session of its own, Ctrl-C leaves it what was said last.
    tee = subprocess.Popen(
        ["tee", "-a", "--", str(path)],
        stdin=subprocess.PIPE,
        stdout=to,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    tees.append(tee)
    assert tee.stdin is not None
    with tee.stdin as pipe:
        return os.dup(pipe.fileno())


def _end(before: dict[int, int], tees: list[subprocess.Popen[bytes]], pid: int) -> None:
    """Wait until all is written: what the shell prints next is to come after it."""
    if os.getpid() != pid:
        return
    _flush()
    for fd, former in before.items():
        os.dup2(former, fd)
    # A child that goes on printing keeps a copy going; nobody waits for that.
    with contextlib.suppress(subprocess.TimeoutExpired):
        for tee in tees:
            tee.wait(_LAST_WORDS_SECONDS)
