"""A disk that fails at the k-th call, and `psy` on it.

`bad_disk.c` stands between the processes of a run and the C library; here are its settings, which
all of these processes share, and a process that forks `psy` when it has imported all of it: a
sweep over all calls has thousands of runs.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import json
import mmap
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from tests.support.processes import MARK

__all__ = ["ABSENT", "WAYS", "BadDisk", "Calls", "Ended", "Mode", "Psy", "Way", "unavailable"]

SOURCE = Path(__file__).with_name("bad_disk.c")
SECONDS = 180


class Calls(IntFlag):
    """What is done to files, in groups that fail together."""

    CREATE = 1
    WRITE = 2
    SYNC = 4
    NAME = 8
    CLOSE = 16
    LOOK = 32


class Mode(IntEnum):
    """What happens at the k-th call."""

    OFF = 0
    ONCE = 1
    FROM_THEN_ON = 2
    SHORT = 3
    SHORT_THEN_FULL = 4
    ABSENT = 5


_ROOM = Calls.CREATE | Calls.WRITE | Calls.SYNC
_ANY = _ROOM | Calls.NAME | Calls.CLOSE


@dataclass(frozen=True)
class Way:
    """A way in which a disk fails; errors take turns, as k grows."""

    mode: Mode
    calls: Calls
    errors: tuple[int, ...]

    def error(self, k: int) -> int:
        """Return the `errno` of the k-th call."""
        return self.errors[k % len(self.errors)]


WAYS = {
    "once": Way(Mode.ONCE, _ANY, (errno.EIO, errno.ESTALE)),
    "dead": Way(Mode.FROM_THEN_ON, _ANY, (errno.ESTALE, errno.EIO)),
    "full": Way(Mode.FROM_THEN_ON, _ROOM, (errno.ENOSPC, errno.EDQUOT)),
    "no inodes": Way(Mode.FROM_THEN_ON, Calls.CREATE, (errno.ENOSPC,)),
    "short": Way(Mode.SHORT, Calls.WRITE, (0,)),
    "short, then full": Way(Mode.SHORT_THEN_FULL, Calls.WRITE, (errno.ENOSPC, errno.EDQUOT)),
}
ABSENT = Way(Mode.ABSENT, Calls.LOOK, (errno.ENOENT,))


class _Settings(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_long),
        ("k", ctypes.c_long),
        ("mode", ctypes.c_int),
        ("error", ctypes.c_int),
        ("calls", ctypes.c_int),
        ("failed", ctypes.c_int),
        ("folder", ctypes.c_char * 1024),
        ("call", ctypes.c_char * 32),
        ("path", ctypes.c_char * 1024),
        ("absent", ctypes.c_char * 1024),
        ("known", ctypes.c_ulong * (1 << 14)),
    )


@functools.cache
def unavailable() -> str | None:
    """Return why no disk can be made to fail here, or None."""
    if sys.platform != "linux":
        return "only Linux has LD_PRELOAD"
    if _compiler() is None:
        return "there is no C compiler"
    with tempfile.TemporaryDirectory() as folder:
        try:
            _build(Path(folder) / "bad_disk.so")
        except subprocess.CalledProcessError as error:
            return f"{SOURCE.name} cannot be compiled: {error.stderr.decode()}"
    return None


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")


def _build(library: Path) -> None:
    program = _compiler()
    assert program is not None
    build = [program, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"]
    subprocess.run(build, check=True, capture_output=True)


class BadDisk:
    """The disk below `folder`, good until it is told to fail.

    Parameters
    ----------
    folder : Path
        What is to fail.
    scratch : Path
        Where its library and settings go.
    """

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.library, self.file = scratch / "bad_disk.so", scratch / "settings"
        _build(self.library)
        self.file.write_bytes(bytes(ctypes.sizeof(_Settings)))
        with self.file.open("r+b") as file:
            self._settings = _Settings.from_buffer(mmap.mmap(file.fileno(), 0))
        self._folder = str(folder).encode()

    @contextlib.contextmanager
    def failing(self, way: Way, k: int) -> Iterator[None]:
        """Have the k-th call fail in the processes of this disk, from 1; 0: only count them."""
        settings, error = self._settings, way.error(k)
        for name, value in (("count", 0), ("failed", 0), ("call", b""), ("path", b"")):
            setattr(settings, name, value)
        settings.absent, settings.folder = b"", self._folder
        ctypes.memset(settings.known, 0, ctypes.sizeof(settings.known))
        settings.k, settings.error, settings.calls = k or sys.maxsize, error, way.calls
        settings.mode = way.mode
        try:
            yield
        finally:
            settings.mode = Mode.OFF

    @property
    def count(self) -> int:
        """How many calls there were that might have failed."""
        return int(self._settings.count)

    @property
    def has_failed(self) -> bool:
        """Whether it came to the k-th call."""
        return bool(self._settings.path)

    @property
    def call(self) -> str:
        """The first call that failed."""
        return bytes(self._settings.call).decode()

    @property
    def path(self) -> Path:
        """What it was about."""
        return Path(bytes(self._settings.path).decode().removesuffix(" (deleted)"))


@dataclass(frozen=True)
class Ended:
    """A `psy` that has ended."""

    code: int
    out: str
    err: str


class Psy:
    """Runs `psy` in `folder`, whose files are on `disk`; for "load", `psyflow.load`.

    Parameters
    ----------
    folder : Path
    disk : BadDisk
    """

    def __init__(self, folder: Path, disk: BadDisk) -> None:
        self._folder, self._disk = folder, disk

    def __enter__(self) -> Self:
        environment = {"LD_PRELOAD": str(self._disk.library), "BAD_DISK": str(self._disk.file)}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.durability.bad_disk"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **environment, MARK: str(self._folder)},
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.communicate(timeout=SECONDS)

    @property
    def pid(self) -> int:
        """The process that forks them."""
        return self._server.pid

    def __call__(self, *arguments: str) -> Ended:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        out, err = (self._disk.file.with_name(name) for name in ("out", "err"))
        request = [str(self._folder), str(out), str(err), *arguments]
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        return Ended(code, out.read_text(), err.read_text())


def _serve() -> None:
    """Fork a `psy` for each line of the standard input, and print its exit code."""
    import threadpoolctl  # noqa: F401  # what the jobs import

    import psyflow.cli.commands.run
    import psyflow.cli.commands.status
    import psyflow.main
    import psyflow.runs.merge
    import psyflow.runs.process  # noqa: F401

    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _be_psy(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _be_psy(folder: str, out: str, err: str, *arguments: str) -> NoReturn:
    import psyflow
    from psyflow.main import main

    code = 1
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        for number, name in ((1, out), (2, err)):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), number)
        os.closerange(3, 64)
        os.chdir(folder)
        sys.path[0] = folder
        sys.argv[1:] = arguments
        if arguments[0] == "load":
            print(psyflow.load(arguments[1]))
            sys.exit(0)
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
