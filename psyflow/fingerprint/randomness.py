"""Random numbers at the top of a module: the same in every worker, or others in each job.

Each process that loads a file runs its statements. With ``rng = default_rng(1)`` all workers draw
the same numbers, and so does a later run that extends the study; with ``weights = rand(3)`` and no
seed, what `execute` goes by differs from job to job.
"""

from __future__ import annotations

import ast
import enum
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from psyflow.fingerprint.modules import LocalModule
from psyflow.fingerprint.origins import Origins
from psyflow.fingerprint.reach import reach_from
from psyflow.fingerprint.units import Unit

__all__ = ["RandomTrap", "Trap", "random_traps"]

_SEEDERS = {
    "default_rng",
    "RandomState",
    "SeedSequence",
    "PCG64",
    "MT19937",
    "Philox",
    "SFC64",
    "Random",
    "PRNGKey",
}
_GLOBAL_SEEDERS = {"seed", "manual_seed", "manual_seed_all", "set_seed", "seed_everything"}
_GLOBAL_STATES = {"random", "torch", "rand", "randn", "randint", "randperm"}
_DRAW_NOTHING = {"Generator", "SystemRandom", "get_state", "getstate", "set_state", "setstate"}
_DRAWING_MODULES = {"random", "numpy.random"}
_DRAWS_OF_TORCH = {"rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial"}


class Trap(enum.Enum):
    """What is wrong with a statement at the top of a module."""

    GENERATOR = "makes a generator that begins with the same numbers in each process"
    GLOBAL = "gives a state that all of a process share the same numbers in each process"
    DRAWN = "draws other numbers in each process"


@dataclass(frozen=True)
class RandomTrap:
    """A statement at the top of a module whose random numbers are not what they seem.

    Attributes
    ----------
    file : str
        Relative to the task folder, if it is in there.
    line : int
    text : str
    kind : Trap
    """

    file: str
    line: int
    text: str
    kind: Trap


def random_traps(
    path: str | os.PathLike[str], roots: Sequence[str], elsewhere: Origins | None = None
) -> list[RandomTrap]:
    r"""Return the statements that seed what `roots` of a task file draw from, or draw themselves.

    Parameters
    ----------
    path : path-like
        The task file.
    roots : sequence of str
        Names such as ``["execute"]``.
    elsewhere : Origins, optional
        Knows the own modules outside the task folder.

    Examples
    --------
    >>> import tempfile
    >>> source = "import random\nrandom.seed(0)\ndef execute(): return {'y': random.random()}"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     task = Path(folder) / "task_a.py"
    ...     _ = task.write_text(source)
    ...     [(found.line, found.text) for found in random_traps(task, ["execute"])]
    [(2, 'random.seed(0)')]
    """
    reach = reach_from(Path(os.path.abspath(path)), roots, elsewhere)  # noqa: PTH100
    units = reach.units()
    found = {
        (module.path, unit.first): _described(module, unit, reach.modules.folder, kind)
        for kind, module, unit in _traps(units)
    }
    return [found[place] for place in sorted(found)]


def _traps(
    units: Sequence[tuple[LocalModule, Unit]],
) -> Iterator[tuple[Trap, LocalModule, Unit]]:
    draws = any(_draws_from_global_states(unit) for _, unit in units)
    is_seeded = any(_seeds(unit, _GLOBAL_SEEDERS) for _, unit in units)
    unseeded = {name for _, unit in units if _has_unseeded(unit) for name in unit.binds}
    meanings: dict[Path, dict[str, str]] = {}
    for module, unit in units:
        meanings.setdefault(module.path, {}).update(_meanings(unit))
    for module, unit in units:
        if _keeps_generator(unit) and _is_used_later(unit.binds, units):
            yield Trap.GENERATOR, module, unit
        elif draws and _seeds(unit, _GLOBAL_SEEDERS):
            yield Trap.GLOBAL, module, unit
        elif not unit.is_definition and any(
            _draws_from(call, unseeded)
            or (not is_seeded and _draws_globally(call, meanings[module.path]))
            for call in _calls(unit.node)
        ):
            yield Trap.DRAWN, module, unit


def _described(module: LocalModule, unit: Unit, folder: Path, kind: Trap) -> RandomTrap:
    text = " ".join(line.strip() for line in module.lines[unit.first - 1 : unit.last])
    return RandomTrap(module.written(folder), unit.first, text, kind)


def _draws_from_global_states(unit: Unit) -> bool:
    """Tell whether a function seems to draw from what all of a process share."""
    chains = ((name, *chain) for name, some in unit.uses.items() for chain in some)
    return unit.is_definition and any(not _GLOBAL_STATES.isdisjoint(chain) for chain in chains)


def _seeds(unit: Unit, names: Collection[str]) -> bool:
    """Tell whether a statement gives a generator a state that is written out."""
    return not unit.is_definition and any(_is_seeding(call, names) for call in _calls(unit.node))


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    """Give the calls that a statement makes itself, not those of functions that it defines."""
    if isinstance(node, ast.Call):
        yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _calls(child)


def _is_seeding(call: ast.Call, names: Collection[str]) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    # Without a seed, each process begins with a state of its own.
    return name in names and any(not _is_none(value) for value in given)


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _keeps_generator(unit: Unit) -> bool:
    """Tell whether a statement seeds a generator for others, not only to draw from it at once."""
    if unit.is_definition:
        return False
    calls = list(_calls(unit.node))
    drawn_from = [call.func.value for call in calls if isinstance(call.func, ast.Attribute)]
    return any(_is_seeding(call, _SEEDERS) for call in calls if call not in drawn_from)


def _is_used_later(names: Collection[str], units: Sequence[tuple[LocalModule, Unit]]) -> bool:
    """Tell whether anything else than statements that draw as the module is loaded uses a name."""
    return any(
        _is_called_later(unit) or () in unit.uses[name]
        for _, unit in units
        for name in unit.uses.keys() & names
    )


def _is_called_later(unit: Unit) -> bool:
    return unit.is_definition or any(isinstance(node, ast.Lambda) for node in ast.walk(unit.node))


def _has_unseeded(unit: Unit) -> bool:
    """Tell whether a statement makes a generator whose state nobody knows."""
    return not unit.is_definition and any(_is_unseeded(call) for call in _calls(unit.node))


def _is_unseeded(value: ast.expr) -> bool:
    if not isinstance(value, ast.Call):
        return False
    return _chain(value.func)[-1] in _SEEDERS and not _is_seeding(value, _SEEDERS)


def _meanings(unit: Unit) -> Iterator[tuple[str, str]]:
    """Give the names that a statement imports, each with the dotted name that it stands for."""
    for found in unit.imports:
        if found.member is not None:
            yield found.binds, f"{found.module}.{found.member}"
        else:
            yield found.binds, found.module if found.renamed else found.binds


def _draws_from(call: ast.Call, generators: Collection[str]) -> bool:
    """Tell whether it is a method of a generator, which is named or made just there."""
    function = call.func
    if not isinstance(function, ast.Attribute):
        return False
    return _is_unseeded(function.value) or _chain(function)[0] in generators


def _draws_globally(call: ast.Call, meanings: Mapping[str, str]) -> bool:
    """Tell whether it is a function such as ``np.random.rand``."""
    first, *rest = _chain(call.func)
    module, _, name = ".".join([meanings.get(first, ""), *rest]).rpartition(".")
    if module == "torch":
        return name in _DRAWS_OF_TORCH
    return module in _DRAWING_MODULES and name not in _DRAW_NOTHING | _SEEDERS | _GLOBAL_SEEDERS


def _chain(function: ast.expr) -> tuple[str, ...]:
    """Return what is called, by its dotted name; the first is empty if it is no name."""
    match function:
        case ast.Name(id=name):
            return (name,)
        case ast.Attribute(value=value, attr=name):
            return (*_chain(value), name)
    return ("",)
