"""Rules that find positions in a space: the rows a predicate accepts, first occurrences, ….

A rule is a function from a space to the positions that are selected, in ascending order.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from psyflow.exceptions import UnknownNameError
from psyflow.pspace.keys import Keys, KeySet, first_positions
from psyflow.pspace.table import Items, LazyTable, blocks

__all__ = ["Removals", "Rule", "accepted", "remaining", "unique", "unlinked"]

Rule: TypeAlias = Callable[[LazyTable], Items]
# The removals before, linked; the table to remove; and the names on which rows are compared.
Removals: TypeAlias = "tuple[Removals | None, LazyTable, frozenset[str]]"

_BLOCK = 1 << 16


def accepted(predicate: Callable[..., Any]) -> Rule:
    """Select the psets for which `predicate`, called with them as keyword arguments, is true."""
    return functools.partial(_accepted, predicate)


def _accepted(predicate: Callable[..., Any], space: LazyTable) -> Items:
    names = _accepted_names(predicate, space.keys())
    psets = space.iterate()
    verdicts = (bool(predicate(**{name: pset[name] for name in names})) for pset in psets)
    return np.flatnonzero(np.fromiter(verdicts, np.bool_, len(space)))


def _accepted_names(predicate: Callable[..., Any], names: list[str]) -> list[str]:
    """Return those of `names` which `predicate` takes, and complain of others that it needs."""
    try:
        arguments = inspect.signature(predicate).parameters.values()
    except ValueError:  # Functions written in C may not tell.
        return names
    if any(a.kind is a.VAR_KEYWORD for a in arguments):
        return names
    for a in arguments:
        if a.default is a.empty and a.kind is not a.VAR_POSITIONAL and a.name not in names:
            raise UnknownNameError("parameter", a.name, names)
    return [a.name for a in arguments if a.name in names]


def unique(space: LazyTable) -> Items:
    """Select the psets that equal none before them."""
    return first_positions(space.pset_keys())


def remaining(removals: Removals) -> Rule:
    """Select the psets that equal no row of any table to remove, on the names beside it."""
    return functools.partial(_remaining, removals)


def _remaining(removals: Removals, space: LazyTable) -> Items:
    removed = _key_sets(removals)
    kept = [np.zeros(0, np.int64)]
    for items in blocks(0, len(space), _BLOCK):
        is_kept = np.ones(len(items), np.bool_)
        for names, keys in removed.items():
            is_kept &= ~keys.contains(space.key_take(items, names))
        kept.append(items[is_kept])
    return np.concatenate(kept)


def _key_sets(removals: Removals) -> dict[frozenset[str], KeySet]:
    keys: dict[frozenset[str], list[Keys]] = {}
    for table, names in unlinked(removals):
        keys.setdefault(names, []).append(table.pset_keys(names=names))
    return {names: KeySet(np.concatenate(found)) for names, found in keys.items()}


def unlinked(removals: Removals | None) -> list[tuple[LazyTable, frozenset[str]]]:
    """Return the tables to remove, each with its names, in order."""
    found = []
    while removals is not None:
        removals, table, names = removals
        found.append((table, names))
    return found[::-1]
