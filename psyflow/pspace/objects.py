"""What counts of values that only their pickle tells apart, and which have nothing that counts."""

from __future__ import annotations

import copyreg
import io
import pickle
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from psyflow.exceptions import UnstableValueError
from psyflow.pspace.unpicklable import USE_PARTS, culprit, why_not, write_instead
from psyflow.reprs import safe_repr

__all__ = ["HashOfPart", "library_of", "pickled", "pickled_content"]

HashOfPart: TypeAlias = Callable[[Any], "bytes | None"]

_PICKLE_PROTOCOL = 4
_BY_NAME = "Define it at the top of a module under its name, or use a name for it."


class _ContentPickler(pickle.Pickler):
    """Pickles one object with its parts replaced by their hashes.

    So neither the order of a set, nor which equal parts are one object, nor NumPy's version shows.
    """

    def __init__(self, file: io.BytesIO, hash_of_part: HashOfPart) -> None:
        super().__init__(file, _PICKLE_PROTOCOL)
        self.fast = True
        self.dispatch_table = _registered()
        self._hash_of_part = hash_of_part

    def persistent_id(self, obj: Any) -> bytes | None:
        if obj is np.bool_:
            return b"numpy bool"  # Its name is not the same in NumPy 1 and 2.
        hashed = self._hash_of_part(obj)
        if hashed is None:
            _check_is_stable(obj)
        return hashed


def pickled(
    value: object, reducers: Mapping[type, Callable[[Any], Any]] = types.MappingProxyType({})
) -> bytes:
    """Return the pickle of `value`, in which NumPy's global generator stands by its name.

    Its state is another one in each process, and what is loaded is to be the global one again.

    Parameters
    ----------
    value : object
    reducers : mapping, optional
        What pickles the values of just these types.
    """
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=5)
    reducers = {**_registered(), **reducers}
    if (random := sys.modules.get("numpy.random.mtrand")) is not None:
        reducers[random.RandomState] = _random_state
    pickler.dispatch_table = reducers
    pickler.dump(value)
    return buffer.getvalue()


def _registered() -> dict[type, Callable[[Any], Any]]:
    """Return what is registered to pickle values of some types, exceptions left out.

    Some libraries, once they are used, have all exceptions pickled with their tracebacks: what an
    exception is made of does not depend on that.
    """
    known = copyreg.dispatch_table.items()
    return {kind: how for kind, how in known if not issubclass(kind, BaseException)}


def _random_state(value: Any) -> Any:
    from psyflow.pspace.contents import is_global_random_state  # which knows types of NumPy

    return "_rand" if is_global_random_state(value) else value.__reduce__()


class _Open(threading.local):
    """The objects being pickled, outermost first; a part that is one of them is a cycle."""

    def __init__(self) -> None:
        self.ids: list[int] = []


_open = _Open()


def pickled_content(value: object, hash_of_part: HashOfPart) -> bytes:
    """Return what tells `value` from other values.

    Parameters
    ----------
    value : object
    hash_of_part : callable
        Returns what stands for a part of it, or None if that part is to be pickled like it.

    Raises
    ------
    UnstableValueError
        If there is nothing.
    """
    if id(value) in _open.ids:
        return b"cycle to object %d" % _open.ids.index(id(value))
    _open.ids.append(id(value))
    try:
        buffer = io.BytesIO()
        _ContentPickler(buffer, hash_of_part).dump(value)
        return buffer.getvalue()
    except (UnstableValueError, RecursionError):
        raise
    except Exception as error:  # How an object is pickled is anybody's code.
        part = culprit(value)
        why = f"it cannot be pickled ({why_not(part, error)})"
        raise _unstable(part, why, _advice(part, error)) from error
    finally:
        _open.ids.pop()


def library_of(function: Any) -> str:
    """Return the outermost package in which a function without a module is found by its name.

    Raises
    ------
    UnstableValueError
        If there is none.
    """
    module = str(pickle.whichmodule(function, function.__name__))  # type: ignore[attr-defined]
    if getattr(sys.modules.get(module), function.__name__, None) is not function:
        raise _unstable(function, "it cannot be pickled (no module has it)", _BY_NAME)
    return module.partition(".")[0]


def _check_is_stable(value: object) -> None:
    # Some of them can be pickled, as long as they are not used up.
    if isinstance(value, Iterator) and type(value).__module__ in ("builtins", "itertools"):
        raise _unstable(value, "it is used up as it is read", "Use a list of what it gives.")


def _unstable(value: object, why: str, advice: str) -> UnstableValueError:
    return UnstableValueError(
        f"a value of type {type(value).__name__} has no stable content: {why}. {advice} "
        f"It is {safe_repr(value, 60)}."
    )


def _advice(value: object, error: Exception) -> str:
    advice = write_instead(value, error)
    if advice != USE_PARTS:
        return advice
    return "Use what it is made from, or a name for it, and make it in `execute`."
