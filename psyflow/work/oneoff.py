"""Whether code asks, as it is loaded, for what is given to one process only.

A process number, or what is drawn at random, is what code names files of its own by. If workers
are forks of the process that has asked, all have the same name, and each would write to the files
of the others.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any

import numpy as np

__all__ = ["OneOffs"]

_GIVERS = ((os, "getpid"), (os, "urandom"), (random, "_urandom"))
_SEEDERS = ((random, "seed"), (np.random, "seed"))
# Code that is imported, or that writes a log, asks for its own sake.
_FOR_THEMSELVES = {"_frozen_importlib", "_frozen_importlib_external", "importlib", "logging"}
_OURS = "psyflow"


class OneOffs:
    """Takes note, from now on, of what is asked for.

    Examples
    --------
    >>> one_offs = OneOffs()
    >>> exec("import os; folder = f'/tmp/{os.getpid()}'", {"__name__": "task_mine"})
    >>> one_offs.end()
    True
    """

    def __init__(self) -> None:
        self._are_given = False
        self._seeded: set[str] = set()
        self._states = _global_states()
        # By what is in its place; that is kept alive, so that nothing else gets its id.
        self._replaced: dict[int, tuple[Any, Any]] = {}
        for module, name in _GIVERS:
            self._replace(module, name, self._noting_gift)
        for module, name in _SEEDERS:
            self._replace(module, name, self._noting_seed)
        self._n_holders = self._holders()

    def end(self) -> bool:
        """Take note no longer, and tell whether the user's code was given anything."""
        self._put_back()
        drawn = {name for name, state in _global_states().items() if state != self._states[name]}
        return self._are_given or bool(drawn - self._seeded)

    def _replace(self, module: Any, name: str, noting: Callable[..., Any]) -> None:
        if (function := getattr(module, name, None)) is not None:
            substitute = noting(module.__name__, function)
            self._replaced[id(substitute)] = substitute, function
            setattr(module, name, substitute)

    def _holders(self) -> list[int]:
        """Return how many places hold what is in the place of each function."""
        return [sys.getrefcount(substitute) for substitute, _ in self._replaced.values()]

    def _are_where_they_were_put(self) -> bool:
        names = [(module, name) for module, name in (*_GIVERS, *_SEEDERS) if hasattr(module, name)]
        return all(id(getattr(module, name)) in self._replaced for module, name in names)

    def _put_back(self) -> None:
        # To look through all that was ever imported takes longer than to load many a task.
        if self._are_where_they_were_put() and self._holders() == self._n_holders:
            for module, name in (*_GIVERS, *_SEEDERS):
                if (substitute := getattr(module, name, None)) is not None:
                    setattr(module, name, self._replaced[id(substitute)][1])
            return
        # Whoever has imported a function by its name has it, too; it could not be pickled.
        modules = [thing for thing in sys.modules.values() if issubclass(type(thing), ModuleType)]
        for module in modules:
            # Some load what is in them as soon as anybody asks in the usual way.
            names = object.__getattribute__(module, "__dict__")
            if self._replaced.keys().isdisjoint(map(id, names.values())):
                continue  # as good as always, and this is told most quickly
            for name in [name for name, value in names.items() if id(value) in self._replaced]:
                names[name] = self._replaced[id(names[name])][1]

    def _noting_gift(self, module: str, give: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*args: Any) -> Any:
            self._are_given = self._are_given or _is_for_user(sys._getframe(1))
            return give(*args)

        return noting

    def _noting_seed(self, module: str, seed: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*args: Any, **kwargs: Any) -> Any:
            # Whatever is drawn from now on, each process would draw.
            if args or kwargs:
                self._seeded.add(module)
            return seed(*args, **kwargs)

        return noting


def _global_states() -> dict[str, object]:
    """Return where the global generators are, by their modules."""
    _, numbers, position, *_ = np.random.get_state()
    place = np.asarray(numbers).tobytes(), position
    return {random.__name__: random.getstate(), np.random.__name__: place}


def _is_for_user(frame: FrameType | None) -> bool:
    """Tell whether code of the user's is what asks, itself or by way of a library."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__")).partition(".")[0]
        if module == _OURS or module in _FOR_THEMSELVES:
            return False
        if module not in sys.stdlib_module_names and not _is_installed(frame):
            return True
        frame = frame.f_back
    return False


def _is_installed(frame: FrameType) -> bool:
    path = frame.f_code.co_filename
    return "site-packages" in path or "dist-packages" in path
