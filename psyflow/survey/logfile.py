"""The hidden file in which everything is that a survey could tell, for when it is too late."""

from __future__ import annotations

import os
import platform
import socket
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import TextIO

from psyflow.exceptions import PsyflowWarning

__all__ = ["LogFile"]


class LogFile:
    """A file ``.paramsurvey-DATE-TIME.log`` in the working directory.

    Parameters
    ----------
    prefix : str
        Before the name, as of another folder.
    fd : int, optional
        A file that is open already, to write to instead.

    Attributes
    ----------
    path : Path or None
        None if there is none: the folder may not be written to, or a descriptor was given.
    n_exceptions : int
        How many were written down.
    """

    def __init__(self, prefix: str = "", fd: int | None = None) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self.path: Path | None = None
        self.n_exceptions = 0
        self._file: TextIO | None = None
        if fd is not None:
            self._file = os.fdopen(os.dup(fd), "w")
        else:
            self._open(prefix)

    def _open(self, prefix: str) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        for number in range(1, 1000):
            more = f"-{number}" if number > 1 else ""
            path = Path(f"{prefix}.paramsurvey-{stamp}{more}.log").absolute()
            try:
                self._file, self.path = path.open("x"), path
            except FileExistsError:
                continue
            except OSError as error:
                warnings.warn(PsyflowWarning(f"There is no log file: {error}"), stacklevel=5)
            return

    def begin(self) -> None:
        """Write down when, where and with what the survey begins."""
        from psyflow import __version__

        self.write(f"begin on {socket.gethostname()}: {sys.argv}")
        self.write(f"Python {platform.python_version()}, psyflow {__version__}, in {Path.cwd()}")
        for name in sorted(os.environ):
            if name.startswith(("PARAMSURVEY_", "PSYFLOW_")):
                self.write(f"{name}={os.environ[name]}")

    def write(self, text: str) -> None:
        """Add a line, with the time."""
        if self._file is None or os.getpid() != self._pid:
            return
        with self._lock:
            self._file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text.rstrip()}\n")
            self._file.flush()

    def exception(self, pset: object, what: str, traceback: str) -> None:
        """Add what a worker raised."""
        self.n_exceptions += 1
        self.write(f"{what}\npset: {pset}\n{traceback}")

    def close(self) -> None:
        """Write down that the survey has ended."""
        self.write("end")
        if self._file is not None:
            self._file.close()
            self._file = None
