"""Texts that others have made: cut where they are long, and harmless where they are shown.

An exception may have a message of any length, or one that cannot be had at all, and may hold what
a terminal takes for commands. Nothing here raises, and nothing holds more than what it returns.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
import traceback
from collections.abc import Iterable
from types import CodeType, TracebackType
from typing import TypeAlias

__all__ = [
    "MESSAGE_LIMIT",
    "TRACEBACK_LIMIT",
    "cut",
    "cut_joined",
    "exception_text",
    "last_lines",
    "message_of",
    "printable",
    "traceback_text",
    "users_frames",
]

MESSAGE_LIMIT = 10_000
TRACEBACK_LIMIT = 40_000
"""Characters of an exception's message, and of a traceback, that are kept."""

_REMEDIES = {
    ("EOFError", "EOF when reading a line"): "Nobody is there to answer `input()`: make it a "
    "parameter, or read it from a file.",
    ("BdbQuit", None): "There is no terminal for `breakpoint()` here: psy debug has one.",
}
"""What to do about exceptions, by class and message, that mean the same whoever raises them."""

_Places: TypeAlias = "tuple[tuple[int, int], ...]"

_HEADING = "Traceback (most recent call last):\n"
_PACKAGE = f"{os.path.dirname(__file__)}{os.sep}"  # noqa: PTH120 (as code objects have it)
_ELABORATE = (SyntaxError, NameError, AttributeError, ImportError)
_MOST_FRAMES = 32
_LAST_LINES = 10
_LAST_BYTES = 2000
_MOST_SHOWN = 256
_shown: dict[_Places, tuple[list[str], list[CodeType]]] = {}

# A line feed and a tab move nothing that has been shown, nor does what Windows ends lines with.
_COMMANDS = re.compile("(?!\r\n)[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Return `text` with control characters, and those that turn text around, as escapes.

    Examples
    --------
    >>> print(printable("\x1b[31mred\x1b[0m,\ttab, \u202e"))
    \x1b[31mred\x1b[0m,	tab, \u202e
    """
    return _COMMANDS.sub(lambda found: ascii(found[0])[1:-1], text)


def cut(text: str, limit: int) -> str:
    """Return `text`, without its middle if it is longer than `limit` characters.

    Examples
    --------
    >>> cut("abc", 10), cut("a" * 5 + "b" * 50_000 + "c" * 5, 10)
    ('abc', 'aaaaa … 50 000 characters left out … ccccc')
    """
    return text if len(text) <= limit else cut_joined([text], limit)


def cut_joined(pieces: Iterable[str], limit: int) -> str:
    """Return `pieces` joined and cut to `limit` characters, without ever holding all of them.

    Examples
    --------
    >>> cut_joined(["ab", "cd", "ef"], 10), cut_joined(["ab", "cd", "ef"], 4)
    ('abcdef', 'ab … 2 characters left out … ef')
    """
    remaining = iter(pieces)
    begin: list[str] = []
    length = 0
    for piece in remaining:
        begin.append(piece)
        length += len(piece)
        if length > limit:
            return _cut_joined(itertools.chain(begin, remaining), limit)
    return "".join(begin)


def _cut_joined(pieces: Iterable[str], limit: int) -> str:
    room, n_last = limit - limit // 2, limit // 2
    first, last, n_rest = "", "", 0
    for piece in pieces:
        at = room - len(first)
        first += piece[:at]
        n_rest += max(0, len(piece) - at)
        last = (last + piece[max(at, len(piece) - n_last) :])[-n_last:]
    n_left_out = f"{n_rest - n_last:,}".replace(",", " ")
    return f"{first} … {n_left_out} characters left out … {last}"


def message_of(error: BaseException) -> str:
    """Return the text of an exception, cut, or what became of the attempt to get it."""
    try:
        text = str(error)
        # Of a class of its own, even its length may be anything.
        return cut(text if type(text) is str else str.__str__(text), MESSAGE_LIMIT)
    except BaseException as second:
        return f"(no message: its text raises {type(second).__name__})"


def exception_text(error: BaseException) -> str:
    """Return the class and the message of an exception, cut; of a program's, with its last words.

    Examples
    --------
    >>> exception_text(ValueError("no luck"))
    'ValueError: no luck'
    >>> exception_text(AssertionError())
    'AssertionError'
    """
    name, message = cut(type(error).__name__, 200), message_of(error)
    said = f"{name}: {message}{_last_words_of(error)}" if message else name
    remedy = _REMEDIES.get((name, message)) or _REMEDIES.get((name, None))
    return f"{said}. {remedy}" if remedy else said


def last_lines(text: bytes) -> str:
    r"""Return how a text of any size and encoding ends, indented.

    Examples
    --------
    >>> last_lines(b"reading\n\nno such mesh\n")
    '  reading\n  no such mesh'
    """
    lines = text[-_LAST_BYTES:].decode(errors="replace").splitlines()
    lines = [line.rstrip() for line in lines if line.strip()]
    return "\n".join(f"  {printable(line)}" for line in lines[-_LAST_LINES:])


def _last_words_of(error: BaseException) -> str:
    """Say how the output ends that `subprocess` has captured of a program that failed."""
    # Where nobody has imported it, no such error can be.
    of_programs = getattr(sys.modules.get("subprocess"), "SubprocessError", None)
    if of_programs is None or not isinstance(error, of_programs):
        return ""
    for name, what in (("stderr", "standard error"), ("output", "output")):
        printed = getattr(error, name, None)
        if isinstance(printed, str):
            printed = printed[-_LAST_BYTES:].encode(errors="replace")
        if isinstance(printed, bytes) and (tail := last_lines(printed)):
            return f" Its {what} ends:\n{tail}"
    return ""


def _note_last_words(error: BaseException | None) -> None:
    """Have tracebacks tell the last words of programs, also where another exception followed."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        words = _last_words_of(error).strip()
        if words and words not in getattr(error, "__notes__", ()):
            error.add_note(words)
        error = error.__cause__ or error.__context__


def traceback_text(error: BaseException, frames: TracebackType | None) -> str:
    """Return the traceback of an exception from `frames` on, as Python shows it, but cut."""
    try:
        _note_last_words(error)
        shown = _traceback_pieces(error, frames)
        return cut_joined((cut(piece, MESSAGE_LIMIT) for piece in shown), TRACEBACK_LIMIT)
    except BaseException as second:
        return f"(no traceback: showing it raises {type(second).__name__})"


def _traceback_pieces(error: BaseException, frames: TracebackType | None) -> Iterable[str]:
    """Yield the pieces of a traceback; the same frames, where many items fail, are shown once."""
    places = _places(frames)
    is_alone = error.__cause__ is None and error.__context__ is None
    if not (places and is_alone) or isinstance(error, BaseExceptionGroup):
        return traceback.TracebackException(type(error), error, frames, compact=True).format()
    if (found := _shown.get(places)) is None:
        shown = traceback.TracebackException(type(error), error, frames, compact=True)
        if len(_shown) >= _MOST_SHOWN:
            _shown.clear()
        # With what they are of: else another could get the same number.
        found = _shown[places] = [*shown.stack.format()], _codes(frames)
    return itertools.chain([_HEADING], found[0], _last_line(error))


def _last_line(error: BaseException) -> Iterable[str]:
    """Yield how Python shows an exception without its frames."""
    # Of some, Python tells more, such as what else a name may have been meant to be.
    if isinstance(error, _ELABORATE) or hasattr(error, "__notes__"):
        last = traceback.TracebackException(type(error), error, None, compact=True)
        return last.format_exception_only()
    kind = type(error)
    module = "" if kind.__module__ in ("__main__", "builtins") else f"{kind.__module__}."
    try:
        message = str(error)
    except BaseException:
        message = "<exception str() failed>"
    return [
        f"{module}{kind.__qualname__}: {message}\n"
        if message
        else f"{module}{kind.__qualname__}\n"
    ]


def _places(frames: TracebackType | None) -> _Places:
    """Return where the frames of a traceback are; nothing if they are very many."""
    places: list[tuple[int, int]] = []
    while frames is not None and len(places) <= _MOST_FRAMES:
        places.append((id(frames.tb_frame.f_code), frames.tb_lasti))
        frames = frames.tb_next
    return tuple(places) if len(places) <= _MOST_FRAMES else ()


def _codes(frames: TracebackType | None) -> list[CodeType]:
    codes = []
    while frames is not None:
        codes.append(frames.tb_frame.f_code)
        frames = frames.tb_next
    return codes


def users_frames(frames: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the first frame on that is not of psyflow; None if all are."""
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        frames = frames.tb_next
    return frames
