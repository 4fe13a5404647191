"""Jobs of this machine without the start of an interpreter each: a fork does.

An interpreter that imports what a job needs takes longer than most small studies. A fork of `psy`
has imported it already, but would carry what loading the task files leaves: threads, open files,
contexts of GPUs. So a process is forked before any of the user's code runs, waits, and forks the
jobs. `multiprocessing` has the same idea, in its start method ``forkserver``.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn, TypeAlias

from psyflow.scheduler.immediate import Process, start_program
from psyflow.system.limits import need_no_threads
from psyflow.system.processes import (
    HANDLED,
    Signals,
    die_with_parent,
    flush_standard_streams,
    fork,
    received,
    signals_blocked,
)

__all__ = ["ForkServer", "serve"]

POLL_SECONDS = 1.0
_SIGNALS = {*HANDLED, signal.SIGHUP} - {signal.SIGCHLD}
_NUMBER = struct.Struct("<q")
_GET_READY = 0
"""In place of the length of a request: to import what jobs need."""

Main: TypeAlias = Callable[[list[str]], int]
Handlers: TypeAlias = Mapping[int, Any]


class ForkServer:
    """A process that forks jobs; to be entered while this one has run none of the user's code.

    It ends with this process, however that ends. Its jobs then see that their parent is gone.

    Parameters
    ----------
    command : sequence of str
        How the command lines begin that it can do; others are started as programs, and all are
        when the environment has changed.
    main : callable
        Does what the rest of such a command line says, and returns the exit status.
    modules : sequence of str
        What it imports before it forks a job, at the latest.
    """

    def __init__(self, command: Sequence[str], main: Main, modules: Sequence[str] = ()) -> None:
        self._command = list(command)
        self._main = main
        self._modules = modules
        self._free = threading.Lock()
        self._pid: int | None = None
        self._is_asked = False

    def __enter__(self) -> ForkServer:
        self._environment = dict(os.environ)
        self._socket, theirs = socket.socketpair()
        flush_standard_streams()
        self._psy = os.getpid()
        # If there is no process to be had, and a job is to be started, that says so.
        with theirs, signals_blocked(), contextlib.suppress(OSError):
            self._pid = fork()
            if self._pid == 0:
                self._socket.close()
                serve(self._psy, theirs, self._main, self._modules)
        return self

    def __exit__(self, *exc: object) -> None:
        if os.getpid() != self._psy:
            return  # in a process that the user's code has forked
        with self._socket:
            if self._pid is None:
                return
            # Not only closed: such a process may have it, too.
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def get_ready(self) -> None:
        """Have it import what jobs need while this process still prepares one."""
        if self._pid is not None and not self._is_asked and self._free.acquire(blocking=False):
            self._is_asked = True
            # If somebody has ended it, the first job finds out.
            with contextlib.suppress(OSError):
                self._socket.sendall(_NUMBER.pack(_GET_READY))
            self._free.release()

    def start(self, args: list[str], output: IO[bytes]) -> Process:
        """Start a command that prints to `output`; raises OSError if it cannot be started."""
        if self._can_do(args) and self._free.acquire(blocking=False):
            with contextlib.suppress(EOFError, OSError):
                return self._fork(args[len(self._command) :], output)
            # Somebody has ended it. It stays busy.
        return start_program(args, output)

    def _can_do(self, args: list[str]) -> bool:
        # Python and C libraries read variables at their start: TZ, PYTHONHASHSEED, OMP_PROC_BIND.
        is_environment_same = dict(os.environ) == self._environment
        return is_environment_same and args[: len(self._command)] == self._command

    def _fork(self, words: list[str], output: IO[bytes]) -> _Job:
        request = {"words": words, "cwd": str(Path.cwd())}
        text = json.dumps(request).encode()
        socket.send_fds(self._socket, [_NUMBER.pack(len(text))], [output.fileno()])
        self._socket.sendall(text)
        return _Job(_receive_number(self._socket), self._socket, self._free.release)


class _Job:
    """A job that was forked, with what `subprocess.Popen` offers of one that was started."""

    def __init__(self, pid: int, server: socket.socket, over: Callable[[], None]) -> None:
        self._pid = pid
        self._server = server
        self._over = over
        self._exit_code: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        if self._exit_code is None:
            if not select.select([self._server], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("job", timeout or 0.0)
            try:
                self._exit_code = _receive_number(self._server)
                self._over()
            except (EOFError, OSError):
                # Somebody has ended the server; the job notices, and ends, too.
                self._exit_code = -signal.SIGKILL
        return self._exit_code

    def send_signal(self, signum: int) -> None:
        # A signal handler calls this amid `wait`, from which it must take nothing away.
        has_ended = self._exit_code is not None or select.select([self._server], [], [], 0.0)[0]
        if not has_ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signum)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def serve(psy: int, requests: socket.socket, main: Main, modules: Sequence[str]) -> NoReturn:
    """Be a fork server: fork a job per request, one after the other, until nobody can ask.

    Parameters
    ----------
    psy : int
        The process that asks, which is the parent of this one.
    requests : socket.socket
        Where it asks.
    main, modules
        See `ForkServer`.
    """
    try:
        die_with_parent(psy)
        _close_inherited_files()
        # Those that come are meant for `psy` and its jobs, of the same process group.
        handlers: Handlers = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        while (received := _receive_request(requests, modules)) is not None:
            request, output = received
            with signals_blocked():
                pid = fork()
                if pid == 0:
                    requests.close()
                    _be_job(main, request, output, handlers)
            os.close(output)
            requests.sendall(_NUMBER.pack(pid))
            requests.sendall(_NUMBER.pack(_wait_for(pid, requests)))
    except (EOFError, OSError):
        pass  # psy is gone, or there is no process to be had, which psy finds out as well
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _close_inherited_files() -> None:
    """Close what whoever started `psy` had open, such as a lock, as in a program started by it."""
    # Without /proc they stay open. Python's own files are not inheritable.
    with contextlib.suppress(FileNotFoundError):
        for fd in [int(path.name) for path in Path("/dev/fd").iterdir()]:
            # The one that listed them is closed now.
            with contextlib.suppress(OSError):
                if fd > 2 and os.get_inheritable(fd):
                    os.close(fd)


def _wait_for(pid: int, requests: socket.socket) -> int:
    """Wait until a job has ended, and return its exit code; raise EOFError if nobody asks."""
    with Signals() as signals:
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            # While a job runs, nothing but the end can come.
            if select.select([requests], [], [], 0.0)[0]:
                raise EOFError
            signals.wait(POLL_SECONDS)


def _be_job(main: Main, request: dict[str, Any], output: int, handlers: Handlers) -> NoReturn:
    """Be a job, as if an interpreter had just been started for it."""
    status = 1
    try:
        _take_output(output)
        os.chdir(request["cwd"])
        sys.argv[1:] = request["words"]
        if not sys.flags.safe_path:
            sys.path[0] = request["cwd"]
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        status = main(request["words"])
    except KeyboardInterrupt:
        # As Python does at its end, so that whoever waits for this learns the reason.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
    finally:
        flush_standard_streams()
        # Not sys.exit: what `psy` registered to happen at its end is not ours to do.
        os._exit(status)


def _take_output(output: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(output)


def _receive_request(
    requests: socket.socket, modules: Sequence[str]
) -> tuple[dict[str, Any], int] | None:
    while True:
        start, fds, _, _ = socket.recv_fds(requests, _NUMBER.size, 1)
        if not start:
            return None
        _import(modules)
        (length,) = _NUMBER.unpack(start)
        if length != _GET_READY:
            return json.loads(received(requests, length)), fds[0]


def _import(modules: Sequence[str]) -> None:
    if any(module not in sys.modules for module in modules):
        gc.disable()
        for module in modules:
            importlib.import_module(module)
        need_no_threads()
        # A job would make a copy of all that its collector touches.
        gc.freeze()
        gc.enable()


def _receive_number(source: socket.socket) -> int:
    number: int = _NUMBER.unpack(received(source, _NUMBER.size))[0]
    return number
