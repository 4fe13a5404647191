"""How the processor rounds floats in this thread, and whether it takes the smallest ones for 0.

Nothing in Python changes that. But libraries of interval arithmetic do, functions called by
`ctypes`, and each library that was compiled with ``-ffast-math``, as it is loaded.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["rounding_here"]

Seen: TypeAlias = tuple[float, float, float, bool]

_ENVIRONMENT_BYTES = 512
"""More than C needs for it on any machine."""
_ONE, _STEP, _TINY = 1.0, 2.0**-52, 5e-310
_LITTLE, _MUCH = 0.25 * _STEP, 0.75 * _STEP


def rounding_here() -> tuple[Callable[[], Seen], Callable[[object], object]]:
    """Return what tells how floats are rounded, and what has it be as now.

    Examples
    --------
    >>> get, put = rounding_here()
    >>> own = get()
    >>> put(own)
    >>> get() == own
    True
    """
    environment = ctypes.create_string_buffer(_ENVIRONMENT_BYTES)
    library = None
    # Where C cannot tell, a process in which it was changed is replaced.
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.fegetenv(environment)

    def put(own: object) -> None:
        if library is not None:
            library.fesetenv(environment)

    return _seen, put


def _seen() -> Seen:
    # To the nearest, up, down and to 0 give different sums; asking C would take longer.
    # And where the smallest are 0, they equal it.
    return _ONE + _MUCH, _ONE + _LITTLE, -_ONE - _LITTLE, _TINY * _ONE > 0
