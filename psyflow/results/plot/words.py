"""Texts in pictures: names as they are, whatever matplotlib would make of them."""

from __future__ import annotations

import bisect
import contextlib
import functools
from collections.abc import Callable, Iterable

from psyflow.results.meaning import Meaning
from psyflow.texts import printable

__all__ = ["fonts_for", "label", "shortened", "verbatim", "wrapped"]

_MOST = 60


def verbatim(text: str) -> str:
    r"""Return what matplotlib has to be given to show `text` as it is, in one line.

    Characters that no font here has are shown as escapes.

    Examples
    --------
    >>> verbatim("cost of $x$")
    'cost of \\$x\\$'
    """
    line = printable(" ".join(text.split()))
    return "".join(map(_shown, line)).replace("$", "\\$")


def label(meaning: Meaning, name: str, most: int = _MOST) -> str:
    r"""Return the label of a column or an axis; formulas in the task file's own words are set.

    Examples
    --------
    >>> label(Meaning(labels={"tau": r"$\tau_m$"}, units={"tau": "ms"}), "tau")
    '$\\tau_m$ (ms)'
    """
    text = " ".join(meaning.label(name).split())
    is_own = name in meaning.labels or name in meaning.units
    if is_own and "$" in text and "$" not in name and _is_formula(text):
        return text
    return verbatim(shortened(text, most))


def shortened(text: str, most: int) -> str:
    """Return `text` with an ellipsis in place of what is too much.

    Examples
    --------
    >>> shortened("learning rate", 10)
    'learning …'
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def wrapped(text: str, fits: Callable[[str], bool]) -> str:
    r"""Return `text` in lines that fit; a word that does not fit alone is cut.

    Examples
    --------
    >>> wrapped("a bcd e", lambda line: len(line) < 4)
    'a\nbcd\ne'
    """
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        if fits(longer):
            lines[-1] = longer
            continue
        lines += [word] if lines[-1] else []
        lines[-1] = word
        while not fits(lines[-1]) and len(lines[-1]) > 1:
            n = _n_fitting(lines[-1], fits)
            lines[-1:] = [lines[-1][:n], lines[-1][n:]]
    return "\n".join(lines)


def _n_fitting(text: str, fits: Callable[[str], bool]) -> int:
    """Return how many characters of a text fit, at least one, in few trials: each sets a line."""
    lengths = range(1, len(text))
    return max(1, bisect.bisect_left(lengths, True, key=lambda n: not fits(text[:n])))


def _is_formula(text: str) -> bool:
    from matplotlib.mathtext import MathTextParser

    with contextlib.suppress(ValueError):
        MathTextParser("path").parse(text)
        return True
    return False


def _shown(character: str) -> str:
    is_known = character.isascii() or _font_with(character) is not None
    return character if is_known else ascii(character)[1:-1]


@functools.cache
def _font_with(character: str) -> str | None:
    """Return the name of a font that has a character, the usual one first."""
    from matplotlib import font_manager

    usual = font_manager.findfont("DejaVu Sans")
    if _has(usual, character):
        return "DejaVu Sans"
    # matplotlib has one with a box for every character there is.
    fonts = (f for f in font_manager.fontManager.ttflist if not f.name.startswith("Last Resort"))
    others = {font.fname: font.name for font in fonts}
    return next((name for file, name in others.items() if _has(file, character)), None)


@functools.lru_cache(maxsize=64)
def _characters(file: str) -> frozenset[int]:
    from matplotlib import font_manager

    try:
        return frozenset(font_manager.get_font(file).get_charmap())
    except (RuntimeError, OSError):
        return frozenset()  # a font of pictures, or one that is damaged


def _has(file: str, character: str) -> bool:
    return ord(character) in _characters(file)


def fonts_for(texts: Iterable[str]) -> list[str]:
    """Return the names of fonts that have the characters of some texts, as far as there are any.

    Examples
    --------
    >>> fonts_for(["loss", "τ"])
    ['DejaVu Sans']
    """
    strange = dict.fromkeys(c for text in texts for c in text if not c.isascii())
    found = [_font_with(character) for character in strange]
    return list(dict.fromkeys(["DejaVu Sans", *filter(None, found)]))
