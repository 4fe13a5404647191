"""A process that loads the user's code once, and is forked into the workers of a job.

To import what a task needs may take longer than its items, and each worker that did it would have
a copy of all that in memory. The supervisor cannot do it, since it runs none of the user's code.
So it forks a loader, which forks the workers when it is asked to, each by way of a process that
ends at once: thereby they are adopted by the supervisor, which waits for them as for its own.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import gc
import os
import pickle
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from psyflow.system.processes import flush_standard_streams, fork, received, signals_blocked

__all__ = ["Loader", "News"]

_NUMBER = struct.Struct("<q")
_READY, _UNFIT = b"+", b"-"
_ADOPTED = 0
_ADOPTION_SECONDS = 0.0002
ANSWER_SECONDS = 30.0
"""How long a loader may take to fork."""

Start: TypeAlias = "Callable[[Any], NoReturn]"


class News(enum.Enum):
    """What a loader has to say."""

    READY = "the code is loaded"
    UNFIT = "the code is loaded, but each worker has to do that itself"
    GONE = "it has ended"


class Loader:
    """The supervisor's side of a loader, which is forked after this is made.

    Attributes
    ----------
    is_ready : bool
        Whether it can be asked for workers.
    """

    def __init__(self) -> None:
        self.is_ready = False
        self._mine, self._its = socket.socketpair()
        self._pid = 0

    def begun(self, pid: int) -> None:
        """Take note, in the supervisor, that it was forked, and leads a process group."""
        self._its.close()
        self._pid = pid

    def news(self) -> News | None:
        """Return what it says about loading; None as long as that goes on."""
        if not select.select([self._mine], [], [], 0.0)[0]:
            return None
        said = self._mine.recv(1)
        self.is_ready = said == _READY
        return {_READY: News.READY, _UNFIT: News.UNFIT}.get(said, News.GONE)

    def fork(self, what: object) -> int:
        """Have it fork a worker, which is told `what`, and return its process number.

        Raises
        ------
        ConnectionError
            If the loader is gone.
        OSError
            If there can be no further process.
        """
        request = pickle.dumps(what)
        try:
            self._mine.sendall(_NUMBER.pack(len(request)) + request)
            pid = self._answer()
            if pid != _ADOPTED:
                self._wait_for_adoption(pid)
                return pid
        except EOFError as error:
            self.is_ready = False
            raise ConnectionResetError("the loader is gone") from error
        except ConnectionError:
            self.is_ready = False
            raise
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def _answer(self) -> int:
        """Return what it says, or kill it if that takes too long: all else has to wait meanwhile.

        What it forks is in its group until that is a worker, of which it has told.
        """
        self._mine.settimeout(ANSWER_SECONDS)
        try:
            answer = received(self._mine, _NUMBER.size)
        except TimeoutError:
            self._mine.settimeout(None)
            os.killpg(self._pid, signal.SIGKILL)
            answer = received(self._mine, _NUMBER.size)
        number: int = _NUMBER.unpack(answer)[0]
        return number

    def _wait_for_adoption(self, pid: int) -> None:
        try:
            self._answer()
        except (EOFError, ConnectionError):
            # The loader has been killed. The worker lives, and there must be no other one for it.
            self.is_ready = False
            while not _is_child(pid):
                time.sleep(_ADOPTION_SECONDS)

    def end(self) -> None:
        """Have it end, if it is there still."""
        self.is_ready = False
        self._mine.close()

    def leave(self) -> None:
        """Let go, in a worker, of what only its supervisor and the loader talk by."""
        self._mine.close()
        self._its.close()

    # -- in the loader --------------------------------------------------------------------------

    def serve(self, supervisor: int, load: Callable[[], str], start: Start) -> int:
        """Load, and fork workers until the supervisor asks no more.

        Parameters
        ----------
        supervisor : int
            Its process number.
        load : callable
            Loads the code, and says what keeps this process from being forked; empty if nothing.
        start : callable
            Does what a worker does, in its process, given what it is told.
        """
        self._mine.close()
        if load():
            self._its.sendall(_UNFIT)
            return 0  # of which the supervisor hears by its end
        # What is buffered would be written by each worker, too.
        flush_standard_streams()
        # A worker would make a copy of all that its collector touches.
        gc.collect()
        gc.freeze()
        self._its.sendall(_READY)
        # As a child's end does, this wakes it.
        os.kill(supervisor, signal.SIGCHLD)
        try:
            while True:
                (length,) = _NUMBER.unpack(received(self._its, _NUMBER.size))
                self._fork(received(self._its, length), start)
        except (EOFError, OSError):
            return 0

    def _fork(self, request: bytes, start: Start) -> None:
        with signals_blocked():
            between = fork()
            if between == 0:
                self._fork_and_end(request, start)
        # The user's code may want to know of no child's end.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(between, 0)
        # Now the worker is the supervisor's.
        self._its.sendall(_NUMBER.pack(_ADOPTED))

    def _fork_and_end(self, request: bytes, start: Start) -> NoReturn:
        between = os.getpid()
        try:
            pid = fork()
            if pid == 0:
                while os.getppid() == between:
                    time.sleep(_ADOPTION_SECONDS)
                self.leave()
                start(pickle.loads(request))
            self._its.sendall(_NUMBER.pack(pid))
        finally:
            # If there could be no further process, the supervisor is told of none.
            os._exit(0)


def _is_child(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
