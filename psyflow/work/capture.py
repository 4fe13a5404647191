"""What items print, in a file of their worker's, so that it can be told whose it is."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from os import SEEK_CUR, lseek
from pathlib import Path
from typing import Protocol, TextIO

__all__ = ["Aloud", "Heard", "Output", "Unheard", "say", "saying_in"]


_here = threading.local()


def say(text: str) -> None:
    """Print `text` as far as possible, whatever became of the standard output."""
    # The user's code may have closed or replaced it; the pipe may be broken, or the disk full.
    with contextlib.suppress(Exception):
        log: TextIO | None = getattr(_here, "log", None)
        print(text.encode(errors="backslashreplace").decode(), file=log, flush=True)


@contextlib.contextmanager
def saying_in(log: Path) -> Iterator[None]:
    """Have what is said appended to a file, for a while; what other threads say is none of it.

    In the main thread, what is printed as well, such as by a store of the user's.
    """
    file = log.open("a")
    before, _here.log = getattr(_here, "log", None), file
    # Two threads would put back what the other one has set.
    is_main = threading.current_thread() is threading.main_thread()
    try:
        with contextlib.redirect_stdout(file) if is_main else contextlib.nullcontext():
            yield
    finally:
        _here.log = before
        # What a log has lost says nothing about what was done.
        with contextlib.suppress(OSError):
            file.close()


class Heard(Protocol):
    """Where what items print goes, and what is said of them."""

    name: str

    def advance(self) -> tuple[int, int] | None:
        """Return from which byte to which it grew since the last call, or None."""

    def report(self, text: str) -> None:
        """Say something of an item."""


class Unheard:
    """What items print goes where this process prints, and nothing is said of them."""

    name = ""

    def advance(self) -> None:
        """Return None: nothing is kept."""

    def report(self, text: str) -> None:
        """Say nothing: whoever asked for the evaluation is told all of it."""


class Aloud(Unheard):
    """What items print goes where this process prints, and so does what is said of them."""

    def report(self, text: str) -> None:
        """Say something of an item."""
        say(text)


class Output:
    """Sends what this process prints to a file, and tells what was printed since the last look.

    Also what libraries and programs print that the process starts: the file takes the place of
    the standard output and the standard error.

    Parameters
    ----------
    path : Path
        Appended to.

    Attributes
    ----------
    name : str
        The file's name.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        sys.stdout.flush()
        sys.stderr.flush()
        self._former = [os.dup(1), os.dup(2)]
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        # Nothing was written yet that could be lost.
        with contextlib.suppress(OSError):
            os.close(fd)
        self._end = os.lseek(1, 0, os.SEEK_END)

    def __enter__(self) -> Output:
        return self

    def __exit__(self, *exc: object) -> None:
        """Have the standard streams go where they went before; what is wrong is told there."""
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        for fd, former in enumerate(self._former, 1):
            # The user's code may have closed it, and nothing is lost by closing this one.
            with contextlib.suppress(OSError):
                os.dup2(former, fd)
                os.close(former)

    def advance(self) -> tuple[int, int] | None:
        """Return from which byte to which the file grew since the last call, or None."""
        # The user's code may have closed or replaced these. This is asked after every item.
        try:  # noqa: SIM105 (a context manager would take as long as all else)
            sys.stdout.flush()
        except Exception:
            pass
        try:
            # Of this process's own writing, wherever others append.
            end = lseek(1, 0, SEEK_CUR)
        except OSError:
            return None
        if end == self._end:
            return None
        start, self._end = self._end, end
        return start, end

    def report(self, text: str) -> None:
        """Print `text` to where the standard output went before."""
        with contextlib.suppress(OSError):
            os.write(self._former[0], text.encode(errors="backslashreplace") + b"\n")
