"""Where the programs of a pset run: its folder, with the files open that they print to."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from psyflow.command.removal import despite_rights
from psyflow.command.spare import Spare
from psyflow.system.files import write_all
from psyflow.system.identity import identity, identity_of

__all__ = ["RESERVED", "STDERR", "STDOUT", "USAGE", "Folder", "Place", "folder_of", "opened"]

STDOUT, STDERR = "stdout", "stderr"
USAGE = "command.json"
"""What ran, how it ended, and what it took."""
RESERVED = (STDOUT, STDERR, USAGE)
_PREDECESSOR_SECONDS = 15.0
_BLOCK = 1 << 20


class Folder(Protocol):
    """The argument ``ctx``, as far as a command needs it."""

    job: str
    attempt: int
    worker: int
    n_psets: int
    programs: Mapping[str, Any] | None

    @property
    def dir(self) -> Path:
        """The folder of the pset, which is made."""

    @property
    def place(self) -> Path:
        """Where that is, or will be."""

    def elsewhere(self) -> Path:
        """Take another folder for the pset."""


class _Temporary:
    """Stands for ``ctx`` where nobody gives one."""

    job = ""
    attempt = 1
    worker = 0
    n_psets = 1
    programs: Mapping[str, Any] | None = None

    def __init__(self, path: str) -> None:
        self.dir = self.place = Path(path)

    def elsewhere(self) -> Path:
        """Take another folder."""
        return Path(tempfile.mkdtemp(dir=self.dir))


@contextlib.contextmanager
def folder_of(context: Folder | None) -> Iterator[Folder]:
    """Give where programs run: where the worker says, or in a folder that goes when they end."""
    if context is not None:
        yield context
        return
    with tempfile.TemporaryDirectory(prefix="psyflow-") as path:
        yield _Temporary(path)


@dataclass(frozen=True)
class Place:
    """The folder of a pset, and the descriptors of the files that its programs print to."""

    folder: Path
    stdout: int
    stderr: int

    @property
    def streams(self) -> dict[str, int]:
        """The descriptors, by the names of the files."""
        return {STDOUT: self.stdout, STDERR: self.stderr}

    def put_back(self) -> None:
        """Have the files in the folder again, if a program has removed them when it tidied up."""
        despite_rights(self.folder, self._put_back)

    def _put_back(self) -> None:
        for name, fd in self.streams.items():
            path = f"{self.folder}/{name}"
            try:
                os.lstat(path)  # which tells also if nobody may look
            except FileNotFoundError:
                self.folder.mkdir(parents=True, exist_ok=True)
                with open(path, "xb", buffering=0) as file:  # noqa: PTH123
                    while block := os.pread(fd, _BLOCK, file.tell()):
                        write_all(file.fileno(), block)


@contextlib.contextmanager
def opened(context: Folder, spare: Spare | None) -> Iterator[Place]:
    """Take a pset's folder, once no earlier program works in it; both files are empty.

    Parameters
    ----------
    context : Folder
    spare : Spare, optional
        A folder that may become the pset's.
    """
    with contextlib.ExitStack() as stack:
        if spare is not None and spare.become(context.place):
            folder = context.place
            stdout = _open_alone(f"{folder}/{STDOUT}")
        else:
            folder, stdout = _taken(context)
        stack.callback(os.close, stdout)
        stderr = _open_alone(f"{folder}/{STDERR}")
        stack.callback(os.close, stderr)
        for fd in (stdout, stderr):
            # File systems take their time for it, also if there is nothing to cut off.
            if os.fstat(fd).st_size:
                os.ftruncate(fd, 0)
        yield Place(folder, stdout, stderr)


def _open_alone(file: str) -> int:
    """Open a file; a new one if a program that has left its process group still prints to it."""
    fd = _open(file)
    if not _lock(fd, 0.0):
        os.close(fd)
        os.unlink(file)  # noqa: PTH108
        fd = _open(file)
        _lock(fd, 0.0)
    return fd


def _taken(context: Folder) -> tuple[Path, int]:
    folder = context.dir
    while True:
        fd = despite_rights(folder, functools.partial(_open, f"{folder}/{STDOUT}"))
        is_free = _lock(fd, _PREDECESSOR_SECONDS)
        if is_free and identity(folder / STDOUT) == identity_of(fd):
            return folder, fd
        os.close(fd)
        # Whoever was at work in it has packed it meanwhile, or still is.
        folder = context.dir if is_free else context.elsewhere()


def _open(file: str) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)


def _lock(fd: int, seconds: float) -> bool:
    """Lock the output, once no other program has it; tell whether that was so within some time.

    One that has it may be one that cannot be killed, or of a job that was thought to be over.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            # The program inherits it with the descriptor, however its worker ends.
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        except OSError:
            return True  # a file system without locks
        else:
            return True
