"""From the form of a column to a wider one, which other values need too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from psyflow.store._forms import (
    EITHER,
    MASK_NAN,
    TEXT_LEAF,
    TUPLE,
    Array,
    Cells,
    Form,
    as_ragged,
    empty_cells,
    exact_cast,
    expanded,
    mixed_error,
    padded_shape,
    promote,
    unsupported,
)

__all__ = ["convert", "unify"]


def unify(name: str, one: Form, other: Form) -> Form:
    """Return the form that holds the values of both.

    Raises
    ------
    UnsupportedDataError
        If no form does without changing the type of a value.
    """
    masked = one.masked or other.masked
    if one.kind == "nothing" or other.kind == "nothing":
        rest = other if one.kind == "nothing" else one
        return replace(rest, masked=True, once=False)
    if one.family != other.family:
        if not (one.all_nan or other.all_nan):
            raise mixed_error(name, one.family, other.family)
        return replace(other if one.all_nan else one, masked=True, once=False)
    python = one.python and other.python
    if one.levels:
        return replace(_unify_lists(name, one, other), masked=masked)
    if not one.dtype:
        return replace(one, masked=masked, python=python)
    is_array = one.kind == other.kind == "array" and one.shape == other.shape
    return Form(
        "array" if is_array else "ragged",
        promote(name, np.dtype(one.dtype), np.dtype(other.dtype)).str,
        padded_shape(one.shape, other.shape) if not is_array else one.shape,
        masked,
        python,
        one.all_nan and other.all_nan,
        # Of one row: whoever has the values sees to that.
        once=one.once and replace(one, all_nan=False) == replace(other, all_nan=False),
    )


def _unify_lists(name: str, one: Form, other: Form) -> Form:
    joint = one
    if (one.kind, one.shape, one.levels) != (other.kind, other.shape, other.levels):
        joint = Form("lists", levels=EITHER * _joint_depth(name, one, other))
    if one.types and other.types and (TEXT_LEAF in one.types) != (TEXT_LEAF in other.types):
        raise unsupported(name, "holds lists that mix text and other values")
    dtype = one.dtype or other.dtype
    if one.dtype and other.dtype:
        dtype = promote(name, np.dtype(one.dtype), np.dtype(other.dtype)).str
    return replace(joint, dtype=dtype, types=tuple(sorted({*one.types, *other.types})))


def _joint_depth(name: str, one: Form, other: Form) -> int:
    """Return how deep lists of both are nested: empty ones alone may be of less levels."""
    depth = max(len(one.levels), len(other.levels))
    if any(len(form.levels) < depth and form.types for form in (one, other)):
        raise unsupported(name, "holds lists of different depths")
    return depth


def _array_to_ragged(name: str, cells: Cells) -> Cells:
    data, n = cells.parts["data"], cells.length
    shape = np.array(data.shape[1:], np.int64)
    shape_ends = np.arange(1, n + 1, dtype=np.int64) * len(shape)
    ragged = as_ragged(name, data.reshape(-1), np.tile(shape, n), shape_ends)
    return Cells(ragged.form, n, {**cells.parts, **ragged.parts})


def _lists_as(name: str, cells: Cells, form: Form) -> Cells:
    """Return `cells` of lists in the wider `form` that is also of lists."""
    parts = dict(cells.parts)
    if form.dtype:
        parts["data"] = exact_cast(name, parts["data"], np.dtype(form.dtype))
    if form.has_tags:
        parts["tags"] = _tags_among(form.types, cells)
    if form.masked:
        parts.setdefault("mask", np.zeros(cells.length, np.uint8))
    if cells.form.kind != form.kind:
        parts |= _lengths_of(cells)
        parts |= {part: parts[part].reshape(-1) for part in ("data", "tags") if part in parts}
    return Cells(form, cells.length, parts)


def _tags_among(types: tuple[str, ...], cells: Cells) -> Array:
    tags = cells.parts.get("tags", np.zeros(cells.parts["data"].shape, np.uint8))
    # Without a type there is no value.
    tag_of = [types.index(name) for name in cells.form.types] or [0]
    return np.array(tag_of, np.uint8)[tags]


def _lengths_of(cells: Cells) -> dict[str, Array]:
    """Return what kind lists has besides data for lists of one shape."""
    n, counts, lengths = cells.length, [1], list[int]()
    for size, letter in zip(cells.form.shape, cells.form.levels, strict=True):
        lengths += [~size if letter == TUPLE else size] * counts[-1]
        counts.append(counts[-1] * size)
    to = np.arange(1, n + 1, dtype=np.int64)
    shapes = np.tile(np.array(lengths, np.int64), n)
    return {"ends": to * counts[-1], "shapes": shapes, "shape_ends": to * len(lengths)}


def convert(name: str, cells: Cells, form: Form) -> Cells:
    """Return `cells` in the wider `form` that `unify` gave.

    Raises
    ------
    UnsupportedDataError
        If a value would change.
    """
    if cells.form == form:
        return cells
    cells = expanded(cells)
    joins_as_mask = cells.form.all_nan and cells.form.family != form.family
    if joins_as_mask or cells.form.kind == "nothing":
        mask = cells.parts.get("mask", np.zeros(cells.length, np.uint8))
        return empty_cells(form, np.where(mask == 0, np.uint8(MASK_NAN), mask))
    if form.levels:
        return _lists_as(name, cells, form)
    if cells.form.kind == "array" and form.kind == "ragged":
        cells = _array_to_ragged(name, cells)
    parts = dict(cells.parts)
    if form.dtype:
        parts["data"] = exact_cast(name, parts["data"], np.dtype(form.dtype))
    if form.masked:
        parts.setdefault("mask", np.zeros(cells.length, np.uint8))
    return Cells(form, cells.length, parts)
