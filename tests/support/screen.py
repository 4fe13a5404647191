"""Programs on a terminal of a size of the test's choice, and what is seen on it then."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.processes import PATIENCE

__all__ = ["Screen", "Shown", "cells_of", "on_screen"]

_PIECE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[()][A-Z0-9]|\r|\n|\x07|[^\x1b\r\n\x07]|\x1b")


def cells_of(text: str) -> int:
    """Return how many places a text takes on a terminal."""
    return sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


class Screen:
    """As much of a terminal as `psy` and rich make use of: lines, and a cursor that goes up.

    Attributes
    ----------
    wrapped : list of str
        The lines that did not fit, and were continued on the next one.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.wrapped: list[str] = []
        self._lines: list[list[str]] = [[]]
        self._row = self._column = 0

    def feed(self, text: str) -> None:
        """Show what a program has written."""
        for piece in _PIECE.finditer(text):
            if piece[2] is not None:
                self._obey(piece[1], piece[2])
            elif piece[0] == "\r":
                self._column = 0
            elif piece[0] == "\n":
                self._down()
            elif piece[0] >= " ":
                self._put(piece[0])

    @property
    def lines(self) -> list[str]:
        """What is seen, from the first line that was ever shown on."""
        return ["".join(line).rstrip() for line in self._lines]

    def _down(self) -> None:
        self._row, self._column = self._row + 1, 0
        while self._row >= len(self._lines):
            self._lines.append([])

    def _obey(self, numbers: str, command: str) -> None:
        number = int(numbers) if numbers.isdecimal() else 1
        if command == "A":
            self._row = max(0, self._row - number)
        elif command == "K" and numbers == "2":
            self._lines[self._row] = []
        elif command == "K":
            del self._lines[self._row][self._column :]

    def _put(self, character: str) -> None:
        width = _cells(character)
        if width == 0:
            return
        if self._column + width > self.columns:
            self.wrapped.append("".join(self._lines[self._row]))
            self._down()
        line = self._lines[self._row]
        line += " " * (self._column - len(line))
        # A wide one takes two places, of which the second holds nothing.
        line[self._column : self._column + width] = [character, *[""] * (width - 1)]
        self._column += width


class Shown(NamedTuple):
    """What a program has shown.

    Attributes
    ----------
    screen : Screen
    raw : str
        With all that the terminal obeys.
    status : int
        The exit code.
    """

    screen: Screen
    raw: str
    status: int


def on_screen(
    command: Sequence[str],
    folder: Path,
    columns: int,
    env: Mapping[str, str] | None = None,
    heed: Callable[[str, subprocess.Popen[bytes]], object] = lambda shown, process: None,
    typed: Mapping[str, str] | None = None,
) -> Shown:
    """Run a program whose streams are all one terminal, to its end.

    Parameters
    ----------
    command : sequence of str
    folder : Path
        Where it runs.
    columns : int
        How wide the terminal is.
    env : mapping, optional
        What its environment has besides.
    heed : callable
        Called with all that was shown, and the process, whenever it has shown more.
    typed : mapping, optional
        What is typed once something is shown.
    """
    to_type = dict(typed or {})
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    inherited = {name: v for name, v in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**inherited, "TERM": "xterm-256color", "PAGER": "cat", **(env or {})},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    written = b""
    while select.select([master], [], [], PATIENCE)[0]:
        try:
            read = os.read(master, 65536)
        except OSError:  # all have closed it
            break
        if not read:
            break
        written += read
        shown = written.decode(errors="replace")
        heed(shown, process)
        for question in [question for question in to_type if question in shown]:
            os.write(master, f"{to_type.pop(question)}\n".encode())
    os.close(master)
    status = process.wait(timeout=PATIENCE)
    raw = written.decode(errors="replace")
    screen = Screen(columns)
    screen.feed(raw)
    return Shown(screen, raw, status)
