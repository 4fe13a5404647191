"""Generators of random numbers that every worker begins anew from the same state.

``rng = default_rng(1)`` at the top of a task file is run by each worker process when it loads the
file. So every worker draws the same numbers, and so does a later run that extends the study.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from psyflow.fingerprint.modules import LocalModule
from psyflow.fingerprint.origins import Origins
from psyflow.fingerprint.reach import reach_from
from psyflow.fingerprint.units import Unit

__all__ = ["SeededOnce", "seeded_once"]

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


@dataclass(frozen=True)
class SeededOnce:
    """A statement at the top of a module that seeds a generator which `execute` draws from.

    Attributes
    ----------
    file : str
        Relative to the task folder, if it is in there.
    line : int
    text : str
    is_global : bool
        Whether it sets a state that all of a process share, as ``np.random.seed(1)`` does.
    """

    file: str
    line: int
    text: str
    is_global: bool


def seeded_once(
    path: str | os.PathLike[str], roots: Sequence[str], elsewhere: Origins | None = None
) -> list[SeededOnce]:
    r"""Return the statements that seed what `roots` of a task file draw from, once for a process.

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
    ...     [(found.line, found.text) for found in seeded_once(task, ["execute"])]
    [(2, 'random.seed(0)')]
    """
    reach = reach_from(Path(os.path.abspath(path)), roots, elsewhere)  # noqa: PTH100
    units = reach.units()
    draws = any(_draws_from_global_states(unit) for _, unit in units)
    found = {
        (module.path, unit.first): _described(module, unit, reach.modules.folder, is_global)
        for module, unit in units
        for names, is_global in ((_SEEDERS, False), (_GLOBAL_SEEDERS, True))
        if _seeds(unit, names) and (draws or not is_global)
    }
    return [found[place] for place in sorted(found)]


def _described(module: LocalModule, unit: Unit, folder: Path, is_global: bool) -> SeededOnce:
    text = " ".join(line.strip() for line in module.lines[unit.first - 1 : unit.last])
    return SeededOnce(module.written(folder), unit.first, text, is_global)


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
