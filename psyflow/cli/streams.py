"""The doors by which all that `psy` prints leaves: what a user's data says, and who listens."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any, TextIO, cast

from psyflow.texts import printable

__all__ = ["Door", "as_they_are", "doors", "drawing_board", "let_go"]


class Door:
    """A standard stream that harms no terminal, and that nobody need listen to.

    On a terminal, control characters are shown as escapes: what exceptions, logs and names hold is
    not for it to obey.

    Parameters
    ----------
    stream : text stream
    must_arrive : bool
        Whether an error in writing is one for the caller. If not, nothing more is written.
    escapes : bool, optional
        Whether control characters are shown as escapes; by default, if it is a terminal.
    """

    def __init__(self, stream: TextIO, *, must_arrive: bool, escapes: bool | None = None) -> None:
        self.stream = stream
        self._must_arrive = must_arrive
        self._escapes = stream.isatty() if escapes is None else escapes

    def write(self, text: str) -> int:
        """Write `text`, and return its length."""
        shown = printable(text) if self._escapes else text
        self._attempt(lambda: self.stream.write(shown))
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        self._attempt(self.stream.flush)

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (OSError, ValueError):
            if self._must_arrive:
                raise
            let_go(self.stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def doors(*, must_arrive: bool) -> Iterator[None]:
    """Have the standard streams be doors.

    Parameters
    ----------
    must_arrive : bool
        Whether what is printed on stdout is what the command is for. Messages on stderr never are.
    """
    with _streams(
        _door(sys.stdout, must_arrive=must_arrive), _door(sys.stderr, must_arrive=False)
    ):
        yield


@contextlib.contextmanager
def as_they_are() -> Iterator[None]:
    """Have the standard streams be no doors, for what the user runs in the foreground."""
    with _streams(_bare(sys.stdout), _bare(sys.stderr)):
        yield


def drawing_board(stream: TextIO) -> TextIO:
    """Return a stream for what draws on the terminal, and shows nothing as it is."""
    return cast(TextIO, Door(_bare(stream), must_arrive=False, escapes=False))


def let_go(stream: TextIO) -> None:
    """Flush a stream; if nobody takes that, have what it holds and what follows go nowhere.

    Or else it would turn up as an error when Python flushes it at exit.
    """
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


@contextlib.contextmanager
def _streams(out: TextIO, err: TextIO) -> Iterator[None]:
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _door(stream: TextIO, *, must_arrive: bool) -> TextIO:
    return cast(TextIO, Door(stream, must_arrive=must_arrive))


def _bare(stream: TextIO) -> TextIO:
    return stream.stream if isinstance(stream, Door) else stream
