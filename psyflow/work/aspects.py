"""What of a process counts as the conditions under which items run in it.

Each is something that belongs to the process, or to its thread, that an item may change, and that
others would find: where relative names lead, what programs inherit, what a signal does, how
numbers are rounded. Not variables of modules and global random states: these are the user's.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import gc
import logging
import os
import resource
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable
from decimal import getcontext, setcontext
from locale import LC_ALL, setlocale
from os import O_CLOEXEC, O_DIRECTORY, chdir, dup2, environ, fchdir, fstat, getcwdb, stat, umask
from resource import getrlimit, setrlimit
from typing import Any, NamedTuple

import numpy as np

from psyflow.system.descriptors import moved_up
from psyflow.work.rounding import rounding_here

__all__ = ["Condition", "conditions_here"]

_NUMBERS = tuple(sorted({int(number) for number in signal.valid_signals()}))
_STREAMS = ("stdin", "stdout", "stderr")
_HOOKS = ("excepthook", "displayhook", "unraisablehook", "dont_write_bytecode")
_LIMITS = (
    *(resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC),
    *(resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_STACK),
)


class Condition(NamedTuple):
    """One of the conditions."""

    name: str
    """In words, as a message says it."""
    get: Callable[[], Any]
    put: Callable[[Any], object]
    """Has it be again what `get` returned."""
    is_of_imports: bool = True
    """Whether libraries set it as they are imported, once, and count on it."""
    aside: Callable[[], Any] | None = None
    """What another thread asks in place of `get`, if that would change something, or tell
    something of that thread."""


def conditions_here() -> list[Condition]:
    """Return all of them, for this process and this thread."""
    return [
        *_of_files(),
        *_of_signals(),
        *_of_python(),
        *_of_numbers(),
        *_of_the_machine(),
    ]


def _of_files() -> list[Condition]:
    own = umask(0o077)
    umask(own)
    return [
        _folder(),
        # There is no other way to ask, and between two calls a thread might make a file.
        Condition(
            "the umask",
            lambda: umask(own),
            lambda own: None,
            is_of_imports=False,
            aside=lambda: _told_by_kernel("Umask", 8, own),
        ),
        *(_standard_file(fd) for fd in range(3)),
    ]


def _folder() -> Condition:
    path, identity = _present_folder(), _identity_of(".")
    fd = -1
    with contextlib.suppress(OSError):
        flags = getattr(os, "O_PATH", os.O_RDONLY) | O_DIRECTORY | O_CLOEXEC
        fd = moved_up(os.open(".", flags))

    def get() -> bytes | None:
        present = _present_folder()
        # It may have been renamed, or removed, and still be the one.
        return path if present != path and _identity_of(".") == identity else present

    def put(own: object) -> None:
        # By the descriptor, it is found wherever it was moved to; but items close descriptors,
        # and the number may be another file's by now.
        if _identity_of(fd) == identity:
            fchdir(fd)
        elif path is not None and _identity_of(path) == identity:
            chdir(path)

    return Condition("the working folder", get, put, is_of_imports=False)


def _present_folder() -> bytes | None:
    try:
        return getcwdb()  # noqa: PTH109 (it may be gone)
    except OSError:
        return None


def _identity_of(file: str | bytes | int) -> tuple[int, int] | None:
    try:
        # The user's code may have replaced parts of Path.
        state = stat(file)  # noqa: PTH116
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _standard_file(fd: int) -> Condition:
    # Where an item has closed it, the next file that is opened would get what is printed.
    is_there = _identity_of(fd) is not None
    copy = moved_up(os.dup(fd)) if is_there else -1

    def get() -> tuple[int, int] | None:
        try:
            state = fstat(fd)
        except OSError:
            return None
        return state.st_dev, state.st_ino

    def put(own: object) -> None:
        if own is not None and _identity_of(copy) == own:
            dup2(copy, fd)

    if not is_there:
        # What takes its number is nobody's standard file.
        return Condition(f"file descriptor {fd}", lambda: None, put)
    return Condition(f"file descriptor {fd}", get, put)


def _of_signals() -> list[Condition]:
    # That of the module `signal` takes ten times as long, for names of numbers.
    get, put, numbers = _signal.getsignal, _signal.signal, _NUMBERS

    def put_handlers(own: tuple[Any, ...]) -> None:
        for number, handler in zip(numbers, own, strict=True):
            # Not one that is not Python's: nobody could set it.
            if handler is not None and get(number) is not handler:
                put(number, handler)

    own_mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
    return [
        Condition("a signal handler", lambda: tuple(map(get, numbers)), put_handlers),
        Condition(
            "the mask of signals",
            lambda: _signal.pthread_sigmask(_signal.SIG_BLOCK, ()),
            lambda own: _signal.pthread_sigmask(_signal.SIG_SETMASK, own),
            is_of_imports=False,
            aside=lambda: _blocked(own_mask),
        ),
        # Not those of faulthandler: to cancel one that only the parent of this process has waits
        # for ever.
        _timers(),
    ]


def _blocked(own: set[int]) -> set[int]:
    mask = _told_by_kernel("SigBlk", 16, None)
    return own if mask is None else {n for n in _NUMBERS if mask >> (n - 1) & 1}


def _timers() -> Condition:
    # One that goes from before on is to go on, and shows another time whenever it is asked.
    getitimer = _signal.getitimer
    kinds = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
    idle = tuple(int(kind) for kind in kinds if getitimer(kind)[0] == 0)

    def put(own: object) -> None:
        for kind in idle:
            _signal.setitimer(kind, 0)

    # That of an item which is running says nothing of those before.
    none = tuple((0.0, 0.0) for _ in idle)
    return Condition(
        "an alarm",
        lambda: tuple(map(getitimer, idle)),
        put,
        is_of_imports=False,
        aside=lambda: none,
    )


def _told_by_kernel(name: str, base: int, default: Any) -> Any:
    """Return a number that Linux tells of the main thread of this process; else `default`."""
    with contextlib.suppress(OSError), open("/proc/self/status", "rb") as file:  # noqa: PTH123
        for line in file.read().splitlines():
            field, _, value = line.partition(b":")
            if field == name.encode():
                return int(value, base)
    return default


def _of_python() -> list[Condition]:
    filters = warnings.filters

    def put_filters(own: list[Any]) -> None:
        # Python has the list itself in a second place.
        warnings.filters = filters
        # It also has the modules forget what they have warned of by the filters of before.
        warnings.resetwarnings()
        warnings.filters[:] = own  # type: ignore[index]

    def of_streams() -> tuple[Any, ...]:
        present = [getattr(sys, name, None) for name in _STREAMS]
        return (*present, *(getattr(stream, "closed", None) for stream in present))

    def of_hooks() -> tuple[Any, ...]:
        return tuple(getattr(sys, name, None) for name in _HOOKS)

    return [
        _environment(),
        # After the environment, by which it goes.
        Condition("the time zone", lambda: time.tzname, lambda own: time.tzset()),
        Condition(
            "the locale",
            lambda: setlocale(LC_ALL),
            lambda own: setlocale(LC_ALL, own),
        ),
        Condition("the filters of warnings", lambda: warnings.filters, put_filters),
        Condition("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
        Condition("the limit of digits", sys.get_int_max_str_digits, sys.set_int_max_str_digits),
        Condition("the switch interval", sys.getswitchinterval, sys.setswitchinterval),
        Condition("the timeout of sockets", socket.getdefaulttimeout, socket.setdefaulttimeout),
        Condition(
            "garbage collection", gc.isenabled, lambda own: gc.enable() if own else gc.disable()
        ),
        Condition("garbage collection", gc.get_threshold, lambda own: gc.set_threshold(*own)),
        *(_list(name) for name in ("path", "meta_path", "path_hooks", "argv")),
        Condition("a standard stream", of_streams, _put_streams),
        Condition("a hook of `sys`", of_hooks, _put_hooks),
        *_tracing(),
        _loggers(),
    ]


def _tracing() -> list[Condition]:
    own_trace, own_profile = sys.gettrace(), sys.getprofile()
    # Each thread has its own.
    return [
        Condition("`sys.settrace`", sys.gettrace, sys.settrace, aside=lambda: own_trace),
        Condition("`sys.setprofile`", sys.getprofile, sys.setprofile, aside=lambda: own_profile),
    ]


def _put_streams(own: tuple[Any, ...]) -> None:
    for name, stream in zip(_STREAMS, own, strict=False):
        setattr(sys, name, stream)


def _put_hooks(own: tuple[Any, ...]) -> None:
    for name, hook in zip(_HOOKS, own, strict=True):
        setattr(sys, name, hook)


def _environment() -> Condition:
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

    return Condition("the environment", get, put)


def _list(name: str) -> Condition:
    """Return the condition of a list in `sys`, which others may have imported by its name."""
    itself = getattr(sys, name)

    def put(own: list[Any]) -> None:
        itself[:] = own
        setattr(sys, name, itself)

    return Condition(f"`sys.{name}`", lambda: getattr(sys, name, None), put)


_State = tuple[int, bool, bool, tuple[Any, ...]]
_UNSET: _State = (logging.NOTSET, False, True, ())


def _loggers() -> Condition:
    root, manager = logging.root, logging.root.manager

    def get() -> dict[Any, Any]:
        present: dict[Any, Any] = {
            logger: (logger.level, logger.disabled, logger.propagate, (*logger.handlers,))
            for logger in (root, *manager.loggerDict.values())
            # As a rule, there are many of which nothing was set.
            if isinstance(logger, logging.Logger)
            and (logger.level or logger.handlers or logger.disabled or not logger.propagate)
        }
        present[None] = manager.disable
        return present

    def put(own: dict[Any, Any]) -> None:
        for logger in {*get(), *own} - {None}:
            level, logger.disabled, logger.propagate, handlers = own.get(logger, _UNSET)
            logger.setLevel(level)
            logger.handlers[:] = handlers
        manager.disable = own[None]
        # Each logger remembers what is enabled.
        manager._clear_cache()  # type: ignore[attr-defined]

    return Condition("a logger", get, put)


def _of_numbers() -> list[Condition]:
    get, put = rounding_here()
    own = get()
    return [
        Condition("the error state of NumPy", np.geterr, lambda own: np.seterr(**own)),
        Condition("the error state of NumPy", np.geterrcall, np.seterrcall),
        Condition(
            "the print options of NumPy",
            np.get_printoptions,
            lambda own: np.set_printoptions(**own),
        ),
        # Each thread has its own, of which another one knows nothing.
        Condition("the rounding of floats", get, put, is_of_imports=False, aside=lambda: own),
        _decimals(),
    ]


def _decimals() -> Condition:
    itself = getcontext()
    # Not its flags, which tell what was computed, and not how.
    names = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")

    def get() -> tuple[Any, ...]:
        now = getcontext()
        traps = [kind for kind, is_set in now.traps.items() if is_set]
        return now.prec, now.rounding, now.Emin, now.Emax, now.capitals, now.clamp, traps

    def put(own: tuple[Any, ...]) -> None:
        *values, traps = own
        for name, value in zip(names, values, strict=True):
            setattr(itself, name, value)
        itself.traps.update({kind: kind in traps for kind in itself.traps})
        setcontext(itself)

    return Condition("the decimal context", get, put, is_of_imports=False)


def _of_the_machine() -> list[Condition]:
    def put_limits(own: tuple[Any, ...]) -> None:
        for number, limit in zip(_LIMITS, own, strict=True):
            if getrlimit(number) != limit:
                setrlimit(number, limit)

    limits = Condition("a resource limit", lambda: tuple(map(getrlimit, _LIMITS)), put_limits)
    if not hasattr(os, "sched_getaffinity"):
        return [limits]
    # By its number: 0 would be the thread that asks.
    pid = os.getpid()
    get, put = os.sched_getaffinity, os.sched_setaffinity
    return [
        limits,
        Condition("the processors it may use", lambda: get(pid), lambda own: put(pid, own)),
    ]
