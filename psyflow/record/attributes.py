"""New psets that differ from done ones only in an attribute of an object, or in a dict's entry."""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, Columns
from psyflow.pspace.contents import has_content, type_name
from psyflow.pspace.keys import Keys, add_keys, column_keys, match, no_keys
from psyflow.reprs import safe_repr

__all__ = ["about_attributes"]

# Nobody waits for what is only a hint.
_MOST_PSETS = 1 << 16
_MOST_PARTS = 64
_DEEPEST = 4
_LONGEST = 60

_ABSENT = float("nan")  # as in a pset
_NAMED = (types.FunctionType, types.BuiltinFunctionType, type, types.ModuleType, enum.Enum)

_Parts = dict[str, Any]


def about_attributes(new: Columns, n_new: int, done: Columns, n_done: int) -> str:
    """Say how many new psets differ from done ones only in an attribute of an object.

    Attributes that are new to all objects, or that no new object has any more, go together; of
    those that all objects have, it is one.

    Parameters
    ----------
    new, done : Columns
        Psets without a result, and psets with one that are none of the new ones.
    n_new, n_done : int

    Returns
    -------
    str
        Which attribute, what it was and is, and what to do; empty if there are none.
    """
    if max(n_new, n_done) > _MOST_PSETS:
        return ""
    here, there = _Side(new, n_new), _Side(done, n_done)
    if not (here.parts and there.parts):
        return ""
    ignored, near = _nearest(here, there)
    places = np.flatnonzero(near >= 0)
    if not len(places):
        return ""
    first, its = int(places[0]), int(near[places[0]])
    now, then = here.parts_of(first), there.parts_of(its)
    differences = [
        f"`{part}` (was {_shown(then, part)}, is {_shown(now, part)})"
        for part in ignored
        if _shown(then, part) != _shown(now, part)
    ]
    pset = ", ".join(f"{name}={safe_repr(new[name][first], _LONGEST)}" for name in here.nested)
    return (
        f"{len(places)} of the new psets, such as {pset}, differ from done ones only in "
        f"{' and '.join(differences)}. They count as others. To keep the results, have that as "
        "it was, or have the object's class leave it out of `__getstate__`."
    )


def _shown(parts: _Parts, part: str) -> str:
    return safe_repr(parts[part], _LONGEST) if part in parts else "absent"


class _Side:
    """The psets of one side, with objects taken apart.

    Attributes
    ----------
    nested : list of str
        Names of parameters that have parts.
    parts : dict from str to Keys
        For each part, such as ``x.tau``, what it adds to the key of each pset.
    plain : Keys
        The keys that all the other parameters make up.
    """

    def __init__(self, columns: Columns, length: int) -> None:
        self._columns = columns
        self._taken_apart = {name: _taken_apart(name, columns[name]) for name in columns}
        self.nested = [name for name, (_, apart) in self._taken_apart.items() if any(apart)]
        self.plain = column_keys({n: columns[n] for n in columns if n not in self.nested}, length)
        self.parts: dict[str, Keys] = {}
        for name in self.nested:
            places, apart = self._taken_apart[name]
            for part in dict.fromkeys(part for parts in apart for part in parts):
                values = [parts.get(part, _ABSENT) for parts in apart]
                self.parts[part] = column_keys({part: values}, len(values))[places]

    def keys_of(self, parts: Iterable[str]) -> Keys:
        """Return the keys of the psets, made up of the plain parameters and some parts."""
        have = (self.parts.get(part, no_keys(len(self.plain))) for part in parts)
        return functools.reduce(add_keys, have, self.plain)

    def parts_of(self, row: int) -> _Parts:
        """Return the parts of one pset."""
        apart = (self._taken_apart[name] for name in self.nested)
        return functools.reduce(lambda a, b: {**a, **b}, (a[places[row]] for places, a in apart))


def _nearest(here: _Side, there: _Side) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Return which parts are to be ignored so that psets are equal, and to which ones."""
    common = [part for part in here.parts if part in there.parts]
    one_sided = [*(here.parts.keys() ^ there.parts.keys())]
    choices = [[part] for part in common]
    if one_sided:
        choices.insert(0, [])
    best: tuple[list[str], npt.NDArray[np.int64]] = [], np.full(len(here.plain), -1)
    for ignored in choices:
        counted = [part for part in common if part not in ignored]
        near = match(here.keys_of(counted), there.keys_of(counted))
        if (near >= 0).sum() > (best[1] >= 0).sum():
            best = sorted([*one_sided, *ignored]), near
    return best


# Values --------------------------------------------------------------------------------------


def _taken_apart(name: str, column: Column) -> tuple[npt.NDArray[np.intp], list[_Parts]]:
    """Return the parts of the distinct objects of a column, and which object each row has."""
    if not isinstance(column, list):
        return np.zeros(0, np.intp), []
    ids = [id(value) for value in column]
    distinct = dict(zip(ids, column, strict=True))
    number = {known: i for i, known in enumerate(distinct)}
    apart = [_parts_of_value(name, value) for value in distinct.values()]
    return np.array([number[i] for i in ids], dtype=np.intp), apart


def _parts_of_value(name: str, value: Any) -> _Parts:
    if _named_parts(name, value) is None:
        return {}
    parts = dict(_flat(name, value, _DEEPEST))
    return parts if len(parts) <= _MOST_PARTS else {}


def _flat(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Give the parts of a value that have none themselves, by their paths."""
    named = _named_parts(path, value) if depth else None
    if named is None:
        yield path, value
        return
    yield f"type({path})", type_name(type(value))
    for part, its in named.items():
        yield from _flat(part, its, depth - 1)


def _named_parts(path: str, value: Any) -> _Parts | None:
    """Return the parts of a value by their paths, or None if it is one whole."""
    if type(value) is dict:
        return {f"{path}[{key!r}]": its for key, its in value.items()}
    if isinstance(value, tuple) and (names := getattr(type(value), "_fields", None)):
        return {f"{path}.{name}": its for name, its in zip(names, value, strict=False)}
    if isinstance(value, _NAMED) or type(value).__module__ == "builtins":
        return None
    if has_content(type(value)):
        return None
    attributes = _attributes(value)
    return attributes and {f"{path}.{name}": its for name, its in attributes.items()}


def _attributes(value: Any) -> _Parts | None:
    """Return what the pickle of an object holds besides its class, if that has names."""
    try:
        state = value.__reduce_ex__(4)[2]
    except Exception:
        # How an object is pickled is anybody's code. What was made before its class had a slot
        # has nothing in there.
        return _fields_that_are_there(value)
    match state:
        case dict():
            return state
        case (dict() | None as attributes, dict() as slots):
            return {**(attributes or {}), **slots}
        case list() if dataclasses.is_dataclass(value):
            names = [field.name for field in dataclasses.fields(value)]
            return dict(zip(names, state, strict=False))
    return None


def _fields_that_are_there(value: Any) -> _Parts | None:
    if not dataclasses.is_dataclass(value):
        return None
    names = [field.name for field in dataclasses.fields(value)]
    return {name: getattr(value, name) for name in names if hasattr(value, name)}
