"""Parameter sets and result rows as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from psyflow.reprs import safe_repr

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
    # An array is shown on one line, which makes it shorter.
    is_array = isinstance(plain, np.ndarray)
    text = safe_repr(plain, 4 * _LONGEST if is_array else _LONGEST)
    text = " ".join(text.split()) if is_array else text
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def pset_text(pset: Mapping[str, Any]) -> str:
    """Return a parameter set as text.

    Examples
    --------
    >>> pset_text({"a": np.int64(1), "b": "x"})
    "{'a': 1, 'b': 'x'}"
    """
    return f"{{{', '.join(f'{name!r}: {value_text(value)}' for name, value in pset.items())}}}"
