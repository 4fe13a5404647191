"""What no pickle holds: which part of a value that is, why, and what to write instead."""

from __future__ import annotations

import io
import pickle
import types
from collections.abc import Iterator
from typing import Any

__all__ = ["USE_PARTS", "culprit", "why_not", "write_instead"]

USE_PARTS = "Use what it is made from."


class _Witness(pickle.Pickler):
    """Remembers which object it was about to pickle last."""

    last: Any = None

    def persistent_id(self, obj: Any) -> None:
        self.last = obj


def culprit(value: object) -> object:
    """Return the part of a value that cannot be pickled; all of it if it is none of the parts.

    Examples
    --------
    >>> import sys
    >>> culprit({"a": [1, sys]})
    <module 'sys' (built-in)>
    """
    witness = _Witness(io.BytesIO(), protocol=5)
    try:
        witness.dump(value)
    except Exception:  # How an object is pickled is anybody's code.
        return witness.last
    return value


def why_not(value: object, error: BaseException) -> str:
    """Say why a value cannot be pickled, if pickling it raised `error`.

    Examples
    --------
    >>> why_not(lambda: 1, AttributeError("Can't pickle local object"))
    'it is a lambda, which no name leads to'
    """
    named = value if isinstance(value, type | types.FunctionType) else type(value)
    if isinstance(value, types.FunctionType) and value.__name__ == "<lambda>":
        return "it is a lambda, which no name leads to"
    if "<locals>" in str(error):
        what = "it" if named is value else "its class"
        return f"{what} is defined inside of a function, where no name leads to it"
    if "not the same object" in str(error):
        return f"the name {named.__qualname__} stands for another object by now"
    return str(error)


def write_instead(value: object, error: BaseException) -> str:
    """Return what to do instead of using a value that raised `error` when it was to be pickled.

    Examples
    --------
    >>> write_instead(lambda: 1, AttributeError("Can't pickle local object"))
    'Write it at the top of your file, as def NAME(...).'
    """
    if isinstance(value, types.FunctionType):
        return "Write it at the top of your file, as def NAME(...)."
    if isinstance(value, type) or "<locals>" in str(error):
        return "Define the class at the top of your file, with a name of its own."
    if isinstance(value, types.ModuleType):
        return "Use its name."
    if isinstance(value, io.IOBase):
        return "Use its path."
    if isinstance(value, memoryview):
        return "Use bytes."
    if isinstance(value, Iterator):
        return "Use a list of what it gives."
    return USE_PARTS
