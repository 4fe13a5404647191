"""Parts that have moved to another module and are what they were.

A record of parts does not say which part a name in another one stands for. So a move is seen only
where each name that plays a role in it can stand for one thing, before and after. In doubt there
is none, and everything is computed anew.
"""

from __future__ import annotations

import ast
import builtins
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from psyflow.fingerprint.normal import normalize
from psyflow.fingerprint.units import Unit
from psyflow.system.syntax import parsed

if TYPE_CHECKING:
    from psyflow.fingerprint.parts import Part

__all__ = ["ALIAS", "Moves", "find_moves"]

ALIAS = "import "
"""What the names of parts begin with that give something of the user's own another name."""

_TELL_THE_MODULE = (
    *("__name__", "__file__", "__module__", "__package__", "__spec__", "__path__", "__loader__"),
    *("__globals__", "__code__", "__qualname__", "__import__", "globals(", "locals(", "vars("),
    *("eval(", "exec(", "inspect", "_getframe", "importlib", "modules", "pickle", "dill"),
    "import *",  # nobody knows which names it binds there
)
_BUILTINS = frozenset(vars(builtins))

_Parts = Mapping[str, "Part"]
_Differ = Callable[["Part", "Part"], bool]


@dataclass(frozen=True)
class Moves:
    """Which parts are the same ones under another name.

    Attributes
    ----------
    old_name : dict from str to str
        By their new names.
    copied : frozenset of str
        Names of imports and plain constants, which are equal wherever they stand.
    """

    old_name: dict[str, str] = field(default_factory=dict)
    copied: frozenset[str] = frozenset()


def find_moves(old: _Parts, new: _Parts, differ: _Differ) -> Moves:
    """Find the parts that have moved from one module to another.

    Parameters
    ----------
    old, new : mapping from str to Part
    differ : callable
        Tells whether the content of two parts differs.
    """
    if not (new.keys() - old.keys() and old.keys() - new.keys()) or _tell_the_module(new):
        return Moves()
    groups = _Groups(old, new, differ)
    moved = {name: before for name in new.keys() - old.keys() if (before := groups.before(name))}
    copied = frozenset(name for name in old.keys() ^ new.keys() if groups.is_copied(_last(name)))
    if any(not groups.is_clear(used, moved) for name in moved for used in _used(new[name])):
        return Moves()
    return Moves(moved, copied)


class _Groups:
    """The parts by the last of their names, for which any of them might stand somewhere."""

    def __init__(self, old: _Parts, new: _Parts, differ: _Differ) -> None:
        self._old, self._new, self._differ = old, new, differ
        self._old_names, self._new_names = _by_last(old), _by_last(new)
        self._modules = _modules(old) & _modules(new)

    def before(self, name: str) -> str | None:
        """Return the old name of a new part, if it is one that has moved."""
        last = _last(name)
        match self._old_names.get(last), self._new_names[last]:
            case [before], [_]:
                is_gone = before not in self._new
                is_same = not self._differ(self._old[before], self._new[name])
                return before if is_gone and is_same and _is_movable(self._new[name]) else None
        return None

    def is_copied(self, last: str) -> bool:
        """Tell whether all parts of a name are one import, or one plain constant."""
        befores = [self._old[name] for name in self._old_names.get(last, ())]
        nows = [self._new[name] for name in self._new_names.get(last, ())]
        if not befores or not nows or not all(map(_has_no_state, nows)):
            return False
        return not any(self._differ(before, now) for before in befores for now in nows)

    def is_clear(self, used: str, moved: Mapping[str, str]) -> bool:
        """Tell whether a name stands for the same thing in a part that has moved."""
        befores, nows = self._old_names.get(used, []), self._new_names.get(used, [])
        if (alias := f"{ALIAS}{used}") in {*self._old_names, *self._new_names}:
            return self.is_copied(alias) and not (befores or nows)
        if not befores and not nows:
            return used in _BUILTINS or used in self._modules
        if used in _BUILTINS:
            return False  # without an import there, it would be Python's
        if len(befores) == len(nows) == 1:
            return moved.get(nows[0], nows[0]) == befores[0] or self.is_copied(used)
        return self.is_copied(used)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _by_last(parts: _Parts) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name in parts:
        found[_last(name)].append(name)
    return dict(found)


def _modules(parts: _Parts) -> set[str]:
    """Return the outermost names of the modules that have parts."""
    return {name.partition(".")[0] for name in parts if "." in name}


def _tell_the_module(parts: _Parts) -> bool:
    """Tell whether code may ask in which module something stands."""
    return any(word in part.source for part in parts.values() for word in _TELL_THE_MODULE)


def _body(part: Part) -> list[ast.stmt]:
    try:
        return normalize(parsed(part.source)).body
    except (SyntaxError, ValueError):
        return []


def _used(part: Part) -> set[str]:
    return {name for statement in _body(part) for name in Unit(statement, "").uses}


def _is_movable(part: Part) -> bool:
    """Tell whether it makes no difference when, and where, its statements run."""
    body = _body(part)
    return bool(body) and all(map(_is_timeless, body))


def _is_timeless(statement: ast.stmt) -> bool:
    match statement:
        case ast.FunctionDef(args=arguments) | ast.AsyncFunctionDef(args=arguments):
            defaults = [*arguments.defaults, *filter(None, arguments.kw_defaults)]
            inner = [node for default in defaults for node in ast.walk(default)]
            return not any(isinstance(node, ast.Call) for node in inner) and not any(
                isinstance(node, ast.Global) or _is_relative(node) for node in ast.walk(statement)
            )
        case ast.Assign(targets=[ast.Name()], value=value):
            return _is_literal(value)
    return _is_import(statement)


def _has_no_state(part: Part) -> bool:
    match _body(part):
        case [ast.Assign(targets=[ast.Name()]) as statement]:
            return Unit(statement, "").is_plain and _is_literal(statement.value)
        case [statement]:
            return _is_import(statement)
    return False


def _is_import(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Import | ast.ImportFrom) and not _is_relative(statement)


def _is_relative(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and node.level > 0


def _is_literal(value: ast.expr) -> bool:
    try:
        ast.literal_eval(value)
    except ValueError:
        return False
    return True
