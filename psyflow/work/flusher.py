"""A thread that brings outcomes to the disk while the user's function is busy."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from psyflow.work.stacks import answer_here

__all__ = ["FLUSH_SECONDS", "Flusher"]

FLUSH_SECONDS = 1.0
_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}


class Flusher:
    """A thread that flushes twice a second, while the function may be busy for hours."""

    def __init__(self, flush: Callable[[], None]) -> None:
        self._flush = flush
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="psyflow-flush", daemon=True)
        self._error: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """End, and wait until it has."""
        self._ending.set()
        self._thread.join()

    def raise_error(self) -> None:
        """Raise in the calling thread what ended this one."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        # A signal that came to this thread would not wake the main one from what it waits for.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _FAULTS)
        answer_here()
        while not self._ending.wait(FLUSH_SECONDS / 2):
            try:
                self._flush()
            except BaseException as error:
                self._error = error
                return
