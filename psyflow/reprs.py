"""Values in messages: cut where they are long, whatever their classes do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

__all__ = ["pset_repr", "safe_repr"]

_SUMMARIZED = 1000
"""From this size on, NumPy shows an array's ends only, unless it is told otherwise."""
_NO_REPR: Any = object.__repr__
_NUMBERS = frozenset({bool, int, float})
_BRACKETS: dict[type, tuple[str, str]] = {list: ("[", "]"), tuple: ("(", ")"), dict: ("{", "}")}


def pset_repr(pset: Mapping[str, Any], limit: int = 500) -> dict[str, str]:
    """Return the ``repr`` of each value, cut to `limit` characters, for failure records."""
    return {name: safe_repr(value, limit) for name, value in pset.items()}


def safe_repr(value: Any, limit: int) -> str:
    """Return ``repr(value)``, cut to `limit` characters, even if the value's class has none.

    Of text, lists, tuples, dicts and arrays, no more is shown than is returned. Of what Python
    only tells where in memory it is, the attributes are shown, which tell one from another.

    Examples
    --------
    >>> safe_repr([1, 2], 20), safe_repr(list(range(10**6)), 20)
    ('[1, 2]', '[0, 1, 2, 3, 4, 5, …')
    """
    text = ""
    try:
        is_number = type(value) in _NUMBERS
        for piece in (repr(value),) if is_number else _repr_pieces(value, limit, ()):
            text += piece[: limit + 1]
            if len(text) > limit:
                return f"{text[: limit - 1]}…"
    except BaseException as error:
        # The values are the user's, and so may be what they raise.
        return f"<{type(value).__name__} whose repr raises {type(error).__name__}>"[:limit]
    return text


def _repr_pieces(value: Any, limit: int, within: tuple[int, ...]) -> Iterator[str]:
    """Yield the parts of ``repr(value)``; the ids of what it is in tell when it is in itself."""
    kind = type(value)
    if kind in (str, bytes) and len(value) > limit:
        yield repr(value[: limit + 1])
    elif kind is np.ndarray and value.size > _SUMMARIZED:
        with np.printoptions(threshold=_SUMMARIZED, edgeitems=3):
            yield repr(value)
    elif kind in _BRACKETS:
        yield from _container_pieces(value, limit, within)
    elif kind.__repr__ is _NO_REPR and type(kind) is type and hasattr(value, "__dict__"):
        yield from _instance_pieces(value, limit, within)
    else:
        yield repr(value)


def _instance_pieces(value: Any, limit: int, within: tuple[int, ...]) -> Iterator[str]:
    if id(value) in within:
        yield "..."
        return
    within = (*within, id(value))
    yield f"{type(value).__name__}("
    for number, (name, attribute) in enumerate(vars(value).items()):
        yield f"{', ' if number else ''}{name}="
        yield from _repr_pieces(attribute, limit, within)
    yield ")"


def _container_pieces(value: Any, limit: int, within: tuple[int, ...]) -> Iterator[str]:
    begin, end = _BRACKETS[type(value)]
    if id(value) in within:
        yield f"{begin}...{end}"
        return
    within = (*within, id(value))
    yield begin
    for number, element in enumerate(value):
        yield ", " if number else ""
        yield from _repr_pieces(element, limit, within)
        if type(value) is dict:
            yield ": "
            yield from _repr_pieces(value[element], limit, within)
    yield f",{end}" if type(value) is tuple and len(value) == 1 else end
