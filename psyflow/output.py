"""What items print, in a file of their worker's, so that it can be told whose it is."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

__all__ = ["Output"]


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
        self._former = os.dup(1)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)
        self._end = os.lseek(1, 0, os.SEEK_END)

    def advance(self) -> tuple[int, int] | None:
        """Return from which byte to which the file grew since the last call, or None."""
        # The user's code may have closed or replaced these.
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        try:
            # Of this process's own writing, wherever others append.
            end = os.lseek(1, 0, os.SEEK_CUR)
        except OSError:
            return None
        if end == self._end:
            return None
        start, self._end = self._end, end
        return start, end

    def report(self, text: str) -> None:
        """Print `text` to where the standard output went before."""
        with contextlib.suppress(OSError):
            os.write(self._former, text.encode(errors="backslashreplace") + b"\n")
