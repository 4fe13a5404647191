"""Names of jobs: with a mark that no other job has, and for clusters that do not take just any."""

from __future__ import annotations

import base64
import os
import re

__all__ = ["from_name", "marked", "new_mark", "shortened", "to_name"]

LONGEST = 200
# Clusters take no colon, and psyflow no equals sign in the name of a task.
_FORBIDDEN = re.compile(r"""[\s/@\\*?"'`$&|;<>()\[\]{}!#,%^]""")
_MARK_LENGTH = 6


def new_mark() -> str:
    """Return a random word, which tells a job from all others of its name or of its number."""
    return base64.b32encode(os.urandom(5)).decode().lower()[:_MARK_LENGTH]


def marked(name: str, mark: str | None) -> str:
    """Return the name of a job with its mark, where whoever looks at the name is least disturbed.

    Examples
    --------
    >>> marked("circle:process", "k7fq2a"), marked("circle:process", None)
    ('circle:process.k7fq2a', 'circle:process')
    """
    return name if mark is None else f"{name}.{mark}"


def shortened(name: str, longest: int) -> str:
    """Return a name in at most `longest` bytes, which keeps its end: that is where the mark is.

    Examples
    --------
    >>> shortened("a-study-of-everything:process.k7fq2a", 20)
    'a-study-of-ev.k7fq2a'
    """
    data = name.encode()
    if len(data) <= longest:
        return name
    end = data[-1 - _MARK_LENGTH :]
    return (data[: longest - len(end)] + end).decode(errors="ignore")


def to_name(name: str) -> str:
    """Return a job's name as every cluster takes it.

    Examples
    --------
    >>> to_name("circle:process"), to_name("2:merge")
    ('circle=process', '_2=merge')
    """
    text = shortened(_FORBIDDEN.sub("_", name.replace(":", "=")), LONGEST)
    return text if text[:1].isalpha() else f"_{text}"


def from_name(text: str) -> str:
    """Return the name that `to_name` made `text` of, as far as that can be told.

    Examples
    --------
    >>> from_name("circle=process")
    'circle:process'
    """
    return text.replace("=", ":")
