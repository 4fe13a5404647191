"""The conditions under which items run, as far as a process has them: the same for each.

Where relative names lead, what programs inherit, what a signal does, how numbers are rounded: all
that belongs to the process, and an item may change it. The next one would find it, and results
would depend on which worker had evaluated what before.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import decimal
import gc
import locale
import os
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from os import O_CLOEXEC, O_DIRECTORY, chdir, environ, fchdir, stat, umask
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Conditions"]

_NUMBERS = tuple(sorted({int(number) for number in signal.valid_signals()}))


class _Condition(NamedTuple):
    get: Callable[[], Any]
    put: Callable[[Any], object]
    is_of_imports: bool = True
    """Whether libraries set it as they are imported, once, and count on it."""


class Conditions:
    """What they are now, so that they can be put back later.

    Modules that were imported since may have changed some of them for good reasons: these stay.
    Modules of the standard library do not do that.

    Examples
    --------
    >>> conditions = Conditions()
    >>> conditions.changed()
    []
    >>> limit = sys.getrecursionlimit()
    >>> sys.setrecursionlimit(limit + 1)
    >>> conditions.put_back(conditions.changed())
    True
    >>> sys.getrecursionlimit() == limit, conditions.changed()
    (True, [])
    """

    def __init__(self) -> None:
        self._conditions = [
            *_conditions_of_folder(),
            *_conditions_of_signals(),
            *_conditions_of_python(),
            *_conditions_of_numbers(),
        ]
        self._getters = [condition.get for condition in self._conditions]
        self._own = [_copied(get()) for get in self._getters]
        self._modules = set(sys.modules)

    def changed(self) -> list[int]:
        """Tell which of them are not as they were, by their places; the fewer, the better."""
        present = [get() for get in self._getters]
        if present == self._own:
            if len(sys.modules) != len(self._modules):
                self._modules = set(sys.modules)
            return []
        pairs = zip(present, self._own, strict=True)
        return [place for place, (value, own) in enumerate(pairs) if value != own]

    def put_back(self, changed: Iterable[int]) -> bool:
        """Put back those which `changed` told, and tell whether there were any.

        Those that belong to what was imported meanwhile are as they should be from now on.
        """
        added = sys.modules.keys() - self._modules
        has_imported = any(name.partition(".")[0] not in sys.stdlib_module_names for name in added)
        self._modules = set(sys.modules)
        was_changed = False
        for place in changed:
            condition = self._conditions[place]
            if not (has_imported and condition.is_of_imports):
                was_changed = True
                condition.put(_copied(self._own[place]))
            # What is not to be put back stays as it is, such as a folder that is gone.
            if condition.get() != self._own[place]:
                self._own[place] = _copied(condition.get())
        return was_changed


def _copied(value: Any) -> Any:
    return value.copy() if type(value) in (list, dict, set) else value


def _conditions_of_folder() -> list[_Condition]:
    return [
        _folder(),
        # There is no other way to ask, and between two calls a thread might make a file.
        _Condition(_umask(), lambda own: None, is_of_imports=False),
    ]


def _folder() -> _Condition:
    path, identity = None, _identity_of(".")
    with contextlib.suppress(OSError):
        path = os.getcwd()  # noqa: PTH109 (it may be gone)
    fd = -1
    with contextlib.suppress(OSError):
        fd = os.open(".", getattr(os, "O_PATH", os.O_RDONLY) | O_DIRECTORY | O_CLOEXEC)

    def put(own: object) -> None:
        # By the descriptor, it is found wherever it was moved to; but items close descriptors,
        # and the number may be another file's by now.
        try:
            if _identity_of(fd) == identity:
                fchdir(fd)
                return
        except OSError:
            pass
        if path is not None and _identity_of(path) == identity:
            with contextlib.suppress(OSError):
                chdir(path)

    return _Condition(lambda: _identity_of("."), put, is_of_imports=False)


def _identity_of(folder: str | int) -> tuple[int, int] | None:
    try:
        state = stat(folder)  # noqa: PTH116 (the user's code may have replaced parts of Path)
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _umask() -> Callable[[], int]:
    own = umask(0o077)
    umask(own)
    return lambda: umask(own)


def _conditions_of_signals() -> list[_Condition]:
    # That of the module `signal` takes ten times as long, for names of numbers.
    get, put, numbers = _signal.getsignal, _signal.signal, _NUMBERS

    def put_handlers(own: tuple[Any, ...]) -> None:
        for number, handler in zip(numbers, own, strict=True):
            # Not one that is not Python's: nobody could set it.
            if handler is not None and get(number) is not handler:
                put(number, handler)

    return [
        _Condition(lambda: tuple(map(get, numbers)), put_handlers),
        _Condition(
            lambda: _signal.pthread_sigmask(_signal.SIG_BLOCK, ()),
            lambda own: _signal.pthread_sigmask(_signal.SIG_SETMASK, own),
            is_of_imports=False,
        ),
    ]


def _conditions_of_python() -> list[_Condition]:
    filters = warnings.filters

    def put_filters(own: list[Any]) -> None:
        # Python has the list itself in a second place.
        warnings.filters = filters
        # It also has the modules forget what they have warned of by the filters of before.
        warnings.resetwarnings()
        warnings.filters[:] = own  # type: ignore[index]

    return [
        _environment(),
        # After the environment, by which it goes.
        _Condition(lambda: time.tzname, lambda own: time.tzset()),
        _Condition(lambda: locale.setlocale(locale.LC_ALL), _put_locale),
        _Condition(lambda: warnings.filters, put_filters),
        _Condition(sys.getrecursionlimit, sys.setrecursionlimit),
        _Condition(sys.get_int_max_str_digits, sys.set_int_max_str_digits),
        _Condition(sys.getswitchinterval, sys.setswitchinterval),
        _Condition(socket.getdefaulttimeout, socket.setdefaulttimeout),
        _Condition(gc.isenabled, lambda own: gc.enable() if own else gc.disable()),
        _Condition(gc.get_threshold, lambda own: gc.set_threshold(*own)),
        *(_list(name) for name in ("path", "meta_path", "path_hooks", "argv")),
    ]


def _environment() -> _Condition:
    own_environ = environ

    def get() -> Any:
        # To decode all of it would take longer than all else here.
        return getattr(os.environ, "_data", os.environ)

    def put(own: dict[Any, Any]) -> None:
        os.environ = own_environ  # noqa: B003 (its contents follow)
        present = get()
        decode = getattr(own_environ, "decodevalue", str)
        for key in [key for key in present if key not in own]:
            del own_environ[decode(key)]
        for key, value in own.items():
            if present.get(key) != value:
                own_environ[decode(key)] = decode(value)

    return _Condition(get, put)


def _put_locale(own: str) -> None:
    locale.setlocale(locale.LC_ALL, own)


def _list(name: str) -> _Condition:
    """Return the condition of a list in `sys`, which others may have imported by its name."""
    itself = getattr(sys, name)

    def put(own: list[Any]) -> None:
        itself[:] = own
        setattr(sys, name, itself)

    return _Condition(lambda: getattr(sys, name), put)


def _conditions_of_numbers() -> list[_Condition]:
    return [
        _Condition(np.geterr, lambda own: np.seterr(**own)),
        _Condition(np.geterrcall, np.seterrcall),
        _Condition(np.get_printoptions, lambda own: np.set_printoptions(**own)),
        _Condition(_decimals, _put_decimals, is_of_imports=False),
    ]


def _decimals() -> tuple[Any, ...]:
    now = decimal.getcontext()
    # Not its flags, which tell what was computed, and not how.
    traps = [kind for kind, is_set in now.traps.items() if is_set]
    return now.prec, now.rounding, now.Emin, now.Emax, now.capitals, now.clamp, traps


def _put_decimals(own: tuple[Any, ...]) -> None:
    names = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp", "traps")
    decimal.setcontext(decimal.Context(**dict(zip(names, own, strict=True)), flags=[]))
