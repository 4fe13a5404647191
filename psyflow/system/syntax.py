"""Parsing Python, also while other threads do."""

from __future__ import annotations

import ast

__all__ = ["parsed"]

_MOST_TRIES = 100


def parsed(source: str | bytes, filename: str = "<unknown>") -> ast.Module:
    """Parse a module, as `ast.parse` does.

    Raises
    ------
    SyntaxError, ValueError
        If it is not Python.

    Examples
    --------
    >>> type(parsed("y = 2").body[0]).__name__
    'Assign'
    """
    for _ in range(_MOST_TRIES):
        try:
            return ast.parse(source, filename)
        except SystemError:
            # Up to Python 3.11, all threads count in one number how deep they are, and check it at
            # the end. A lock would be of no help against the user's threads, nor after a fork.
            continue
    return ast.parse(source, filename)
