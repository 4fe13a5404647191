"""Lists and tuples, nested as they like, as flat values and the lengths of what holds them.

A row's lengths are kept level by level: the row's own, those of its lists, those of the lists in
these, and so on. A tuple of `n` values has the length ``~n``. Text at the bottom is a last level,
of the lengths of its UTF-8. So ``[[1], (2, 3)]`` is ``[1, 2, 3]`` with the lengths ``[2, 1, ~2]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any

import numpy as np

from psyflow.store._forms import LIST, TEXT_LEAF, TUPLE, Array, Cells, Form, unsupported

__all__ = ["flat_parts", "listed", "uniform", "unnested"]

# NumPy and HDF5 take 32 dimensions, and a list that holds itself has to end.
_MAX_DEPTH = 16
_CONTAINERS = {list, tuple}
_OF_LETTER: dict[str, type] = {LIST: list, TUPLE: tuple}


def unnested(name: str, values: Sequence[Any]) -> tuple[list[Array], list[Any]]:
    """Return the lengths of each level of `values`, lists and tuples, and what they hold.

    Raises
    ------
    UnsupportedDataError
        If some lists hold values where others hold lists.

    Examples
    --------
    >>> unnested("a", [[[1], (2, 3)], []])
    ([array([2, 0]), array([ 1, -3])], [1, 2, 3])
    """
    levels: list[Array] = []
    level, types = list(values), set(map(type, values))
    while types and types <= _CONTAINERS:
        if len(levels) == _MAX_DEPTH:
            raise unsupported(name, f"holds lists nested deeper than {_MAX_DEPTH}")
        levels.append(_lengths(level, types))
        level = list(chain.from_iterable(level))
        types = set(map(type, level))
    if types & _CONTAINERS:
        raise unsupported(name, "holds lists of different depths")
    return levels, level


def _lengths(level: list[Any], types: set[type]) -> Array:
    lengths = np.fromiter(map(len, level), np.int64, len(level))
    if tuple not in types:
        return lengths
    is_tuple = np.fromiter((type(value) is tuple for value in level), bool, len(level))
    return np.where(is_tuple, ~lengths, lengths)


def _sizes(lengths: Array) -> Array:
    return np.where(lengths < 0, ~lengths, lengths)


def uniform(levels: Sequence[Array]) -> tuple[tuple[int, ...], str] | None:
    """Return the one shape, and the letters, of lists that hold as much on each level, or None.

    Examples
    --------
    >>> uniform(unnested("a", [[(1, 2)], [(3, 4)]])[0])
    ((1, 2), 'lt')
    """
    if any(level.min() != level.max() for level in levels):
        return None
    lengths = [int(level[0]) for level in levels]
    letters = (TUPLE if length < 0 else LIST for length in lengths)
    return tuple(~n if n < 0 else n for n in lengths), "".join(letters)


def flat_parts(levels: Sequence[Array]) -> dict[str, Array]:
    """Return the parts ``ends``, ``shapes`` and ``shape_ends`` of rows with these lengths."""
    n = len(levels[0])
    rows = [np.arange(n)]
    for level in levels[:-1]:
        rows.append(np.repeat(rows[-1], _sizes(level)))
    sizes = np.bincount(rows[-1], weights=_sizes(levels[-1]), minlength=n)
    row_of = np.concatenate(rows)
    return {
        "ends": np.cumsum(sizes.astype(np.int64)),
        "shapes": np.concatenate(levels)[np.argsort(row_of, kind="stable")],
        "shape_ends": np.cumsum(np.bincount(row_of, minlength=n), dtype=np.int64),
    }


def listed(cells: Cells) -> list[Any]:
    """Return the column of lists that `cells` stand for; None where there is a mask."""
    if cells.form.kind == "array":
        return _of_one_shape(cells)
    form, parts = cells.form, cells.parts
    is_text = form.types == (TEXT_LEAF,)
    flat = parts["data"].tobytes() if is_text else _leaves(form, parts["data"], parts.get("tags"))
    lengths = parts["shapes"].tolist()
    masked = parts["mask"].tolist() if form.masked else [0] * cells.length
    rows = zip(masked, _slices(parts["ends"]), _slices(parts["shape_ends"]), strict=True)
    return [
        None if is_masked else _nested(flat[a:b], lengths[c:d], len(form.levels), is_text)
        for is_masked, (a, b), (c, d) in rows
    ]


def _slices(ends: Array) -> Iterator[tuple[int, int]]:
    return pairwise([0, *ends.tolist()])


def _of_one_shape(cells: Cells) -> list[Any]:
    form, data, tags = cells.form, cells.parts["data"], cells.parts.get("tags")
    values = _leaves(form, data.reshape(-1), tags if tags is None else tags.reshape(-1))
    for size, letter in zip(reversed(form.shape), reversed(form.levels), strict=True):
        pieces = (values[i : i + size] for i in range(0, len(values), size))
        values = [tuple(piece) for piece in pieces] if letter == TUPLE else list(pieces)
    return values


def _nested(flat: Any, lengths: list[int], depth: int, is_text: bool) -> Any:
    """Put the flat values of a row back into its lists; ValueError if they do not fit."""
    levels, start, count = [], 0, 1
    for _ in range(depth + is_text):
        levels.append(lengths[start : start + count])
        start, count = start + count, sum(n if n >= 0 else ~n for n in levels[-1])
    if start != len(lengths) or count != len(flat):
        raise ValueError("lists do not end where the data end")
    if is_text:
        flat = [text.decode("utf-8", "surrogatepass") for text in _cut(flat, levels.pop())]
    for level in reversed(levels):
        flat = _cut(flat, level)
    return flat[0]


def _cut(flat: Any, lengths: list[int]) -> list[Any]:
    stops = accumulate((n if n >= 0 else ~n for n in lengths), initial=0)
    pieces = (flat[a:b] for a, b in pairwise(stops))
    return [p if n >= 0 else tuple(p) for n, p in zip(lengths, pieces, strict=True)]


def _leaves(form: Form, data: Array, tags: Array | None) -> list[Any]:
    """Return flat values, each with the type that it had."""
    if tags is None:
        return _as_type(data, form.types[0]) if form.types else []
    of_type = [iter(_as_type(data[tags == i], name)) for i, name in enumerate(form.types)]
    return [next(of_type[tag]) for tag in tags.tolist()]


def _as_type(data: Array, name: str) -> list[Any]:
    if name == "int":
        # Not through int64, for what was beyond it may be among floats.
        return data.tolist() if data.dtype.kind in "iu" else list(map(int, data.real.tolist()))
    dtype = np.dtype(name)
    values = (data if dtype.kind == "c" else data.real).astype(dtype)
    return list(values) if name == dtype.str else values.tolist()
