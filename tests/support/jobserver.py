"""Jobs of `psy run` in the process of the tests, without the start of an interpreter each.

`psy` as a program forks its jobs. The process of the tests cannot be forked for that: it has
threads, and has run the code of many studies. So another one is there for it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, NoReturn

from psyflow import job
from psyflow.run.command import job_command
from psyflow.scheduler.forkserver import ForkServer, serve
from psyflow.scheduler.immediate import Process, start_program

__all__ = ["JobServer", "be_server"]

MODULES = ["psyflow.run.process", "threadpoolctl"]
# What a job may be told when it has begun. All else may be read at the start of an interpreter.
# The last ones are set by joblib, polars and Ray, wherever these are imported.
TOLD_LATER = ("COLUMNS", "PSYFLOW_", "PYTEST_", "KMP_INIT_AT_FORK", "_RJEM_MALLOC_CONF", "RAY_")


class JobServer(ForkServer):
    """A fork server that is a program; it begins with the first job."""

    def __init__(self) -> None:
        super().__init__(job_command([sys.executable]), _do_job)
        self._environment = dict(os.environ)
        self._tests = os.getpid()
        self._program: subprocess.Popen[bytes] | None = None
        self._beginning = threading.Lock()

    def start(self, args: list[str], output: IO[bytes]) -> Process:
        """Start a command that prints to `output`."""
        if os.getpid() != self._tests or not self._can_do(args):
            return start_program(args, output)
        with self._beginning:
            if self._program is None or self._program.poll() is not None:
                self._begin()
        return super().start(args, output)

    def end(self) -> None:
        """Let it end."""
        if self._program is not None and os.getpid() == self._tests:
            self._socket.close()
            self._program.wait()

    def _begin(self) -> None:
        if self._program is not None:
            # A test has ended it, and the job that kept it busy.
            self._socket.close()
            self._free = threading.Lock()
        self._socket, theirs = socket.socketpair()
        root = str(Path(__file__).parents[2])
        source = f"import sys; sys.path.insert(0, {root!r}); from {__name__} import be_server\n"
        source += f"del sys.path[0]; be_server({self._tests}, {theirs.fileno()})"
        with theirs:
            self._program = subprocess.Popen(
                [sys.executable, "-P", "-c", source],
                env=self._environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )

    def _can_do(self, args: list[str]) -> bool:
        is_environment_same = _at_start(os.environ) == _at_start(self._environment)
        return is_environment_same and args[: len(self._command)] == self._command

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
