"""Whether a process that has loaded the user's code can be forked into workers.

A fork has no threads but one, whatever others hold at that moment. It shares the position in each
open file, connections, shared memory, and what a GPU does; it draws the same random numbers, and
has the names that were made up for one process. Where loading leaves any of that, each worker has
to load the code itself.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import sys
import threading
from pathlib import Path

from psyflow.system.processes import fork
from psyflow.work.gpu import uses_gpu
from psyflow.work.oneoff import OneOffs

__all__ = ["Before"]

_HARMLESS_FILES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
# It is made anew by jemalloc itself in a fork.
_HARMLESS_THREADS = {"jemalloc_bg_thd"}


class Before:
    """What a process was like before it loaded the user's code.

    Examples
    --------
    >>> before = Before()
    >>> generator = random.Random()
    >>> before.obstacle()
    'there is a generator of random numbers'
    """

    def __init__(self) -> None:
        self._files: set[tuple[str, str]] = set()
        self._shared: set[str] = set()
        # Where the system does not tell, it will not do so later either.
        with contextlib.suppress(OSError):
            self._files = set(_open_files())
            self._shared = _shared_memory()
        self._generators = set(map(id, _generators()))
        self._one_offs = OneOffs()

    def obstacle(self) -> str:
        """Say what keeps this process from being forked into workers; empty if nothing does."""
        if self._one_offs.end():
            return "it has asked for what no other process has"
        if uses_gpu():
            return "a GPU is in use"
        if any(id(generator) not in self._generators for generator in _generators()):
            return "there is a generator of random numbers"
        try:
            if set(_open_files()) - self._files:
                return "a file is open"
            if _shared_memory() - self._shared:
                return "memory is shared"
            if _has_children():
                return "a process was started"
            return "there are threads" if _has_threads() else ""
        except OSError as error:
            return f"nobody can tell what there is ({error})"


def _generators() -> list[object]:
    kinds: tuple[type, ...] = (random.Random,)
    known: list[object] = []
    if "numpy.random" in sys.modules:
        import numpy as np

        kinds = (*kinds, np.random.Generator, np.random.RandomState, np.random.BitGenerator)
        # Each worker sets its own numbers, as it does those of `random`.
        known = [np.random.mtrand._rand, np.random.mtrand._rand._bit_generator]
    # Not `isinstance`, which asks the objects themselves, of whatever class.
    found = (thing for thing in gc.get_objects() if issubclass(type(thing), kinds))
    return [
        thing
        for thing in found
        if type(thing) is not random.SystemRandom and not any(thing is its for its in known)
    ]


def _open_files() -> list[tuple[str, str]]:
    """Return the numbers of the open files, and what each is."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        # The one that lists them is closed by now.
        with contextlib.suppress(OSError):
            target = str(path.readlink())
            if target not in _HARMLESS_FILES:
                found.append((path.name, target))
    return found


def _shared_memory() -> set[str]:
    """Return the places of memory that a fork would not have a copy of, and could write to."""
    lines = Path("/proc/self/maps").read_text(errors="replace").splitlines()
    places = (line.split(maxsplit=2)[:2] for line in lines)
    return {place for place, allowed in places if allowed[1] == "w" and allowed[3] == "s"}


def _has_children() -> bool:
    try:
        # Whoever has started it may want to know how it ended.
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _has_threads() -> bool:
    """Tell whether there are threads that a fork leaves there, in the parent.

    Libraries that know of forks, such as OpenBLAS, end theirs before each, and make them anew.
    """
    if threading.active_count() > 1:
        return True
    if not _others():
        return False
    if (pid := fork()) == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return not {(path / "comm").read_text().strip() for path in _others()} <= _HARMLESS_THREADS


def _others() -> list[Path]:
    """Return the threads of this process but this one, which is its first."""
    return [path for path in Path("/proc/self/task").iterdir() if path.name != str(os.getpid())]
