"""How many places texts take on a terminal, where not every character takes one."""

from __future__ import annotations

import unicodedata

__all__ = ["cut_to", "width_of"]


def width_of(text: str) -> int:
    """Return how many places a text takes on a terminal.

    Examples
    --------
    >>> width_of("abc"), width_of("日本"), width_of("e\u0301")
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(map(_places, text))


def _places(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut_to(text: str, width: int) -> str:
    """Return a text without its end if it takes more than so many places.

    Examples
    --------
    >>> cut_to("日本語", 6), cut_to("日本語", 5)
    ('日本語', '日本…')
    """
    if width_of(text) <= width:
        return text
    taken, end = 0, 0
    for end, character in enumerate(text):  # noqa: B007
        taken += _places(character)
        if taken > width - 1:
            break
    return f"{text[:end]}…"
