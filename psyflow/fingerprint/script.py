"""What functions of a script reach, which also does other things at its top."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cached_property

from psyflow.fingerprint.effects import effects
from psyflow.fingerprint.modules import LocalModule, LocalModules
from psyflow.fingerprint.reach import Reach
from psyflow.fingerprint.units import Unit, base_name

__all__ = ["Script", "ScriptReach"]

_MAPS = {"get_result", "map_pspace", "map_pspace_hdd_backed", "map_pspace_parallel"}


class Script(LocalModule):
    """The program itself. What it maps, and does with the results, is not what they depend on."""

    @cached_property
    def first_map(self) -> int:
        """The line from which on it has results."""
        return min((unit.first for unit in self._all if _maps(unit)), default=len(self.lines) + 1)

    @cached_property
    def units(self) -> list[Unit]:
        """Its statements, but for those that map."""
        return [unit for unit in self._all if not _maps(unit)]

    @cached_property
    def _all(self) -> list[Unit]:
        return self.parsed()


class ScriptReach(Reach):
    """What is reached from names of a script.

    Of what the script does at its top, that counts which comes before it maps and is done to a
    module whose name the functions use: ``np.random.seed(1)``, but no ``plt.figure()``.
    """

    def __init__(self, modules: LocalModules, script: Script) -> None:
        super().__init__(modules)
        self._script = script

    def start(self, module: LocalModule, names: Iterable[str]) -> None:
        """Reach `names` of `module`, and what running the module does for them."""
        super().start(module, names)
        while more := [unit for unit in self._early() if self._used() & _acted_on(unit)]:
            for unit in more:
                self.start_at(self._script, "<module>", unit)

    def _effects(self, module: LocalModule) -> list[Unit]:
        return [] if module is self._script else super()._effects(module)

    def _early(self) -> list[Unit]:
        there = {id(unit) for _, unit in self.units()}
        found = effects(self._script, self.modules, frozenset())
        return [u for u in found if u.first < self._script.first_map and id(u) not in there]

    def _used(self) -> set[str]:
        used = {name for m, unit in self.units() if m is self._script for name in unit.uses}
        return used & self._script.imported


def _acted_on(unit: Unit) -> set[str]:
    """Return the names of which a statement calls an attribute, or sets one."""
    called = {base_name(node.func) for node in ast.walk(unit.node) if isinstance(node, ast.Call)}
    return {name for name in (*called, *unit.stored) if name}


def _maps(unit: Unit) -> bool:
    if unit.is_definition or unit.is_import:
        return False
    functions = (node.func for node in ast.walk(unit.node) if isinstance(node, ast.Call))
    return any(_last_name(function) in _MAPS for function in functions)


def _last_name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None
