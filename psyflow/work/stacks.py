"""Where a worker is in the user's code: asked for from outside, or left by a crash.

Python's `faulthandler` writes it from within a signal handler, which runs no Python code and needs
no lock: so it answers in native code and in an endless loop, too. The signal comes to the thread
that writes outcomes, so that nothing of the item's is interrupted. It writes to a file in memory,
one for each slot, which outlives the worker.
"""

from __future__ import annotations

import contextlib
import faulthandler
import linecache
import os
import re
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from psyflow.system.descriptors import moved_up
from psyflow.texts import TRACEBACK_LIMIT, cut

__all__ = ["StackFile", "in_words"]

ANSWER_SECONDS = 2.0
_PAUSE = 0.005
_ENOUGH_LOOKS = 8
"""So often has it to be the same to be whole."""
_MOST_BYTES = 1 << 18
_NAME = "psyflow-stack"
_HEADING = "Stack of its process (most recent call last):"
_OTHER = "Another thread (most recent call last):"
_FATAL = b"Fatal Python error"
_THREAD = re.compile(r"^(?:Current thread|Thread) .*:$", re.MULTILINE)
_FRAME = re.compile(r'^  File "(.+)", line (\d+|\?+) in (.+)$', re.MULTILINE)
_OWN = Path(__file__).parents[1]
_CALLS = Path(__file__).with_name("evaluate.py")

_Frame = tuple[str, str, str]


def _number() -> int | None:
    """Return the signal that asks: one that hardly any program has a use for."""
    last: int | None = getattr(signal, "SIGRTMAX", None)
    return None if last is None else last - 3


def answer_here() -> None:
    """Have this thread be the one that is interrupted, and not one that runs the user's code."""
    if (number := _number()) is not None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number, number - 1])


class StackFile:
    """The file in which a worker leaves its stack; made by its supervisor, before it forks."""

    def __init__(self) -> None:
        try:
            fd = os.memfd_create(_NAME)
        except (AttributeError, OSError):
            with tempfile.TemporaryFile(buffering=0) as file:
                fd = os.dup(file.fileno())
        self._fd = moved_up(fd)
        self._id = self._what(self._fd)

    @staticmethod
    def _what(fd: int) -> tuple[int, int]:
        there = os.fstat(fd)
        return there.st_dev, there.st_ino

    def close(self) -> None:
        """Close it."""
        with contextlib.suppress(OSError):
            os.close(self._fd)

    def clear(self) -> None:
        """Forget what is in it."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)

    def serve(self) -> None:
        """Have this process write its stack when it is asked, and when it crashes."""
        with contextlib.suppress(OSError, ValueError, RuntimeError):
            # If it is enabled, only the file is changed, and a library (Ray is one) may have put
            # its own handlers in the place of these.
            faulthandler.disable()
            faulthandler.enable(self._fd)
            if (number := _number()) is not None:
                # Native code that waits would return too early, as if all were well.
                signal.pthread_sigmask(signal.SIG_BLOCK, [number, number - 1])
                faulthandler.register(number, self._fd)
                # With this one the process ends: it never comes back to the item.
                faulthandler.register(number - 1, self._fd, chain=True)

    def ask(self, pid: int) -> str:
        """Return the stack of a worker, in words; nothing if it does not answer."""
        number = _number()
        return "" if number is None else self._ask(pid, number)

    def ask_for_the_last_time(self, pid: int) -> str:
        """Do what `ask` does, and end the process thereby, if it answers."""
        number = _number()
        return "" if number is None else self._ask(pid, number - 1)

    def _ask(self, pid: int, number: int) -> str:
        if not self._listens(pid, number):
            return ""
        self.clear()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        return in_words(self._answer())

    def _answer(self) -> bytes:
        end, text, n_same = time.monotonic() + ANSWER_SECONDS, b"", 0
        # On a busy machine, whoever writes it may be held up in the middle.
        while time.monotonic() < end and n_same < _ENOUGH_LOOKS:
            time.sleep(_PAUSE)
            before, text = text, self._read()
            n_same = n_same + 1 if text and text == before else 0
        self.clear()
        return text

    def of_crash(self) -> str:
        """Return the stack that a worker has left which crashed; nothing if it has left none."""
        text = self._read()
        return in_words(text[text.index(_FATAL) :]) if _FATAL in text else ""

    def _read(self) -> bytes:
        return os.pread(self._fd, _MOST_BYTES, 0)

    def _listens(self, pid: int, number: int) -> bool:
        """Tell whether a process still has its handler, and the file: the user's code may not.

        Else the signal would end it, or what it writes be in a file of the user's.
        """
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            there = Path(f"/proc/{pid}/fd/{self._fd}").stat()
        except OSError:
            return False
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", status, re.MULTILINE)
        is_caught = caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)
        return is_caught and (there.st_dev, there.st_ino) == self._id


def in_words(dump: bytes) -> str:
    r"""Return what `faulthandler` has written as Python shows tracebacks, without our own part.

    Examples
    --------
    >>> dump = b'Current thread 0x1 (most recent call first):\n  File "a.py", line 2 in f\n'
    >>> print(in_words(dump))
    Stack of its process (most recent call last):
      File "a.py", line 2, in f
    """
    sections = _THREAD.split(dump.decode(errors="replace"))[1:]
    threads = [[_frame(found) for found in _FRAME.finditer(section)] for section in sections]
    own = [frames for frames in threads if _call(frames) is not None]
    others = [frames for frames in threads if _call(frames) is None and not _is_ours(frames)]
    shown = [(_HEADING, frames[: _call(frames)]) for frames in own]
    shown += [(_OTHER if shown else _HEADING, frames) for frames in others]
    return cut("\n".join(line for part in shown for line in _lines(*part)), TRACEBACK_LIMIT)


def _frame(found: re.Match[str]) -> _Frame:
    return found[1], found[2], found[3]


def _call(frames: Sequence[_Frame]) -> int | None:
    """Return which frame is psyflow's call of the user's function; None if there is none."""
    return next((i for i, frame in enumerate(frames) if Path(frame[0]) == _CALLS), None)


def _is_ours(frames: Sequence[_Frame]) -> bool:
    return any(Path(file).is_relative_to(_OWN) for file, _, _ in frames)


def _lines(heading: str, frames: Sequence[_Frame]) -> Iterator[str]:
    yield heading
    for file, line, function in reversed(frames):
        yield f'  File "{file}", line {line}, in {function}'
        if line.isdecimal() and (source := linecache.getline(file, int(line)).strip()):
            yield f"    {source}"
