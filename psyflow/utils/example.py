"""A function to try things with; other processes can import it."""

from __future__ import annotations

from typing import Any

__all__ = ["square"]


def square(x: Any) -> dict[str, Any]:
    """Return the square of `x` as ``y``.

    Parameters
    ----------
    x : number or ndarray
        In any unit; ``y`` has its shape, and the unit's square.

    Examples
    --------
    >>> square(3)
    {'y': 9}
    """
    return {"y": x**2}
