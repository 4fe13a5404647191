"""Finding variables of a task file that look like misspelt settings."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from psyflow.exceptions import UnknownSettingWarning
from psyflow.fingerprint.reach import MEANING
from psyflow.system.syntax import parsed

__all__ = [
    "letters_apart",
    "misspelt_settings",
    "warn_of_misspelt_settings",
    "warn_of_others",
]

_SHORT = 5
_OTHER_WORDS = {"seeds"}
"""Names that are close to a setting's, and are common for what a space is made of."""
_HELPERS = {"repeats"}
"""Such names of what a file itself reads."""
_FORMER = {
    "mapper": "pool_size",
    "mapper_kwargs": "pool_size",
    "max_splits": "max_jobs",
    "method": "backend",
    "prolog": "prologue",
    "epilog": "epilogue",
}
"""Settings of the first versions of psyrun, and of clusters, and what they are called here."""
_HOLDS_STATEMENTS = (
    ast.If,
    ast.For,
    ast.While,
    ast.With,
    ast.Try,
    ast.TryStar,
    ast.Match,
    ast.ExceptHandler,
    ast.match_case,
)


def warn_of_misspelt_settings(
    source: bytes, known: Collection[str], path: Path, task_name: str
) -> None:
    """Warn of every variable in `source` that looks like one of the settings `known`."""
    for name, line, meant in misspelt_settings(parsed(source), known):
        message = f'"{path}", line {line}: `{name}` is no setting. Did you mean `{meant}`?'
        warnings.warn(UnknownSettingWarning(task_name, message), stacklevel=2)


def warn_of_others(messages: Iterable[str], task_name: str) -> None:
    """Warn of variables that have the name of a setting and are none."""
    for message in messages:
        warnings.warn(UnknownSettingWarning(task_name, message), stacklevel=3)


def misspelt_settings(tree: ast.Module, known: Collection[str]) -> list[tuple[str, int, str]]:
    """Return name, line, and the setting that was probably meant.

    A variable that the file itself reads is more likely to be a helper with a name of its own; it
    counts only where the name is long and just one letter off.

    Examples
    --------
    >>> misspelt_settings(ast.parse("max_job = 3"), ["max_jobs"])
    [('max_job', 1, 'max_jobs')]
    >>> misspelt_settings(ast.parse("score = 3; print(score)"), ["store"])
    []
    >>> misspelt_settings(ast.parse("repeats = 3"), ["repeat"])
    [('repeats', 1, 'repeat')]
    >>> misspelt_settings(ast.parse("repeats = 3; pspace = range(repeats)"), ["repeat"])
    []
    >>> misspelt_settings(ast.parse("max_splits = 3"), ["max_jobs"])  # a name of old
    [('max_splits', 1, 'max_jobs')]
    """
    read = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and _is_load(n)}
    set_names = {name: line for name, line in _set_names(tree) if not name.startswith("_")}
    guesses = [(name, line, _meant(name, known, name in read)) for name, line in set_names.items()]
    return [(name, line, meant) for name, line, meant in guesses if meant]


def _is_load(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Load)


def _meant(name: str, known: Collection[str], is_read: bool) -> str | None:
    if name in known or name in _OTHER_WORDS:
        return None
    if name in _FORMER and not is_read:
        return _FORMER[name]
    nearest = min(known, key=lambda setting: letters_apart(name.lower(), setting))
    if nearest in MEANING:
        # Everyday words: a `label`, a `unit` that the file reads is its own.
        is_close = not is_read and letters_apart(name.lower(), nearest) <= 1
    elif is_read:
        is_close = (
            name not in _HELPERS and len(nearest) > _SHORT and letters_apart(name, nearest) <= 1
        )
    else:
        allowed = 1 if len(nearest) < _SHORT else 2
        is_close = letters_apart(name.lower(), nearest) <= allowed
    return nearest if is_close else None


def _set_names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Give the names that assignments and definitions at the top of a module bind."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop(0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.Assign):
            yield from _targets(node.targets)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign):
            yield from _targets([node.target])
        elif isinstance(node, _HOLDS_STATEMENTS):
            pending += ast.iter_child_nodes(node)


def _targets(targets: list[ast.expr]) -> Iterator[tuple[str, int]]:
    for target in targets:
        if isinstance(target, ast.Name):
            yield target.id, target.lineno
        elif isinstance(target, ast.Tuple | ast.List):
            yield from _targets(target.elts)


def letters_apart(a: str, b: str) -> int:
    """Return how many letters have to be added, dropped, replaced or swapped with their neighbour.

    Examples
    --------
    >>> letters_apart("schedular_arg", "scheduler_args"), letters_apart("stroe", "store")
    (2, 1)
    """
    before, row = list(range(len(b) + 1)), list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        older, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and (x, a[i - 2]) == (b[j - 2], y):
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
    return row[-1]
