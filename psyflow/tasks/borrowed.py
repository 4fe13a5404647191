"""Modules of a task in `sys.modules` for a while, in place of others that have their names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from types import ModuleType

from psyflow.tasks.surroundings import Surroundings, is_known, is_ours, take_out, was_edited

__all__ = ["Borrowed"]

_aside: dict[Surroundings, dict[str, ModuleType]] = {}
"""Modules that values of results are made of, but that no import is to find."""


class Borrowed:
    """Modules of a task that are imported for values of its results.

    They stay afterwards only if they displace none of somebody else's, and are what is in their
    files still: whoever imports them later wants these.

    Parameters
    ----------
    surroundings : Surroundings
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._modules: dict[str, ModuleType] = {}
        self._displaced: dict[str, ModuleType] = {}

    def imported(self, name: str) -> ModuleType:
        """Import a module, unless it has been imported for results of the same code before.

        Raises
        ------
        Exception
            Whatever its code raises.
        """
        if name not in self._modules:
            self._make_room({name.partition(".")[0]})
            self._put(_aside.get(self._surroundings, {}))
        if name not in self._modules:
            before = set(sys.modules)
            try:
                with self._surroundings.inside():
                    importlib.import_module(name)
            except SystemExit as error:
                raise ImportError(f"{name} ends the program.", name=name) from error
            new = {n: m for n, m in sys.modules.items() if n not in before and is_ours(m)}
            self._modules |= {name: sys.modules[name], **new}
        return self._modules[name]

    def _put(self, modules: Mapping[str, ModuleType]) -> None:
        new = {n: m for n, m in modules.items() if n not in self._modules}
        self._make_room({name.partition(".")[0] for name in new})
        sys.modules.update(modules)
        self._modules |= new

    def _make_room(self, outermost: set[str]) -> None:
        """Take other modules of some names, and all inside them, out of `sys.modules`."""
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] in outermost and name not in self._modules:
                if not is_known(name, module):
                    self._displaced[name] = module
                take_out(name)

    def give_back(self) -> None:
        """Put everything back as it was, as far as that is needed."""
        has_others = bool(self._displaced) or self._surroundings in _aside
        if has_others or any(was_edited(m) for m in self._modules.values() if is_ours(m)):
            _aside.setdefault(self._surroundings, {}).update(self._modules)
            for name in self._modules:
                take_out(name)
        sys.modules.update(self._displaced)
