"""From the numeric form of a column back to the column."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from psyflow.columns import Column, Columns, unpacked
from psyflow.exceptions import StoreError, UnsupportedDataError
from psyflow.repeats import repeated
from psyflow.store._forms import MASK_NAN, MASK_NONE, Array, Cells
from psyflow.store._lists import listed
from psyflow.store.comparing import comparable

__all__ = ["check_consistent", "decode", "decoded", "texts"]

_MASKED_VALUES = {MASK_NONE: None, MASK_NAN: float("nan")}


def decode(cells: Cells, ragged: bool = False) -> Column:
    """Return the column that `cells` stand for.

    Parameters
    ----------
    cells : Cells
    ragged : bool
        Whether arrays of different shapes come back as they were, in a list; else they are padded
        to one shape.
    """
    kind, parts = cells.form.kind, cells.parts
    is_masked = cells.form.masked and bool(parts["mask"].any())
    if kind == "nothing":
        column: Column = [None] * cells.length
    elif cells.form.levels:
        column = listed(cells)
    elif kind == "array":
        column = repeated(parts["data"][0], cells.length) if cells.form.once else parts["data"]
        if is_masked:
            column = column.tolist() if cells.form.python else list(column)
    elif kind == "ragged":
        column = _unpadded(cells) if ragged else _padded(cells)
    else:
        column = texts(cells)
    if is_masked:
        column = _apply_mask(list(column), parts["mask"])
    # Of lists or arrays, some rows may all be absent.
    is_single = not (cells.form.levels or cells.form.shape or kind == "ragged")
    return comparable(column) if is_single else column


def decoded(table: Columns, encode: Callable[[str, Column], Cells]) -> dict[str, Column]:
    """Return columns as they come back from their numeric form, those without one as they are."""
    found = unpacked(table)
    for name, column in table.items():
        with contextlib.suppress(UnsupportedDataError):
            found[name] = decode(encode(name, column))
    return found


def _apply_mask(values: list[Any], mask: Array) -> list[Any]:
    for i in np.flatnonzero(mask).tolist():
        values[i] = _MASKED_VALUES[int(mask[i])]
    return values


def _slices(ends: Array) -> zip[tuple[int, int]]:
    stops = ends.tolist()
    return zip([0, *stops[:-1]], stops, strict=True) if stops else zip((), (), strict=True)


def texts(cells: Cells) -> list[Any]:
    """Return the values of a column of text or bytes; empty ones where there is a mask."""
    parts, kind = cells.parts, cells.form.kind
    blob, slices = parts["data"].tobytes(), _slices(parts["ends"])
    if kind == "bytes":
        return [blob[a:b] for a, b in slices]
    if blob.isascii():
        text = blob.decode("ascii")
        return [text[a:b] for a, b in slices]
    return [blob[a:b].decode("utf-8", "surrogatepass") for a, b in slices]


def _unpadded(cells: Cells) -> list[Any]:
    parts = cells.parts
    data, shapes = parts["data"], parts["shapes"].tolist()
    masked = parts["mask"].tolist() if cells.form.masked else [0] * cells.length
    rows = zip(masked, _slices(parts["ends"]), _slices(parts["shape_ends"]), strict=True)
    return [
        # Indexing with () turns an array of no dimension into the scalar that it was.
        None if is_masked else data[a:b].reshape(shapes[c:d]).copy()[()]
        for is_masked, (a, b), (c, d) in rows
    ]


def _padding(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], Any]:
    if dtype.kind in "iu":
        return np.dtype(float), np.nan
    if dtype.kind in "fc":
        return dtype, np.nan
    if dtype.kind in "Mm":
        return dtype, "NaT"
    return dtype, dtype.type()


def _padded(cells: Cells) -> Array:
    dtype, fill = _padding(cells.parts["data"].dtype)
    try:
        padded = np.full((cells.length, *cells.form.shape), fill, dtype)
    except MemoryError:
        raise StoreError(
            f"Arrays padded to {cells.length} × {cells.form.shape} do not fit into memory. "
            "Load them with ragged=True."
        ) from None
    for row, value in zip(padded, _unpadded(cells), strict=True):
        if value is None:
            continue
        missing_axes = row.ndim - np.ndim(value)
        corner = (*map(slice, np.shape(value)), *[0] * missing_axes)
        row[corner] = value
    return padded


def check_consistent(cells: Cells) -> None:
    """Raise ValueError if the parts, read from a file, do not fit together."""
    for part in ("ends", "shape_ends", "mask"):
        if part in cells.parts and cells.parts[part].shape != (cells.length,):
            raise ValueError(f'"{part}" has not {cells.length} rows')
    form, data = cells.form, cells.parts.get("data")
    rows = 1 if form.once else cells.length
    if form.kind == "array" and data is not None and data.shape != (rows, *form.shape):
        raise ValueError(f"shape {data.shape} instead of {(rows, *form.shape)}")
    if form.dtype and data is not None and data.dtype != np.dtype(form.dtype):
        raise ValueError(f"dtype {data.dtype} instead of {form.dtype}")
    if "ends" in cells.parts and data is not None:
        ends = cells.parts["ends"]
        if (np.diff(ends, prepend=0) < 0).any() or (len(ends) and ends[-1] != len(data)):
            raise ValueError("rows do not end where the data end")
    if data is not None and form.has_tags:
        _check_tags(cells.parts["tags"], data, len(form.types))


def _check_tags(tags: Array, data: Array, n_types: int) -> None:
    if tags.shape != data.shape or (tags >= n_types).any():
        raise ValueError('"tags" are not those of the data')
