"""Jobs of `psy run` in the process of the tests, without the start of an interpreter each.

`psy` as a program forks its jobs. The process of the tests cannot be forked for that: it has
threads, and has run the code of many studies. So another one is there for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, NoReturn

from psyflow import job
from psyflow.runs.command import job_command
from psyflow.scheduler.forkserver import ForkServer, serve
from psyflow.scheduler.immediate import Process, start_program

__all__ = ["JobServers", "be_server"]

MODULES = ["psyflow.runs.process", "threadpoolctl"]
# What a job may be told when it has begun. All else may be read at the start of an interpreter.
# The last ones are set by joblib, polars and Ray, wherever these are imported.
TOLD_LATER = ("COLUMNS", "PSYFLOW_", "PYTEST_", "KMP_INIT_AT_FORK", "_RJEM_MALLOC_CONF", "RAY_")
MOST_SERVERS = 3


class JobServers:
    """Fork servers that are programs, one for each environment that jobs are started in."""

    def __init__(self) -> None:
        self._tests = os.getpid()
        self._servers: dict[frozenset[tuple[str, str]], _JobServer] = {}
        self._choosing = threading.Lock()

    def start(self, args: list[str], output: IO[bytes]) -> Process:
        """Start a command that prints to `output`."""
        if os.getpid() != self._tests:
            return start_program(args, output)
        with self._choosing:
            server = self._chosen()
        return server.start(args, output)

    def end(self) -> None:
        """Let them end."""
        if os.getpid() == self._tests:
            for server in self._servers.values():
                server.end()
            self._servers.clear()

    def _chosen(self) -> _JobServer:
        present = frozenset(_at_start(os.environ).items())
        server = self._servers.pop(present, None)
        if server is not None and server.has_ended:
            server.end()
            server = None
        if server is None:
            # One that is not idle is kept, of those that were used last.
            idle = [key for key, other in self._servers.items() if not other.is_busy]
            for key in idle[: max(0, len(self._servers) - MOST_SERVERS + 1)]:
                self._servers.pop(key).end()
            server = _JobServer(self._tests)
        self._servers[present] = server
        return server


class _JobServer(ForkServer):
    """A fork server that is a program, for the environment that there is now."""

    def __init__(self, tests: int) -> None:
        super().__init__(job_command([sys.executable]), _do_job)
        self._socket, theirs = socket.socketpair()
        root = str(Path(__file__).parents[2])
        source = f"import sys; sys.path.insert(0, {root!r}); from {__name__} import be_server\n"
        source += f"del sys.path[0]; be_server({tests}, {theirs.fileno()})"
        with theirs:
            self._program = subprocess.Popen(
                [sys.executable, "-P", "-c", source],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    @property
    def has_ended(self) -> bool:
        """Whether a test has ended it, and the job that kept it busy."""
        return self._program.poll() is not None

    @property
    def is_busy(self) -> bool:
        return self._free.locked()

    def end(self) -> None:
        with self._socket, contextlib.suppress(OSError):
            # Not only closed: a process that a test has forked may have it, too.
            self._socket.shutdown(socket.SHUT_RDWR)
        self._program.wait()

    def _can_do(self, args: list[str]) -> bool:
        return args[: len(self._command)] == self._command

    def _fork(self, words: list[str], output: IO[bytes]) -> Any:
        told = {name: value for name, value in os.environ.items() if name.startswith(TOLD_LATER)}
        return super()._fork([json.dumps(told), *words], output)


def be_server(tests: int, fd: int) -> NoReturn:
    """Be the program: fork jobs for the process `tests`, which asks for them through `fd`."""
    os.set_inheritable(fd, False)
    # What a study may have is not to be found as ours.
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    serve(tests, socket.socket(fileno=fd), _do_job, MODULES)


def _do_job(words: list[str]) -> int:
    told, *words = words
    for name in list(os.environ):
        if name.startswith(TOLD_LATER):
            del os.environ[name]
    os.environ.update(json.loads(told))
    sys.argv[1:] = words
    return job.main(words)


def _at_start(environment: os._Environ[str] | dict[str, str]) -> dict[str, str]:
    return {n: value for n, value in environment.items() if not n.startswith(TOLD_LATER)}
