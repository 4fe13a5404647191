"""How spaces and values look in ``str`` and ``repr``: cut short where they are long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

__all__ = ["about", "joined", "values_text"]

_SHOWN_OPERANDS = 6
_SHOWN_VALUES = 20


def about(names: Iterable[str], what: str) -> str:
    """Return a sentence on each of some names.

    Examples
    --------
    >>> about(["a", "b"], "is unknown")
    'Key `a` is unknown. Key `b` is unknown.'
    """
    return " ".join(f"Key `{name}` {what}." for name in names)


def joined(operator: str, operands: Sequence[str]) -> str:
    """Join the texts of operands; of no operands, the neutral space is left.

    Examples
    --------
    >>> joined(" + ", ["a", "b"]), joined(" + ", list("abcdefgh"))
    ('a + b', 'a + b + c + … + h')
    """
    if len(operands) > _SHOWN_OPERANDS:
        operands = [*operands[:3], "…", operands[-1]]
    return operator.join(operands) or "Param()"


def values_text(values: Sequence[Any] | np.ndarray[Any, Any]) -> str:
    """Return the values of a parameter as an expression, on one line.

    Examples
    --------
    >>> values_text([1, 2]), values_text(list(range(1000)))
    ('[1, 2]', '[0, 1, 2, ..., 997, 998, 999]')
    """
    if isinstance(values, list) and len(values) > _SHOWN_VALUES:
        head, tail = map(repr, values[:3]), map(repr, values[-3:])
        return f"[{', '.join([*head, '...', *tail])}]"
    if isinstance(values, np.ndarray):
        text = np.array2string(values, separator=", ", threshold=_SHOWN_VALUES)
        return f"array({' '.join(text.split())})"
    return repr(values)
