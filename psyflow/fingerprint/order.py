"""The order of a module's statements, as far as it makes a difference.

A part has the statements of one name, in their order. What that leaves out is where the statements
of other names stand among them: ``N = 1; X = N; N = 2`` is another program than ``N = 1; N = 2;
X = N``. So it is with names that several imports bind, and with calls before and after a statement
that acts, such as ``np.random.seed(1)``.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator

from psyflow.fingerprint.executed import executed, names_read
from psyflow.fingerprint.modules import LocalModule, LocalModules
from psyflow.fingerprint.units import Unit

__all__ = ["Order", "orders"]

Order = tuple[str, list[Unit]]
"""A line that tells an order, and the statements that it is about."""


def orders(
    module: LocalModule,
    names: Iterable[str],
    reached: Collection[Unit],
    acting: Collection[Unit],
    modules: LocalModules,
) -> Iterator[Order]:
    """Give the orders that count.

    Parameters
    ----------
    module : LocalModule
    names : iterable of str
        Names of the module that are reached.
    reached, acting : collection of Unit
        Its statements that are reached, and those of them that act.
    modules : LocalModules
        Finds what star imports name.
    """
    changed = {name: units for name, units in _changing(names, module, modules) if len(units) > 1}
    readers = [(unit, _names_needed(unit, module)) for unit in reached] if changed else []
    for name, changing in changed.items():
        among = {unit for unit, needed in readers if name in needed} - changing
        binding = [unit for unit in changing if name not in unit.stored]
        if among or (len(binding) > 1 and any(unit.is_import for unit in binding)):
            yield _order(name, changing, among, module, modules)
    among = {u for u in reached if not u.is_definition and _calls(u)} - {*acting}
    if acting and among:
        yield _order("", acting, among, module, modules)


def _changing(
    names: Iterable[str], module: LocalModule, modules: LocalModules
) -> Iterator[tuple[str, set[Unit]]]:
    """Give the statements that bind or change each name, with the star imports that may do so."""
    stars = [
        (unit, source)
        for unit in module.units
        for found in unit.imports
        if found.binds == "*" and (source := modules.find(found.module))
    ]
    for name in sorted(names):
        units = {*module.index.get(name, []), *module.touching.get(name, [])}
        yield name, units | {unit for unit, source in stars if name in source.index}


def _names_needed(unit: Unit, module: LocalModule) -> set[str]:
    """Return the names that a statement reads as it runs, with what it calls in its module."""
    needed = names_read(unit.node)
    pending = [*needed]
    while pending:
        for definition in module.index.get(pending.pop(), []):
            if definition.is_definition:
                new = definition.uses.keys() - needed
                needed |= new
                pending += new
    return needed


def _calls(unit: Unit) -> bool:
    return any(isinstance(node, ast.Call) for node in executed(unit.node))


def _order(
    name: str,
    changing: Collection[Unit],
    among: set[Unit],
    module: LocalModule,
    modules: LocalModules,
) -> Order:
    """Tell which statements stand between which; those that nothing is between have no order."""
    places: list[set[str]] = [set()]
    for unit in module.units:
        if unit in changing:
            places += [{_label(unit, modules)}, set()]
        elif unit in among:
            places[-1].add(_label(unit, modules))
    line = " | ".join(", ".join(sorted(place)) for place in places)
    return f"{name}: {line}", [*changing, *among]


def _label(unit: Unit, modules: LocalModules) -> str:
    if not unit.is_import:
        # What it says is in its part.
        return " ".join(sorted(unit.binds)) or "acts"
    sources = (modules.find(i.module) for i in unit.imports if i.binds == "*")
    public = [u.text for source in sources if source for u in source.index.get("__all__", [])]
    return " ".join([unit.text, *public])
