"""Parameter sets and result rows as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["pset_text", "value_text"]

_LONGEST = 200


def value_text(value: Any) -> str:
    """Return a value as Python would be given it, cut if it is long.

    Examples
    --------
    >>> value_text(np.float64(0.5)), value_text(np.arange(3)), value_text("a")
    ('0.5', 'array([0, 1, 2])', "'a'")
    """
    plain = value.item() if isinstance(value, np.number | np.bool_ | np.str_) else value
    text = " ".join(repr(plain).split()) if isinstance(plain, np.ndarray) else repr(plain)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def pset_text(pset: Mapping[str, Any]) -> str:
    """Return a parameter set as text.

    Examples
    --------
    >>> pset_text({"a": np.int64(1), "b": "x"})
    "{'a': 1, 'b': 'x'}"
    """
    return f"{{{', '.join(f'{name!r}: {value_text(value)}' for name, value in pset.items())}}}"
