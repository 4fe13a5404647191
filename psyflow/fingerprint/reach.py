"""Following names from the roots to everything that they may depend on."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from psyflow.fingerprint.effects import effects
from psyflow.fingerprint.modules import CONF_FILE, LocalModule, LocalModules
from psyflow.fingerprint.moves import ALIAS
from psyflow.fingerprint.order import orders
from psyflow.fingerprint.origins import Origins
from psyflow.fingerprint.parts import ORDER, Part, digest, file_part
from psyflow.fingerprint.units import Chain, Import, Unit

__all__ = ["MEANING", "NOT_FOLLOWED", "PREPARING", "Reach", "open_task", "reach_from"]

PREPARING = frozenset({"epilogue", "job_prefix", "prologue"})
"""Settings that say how jobs start."""
MEANING = PREPARING | frozenset({"coords", "derive", "dims", "labels", "launcher", "units"})
"""Settings that say what columns mean, or how programs and jobs start.

Nothing runs again for them.

They came late, so that a task file may have variables of its own of these names. What uses them
counts, as with any variable.
"""
NOT_FOLLOWED = MEANING | frozenset(
    {
        "backend",
        "defaults",
        "exclude_from_result",
        "file_dep",
        "load_once",
        "max_chain",
        "max_failures",
        "max_jobs",
        "max_tasks_per_child",
        "min_items",
        "name",
        "overwrite_dirty",
        "pool_size",
        "pspace",
        "python",
        "repeat",
        "resultfile",
        "retries",
        "retry_on",
        "scheduler",
        "scheduler_args",
        "seed",
        "seed_by",
        "seed_globals",
        "store",
        "timeout",
        "workdir",
    }
)
"""Settings whose values, but for `MEANING`, no statement at the top hands on to `execute`."""

_STATEMENTS = "<module>"


def open_task(
    path: Path, elsewhere: Origins | None = None
) -> tuple[LocalModules, LocalModule, LocalModule | None]:
    """Return the task's own modules, the task file as a module, and the folder's `psy-conf.py`."""
    modules = LocalModules(path.parent, elsewhere)
    conf = path.with_name(CONF_FILE)
    has_conf = conf.is_file() and conf != path
    task = LocalModule(path.stem, path, is_outermost=True)
    return modules, task, LocalModule(conf.stem, conf) if has_conf else None


def reach_from(path: Path, roots: Sequence[str], elsewhere: Origins | None = None) -> Reach:
    """Return what `roots` of a task file reach; those that it lacks are of `psy-conf.py`."""
    modules, task, conf = open_task(path, elsewhere)
    reach = Reach(modules)
    reach.start(task, roots)
    if conf:
        reach.start(conf, [name for name in roots if name not in task.index])
    return reach


class Reach:
    """What is reached from some names of a task file, found step by step.

    Every step is taken once. In doubt a step reaches too much rather than too little.
    """

    def __init__(self, modules: LocalModules) -> None:
        self.modules = modules
        self.found: dict[str, tuple[LocalModule, list[Unit]]] = {}
        self.compiled: dict[str, LocalModule] = {}
        self._given: dict[str, tuple[LocalModule, Unit]] = {}
        self._seen: set[tuple[Any, ...]] = set()
        self._todo: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def start(self, module: LocalModule, names: Iterable[str]) -> None:
        """Reach `names` of `module`, and what running the module does."""
        self._later(self._run, module)
        for name in names:
            self._later(self._name, module, name, ())
        self._follow()

    def start_at(
        self, module: LocalModule, name: str, unit: Unit, inner: Collection[str] = ()
    ) -> None:
        """Reach a statement inside another one, by `name`; `inner` are not the module's names."""
        self._later(self._run, module)
        self._include(module, name, unit)
        self._later(self._unit, module, unit, frozenset(inner))
        self._follow()

    def start_whole(self, module: LocalModule) -> None:
        """Reach everything in `module`."""
        self._later(self._whole, module)
        self._follow()

    def _follow(self) -> None:
        while self._todo:
            step, arguments = self._todo.pop()
            step(*arguments)

    def units(self) -> list[tuple[LocalModule, Unit]]:
        """Return the statements that were reached, each with its module."""
        return [(module, unit) for module, some in self.found.values() for unit in some]

    def parts(self) -> dict[str, Part]:
        """Return what was reached, by qualified name."""
        folder = self.modules.folder
        parts = {name: _part(*self.found[name], folder) for name in sorted(self.found)}
        parts |= {name: _part(module, [unit], folder) for name, module, unit in self._telling()}
        return (
            parts
            | self._orders()
            | {
                name: dataclasses.replace(file_part(module.path), file=module.written(folder))
                for name, module in sorted(self.compiled.items())
            }
        )

    def _orders(self) -> dict[str, Part]:
        """Return for each module in which order what is reached of it stands, if that counts."""
        names: dict[LocalModule, set[str]] = {}
        for step, *arguments in self._seen:
            if step == "_name":
                names.setdefault(arguments[0], set()).add(arguments[1])
        reached: dict[LocalModule, set[Unit]] = {}
        for module, unit in self.units():
            reached.setdefault(module, set()).add(unit)
        parts = {}
        for module in reached:
            acting = self.found.get(module.qualify(_STATEMENTS), (module, []))[1]
            found = orders(module, names.get(module, ()), reached[module], acting, self.modules)
            lines = dict(found)
            if lines:
                units = list({unit for some in lines.values() for unit in some})
                part = _part(module, units, self.modules.folder)
                told = dataclasses.replace(part, digest=digest("\n".join(lines)))
                parts[module.qualify(ORDER)] = told
        return parts

    def _telling(self) -> Iterator[tuple[str, LocalModule, Unit]]:
        """Give the imports without which nothing tells what of all that is reached a name is."""
        modules = Counter(_last(name) for name in {m.name for m, _ in self.found.values()})
        names = Counter(map(_last, self.found))
        for name, (module, unit) in sorted(self._given.items()):
            (found,) = unit.imports
            is_module = not found.member or self.modules.find(f"{found.module}.{found.member}")
            own = found.member or _last(found.module)
            is_other = found.binds not in (own, found.module.partition(".")[0])
            if is_other or (modules if is_module else names)[own] > 1:
                yield name, module, unit

    def _later(self, step: Callable[..., None], *arguments: Any) -> None:
        key = (step.__name__, *arguments)
        if key not in self._seen:
            self._seen.add(key)
            self._todo.append((step, arguments))

    def _include(self, module: LocalModule, name: str, unit: Unit) -> None:
        units = self.found.setdefault(module.qualify(name), (module, []))[1]
        if unit not in units:
            units.append(unit)

    def _run(self, module: LocalModule) -> None:
        """Reach what importing `module` does."""
        if module.is_compiled:
            self.compiled[module.name] = module
        for unit in module.units:
            for found in unit.imports:
                for imported in self.modules.run_by(found) if found.outermost else ():
                    self._later(self._run, imported)
        for unit in self._effects(module):
            self._include(module, _STATEMENTS, unit)
            self._later(self._unit, module, unit, _settings(module) - MEANING)

    def _effects(self, module: LocalModule) -> list[Unit]:
        """Return the statements of `module` that count whatever of it is used."""
        return effects(module, self.modules, _settings(module))

    def _name(self, module: LocalModule, name: str, chain: Chain) -> None:
        """Reach a name of `module`, of which the attributes `chain` are used."""
        for unit in module.index.get(name, []):
            targets = [i for i in unit.imports if i.binds == name and i.outermost]
            if not (unit.is_import and self.modules.prefixes(targets[0].module)):
                self._include(module, name, unit)
                self._later(self._unit, module, unit, frozenset())
            else:
                self._given[module.qualify(f"{ALIAS}{name}")] = (module, unit)
            for target in targets:
                self._later(self._imported, target, chain)
        for unit in module.touching.get(name, []):
            if not (unit.binds and unit.binds <= _settings(module) - MEANING):
                self._include(module, name, unit)
                self._later(self._unit, module, unit, _settings(module) - MEANING)
        for star in module.stars:
            source = self.modules.find(star.module)
            if source and self._provides(source, name):
                self._later(self._attribute, source, (name, *chain))

    def _unit(self, module: LocalModule, unit: Unit, ignored: Collection[str]) -> None:
        """Reach what a statement uses."""
        for name, chains in unit.uses.items():
            for chain in chains if name not in ignored else ():
                self._later(self._name, module, name, chain)
                for found in unit.imports:
                    if found.binds == name:
                        self._later(self._imported, found, chain)
        if unit.reads_namespace:
            self._later(self._whole, module)
        for found in unit.imports:
            for imported in self.modules.run_by(found):
                self._later(self._run, imported)
        for imported in self.modules.named_by(unit):
            self._later(self._whole, imported)

    def _imported(self, found: Import, chain: Chain) -> None:
        """Reach what the import `found` gives, of which the attributes `chain` are used."""
        path = self.modules.prefixes(found.module)
        if not path:
            return
        if found.member:
            self._later(self._attribute, path[-1], (found.member, *chain))
        elif found.renamed:
            self._later(self._attribute, path[-1], chain)
        elif chain:
            self._later(self._attribute, path[0], chain)
        else:
            for module in path:
                self._later(self._whole, module)

    def _attribute(self, module: LocalModule, chain: Chain) -> None:
        """Reach ``module.a.b`` for the chain ``("a", "b")``."""
        self._later(self._run, module)
        if not chain:
            self._later(self._whole, module)
            return
        name, rest = chain[0], chain[1:]
        inner = self.modules.find(f"{module.name}.{name}")
        if inner:
            self._later(self._attribute, inner, rest)
        if self._provides(module, name):
            self._later(self._name, module, name, rest)
        elif not inner:
            self._later(self._whole, module)

    def _whole(self, module: LocalModule) -> None:
        """Reach everything in `module`."""
        self._later(self._run, module)
        for name in module.index.keys() - _settings(module):
            self._later(self._name, module, name, ())

    def _provides(self, module: LocalModule, name: str) -> bool:
        """Return whether `module` binds `name`, itself or by a star import."""
        pending, seen = [module], set()
        while pending:
            current = pending.pop()
            if name in current.index or self.modules.find(f"{current.name}.{name}"):
                return True
            seen.add(current)
            sources = (self.modules.find(star.module) for star in current.stars)
            pending += [source for source in sources if source and source not in seen]
        return False


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _settings(module: LocalModule) -> frozenset[str]:
    is_task = module.path.name == CONF_FILE or module.path.name.startswith("task_")
    is_task = is_task and module.original is None
    return NOT_FOLLOWED if module.is_outermost or is_task else frozenset()


def _part(module: LocalModule, units: list[Unit], folder: Path) -> Part:
    ordered = sorted(units, key=lambda u: (u.node.lineno, u.node.col_offset, u.text))
    start = ordered[0].first
    shown = [""] * (max(unit.last for unit in ordered) - start + 1)
    for unit in ordered:
        written = module.lines[unit.first - 1 : unit.last]
        shown[unit.first - start : unit.last - start + 1] = written
    file = module.written(folder)
    return Part(digest("\n".join(unit.text for unit in ordered)), "\n".join(shown), start, file)
