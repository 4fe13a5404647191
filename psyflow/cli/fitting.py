"""Lines that fit a terminal: how wide texts are there, and where they may be continued."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TextIO

from psyflow.widths import width_of

__all__ = ["columns_of", "fitted"]

_INDENT = "  "
_PROGRAMS = ("psy", "ssh")
_ENDS = (".", ",", ";")


def columns_of(stream: TextIO) -> int:
    """Return how many places a line has on the terminal that a stream is."""
    if (said := os.environ.get("COLUMNS", "")).isdecimal() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def fitted(text: str, width: int, *, quotes: bool = True) -> str:
    """Return a message with its lines continued on the next where they do not fit.

    What is to be typed is not torn apart.

    Parameters
    ----------
    text : str
    width : int
        In places.
    quotes : bool
        Whether indented lines quote something, as tracebacks do, and stay as they are.

    Examples
    --------
    >>> print(fitted("lif: 2 of 9 items failed; see them: psy failures lif. Mend it.", 38))
    lif: 2 of 9 items failed; see them:
      psy failures lif. Mend it.
    """
    return "\n".join(
        line
        if width_of(line) <= width or (quotes and line[:1].isspace())
        else "\n".join(_broken(line, width))
        for line in text.split("\n")
    )


def _broken(line: str, width: int) -> Iterator[str]:
    text = line.lstrip()
    own = line[: len(line) - len(text)]
    first, *chunks = _chunks(text)
    taken = f"{own}{first}"
    for chunk in chunks:
        if width_of(taken) + 1 + width_of(chunk) <= width:
            taken = f"{taken} {chunk}"
        else:
            yield taken
            taken = f"{own}{_INDENT}{chunk}"
    yield taken


def _chunks(line: str) -> Iterator[str]:
    """Yield the words of a line, those of a command together."""
    command: list[str] = []
    before = ""
    for word in line.split(" "):
        is_command = bool(command) or (before.endswith(":") and word in _PROGRAMS)
        before = word
        if not is_command:
            yield word
        else:
            command.append(word)
            if word.endswith(_ENDS):
                yield " ".join(command)
                command = []
    if command:
        yield " ".join(command)
