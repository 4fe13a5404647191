"""The numeric form of a column: what NPZ and HDF5 files hold of it.

Neither format has text, None or arrays of many shapes that survive exactly. So a column is turned
into a few numeric arrays, its *parts*, and a `Form` that says how to turn them back:

========= ========================================== ==========================================
kind      parts                                      column
========= ========================================== ==========================================
array     ``data``: rows along the first axis        values of one dtype and one shape
ragged    ``data`` flat, ``ends``, ``shapes`` flat,  arrays of one dtype and different shapes
          ``shape_ends``
text      ``data``: UTF-8, ``ends``                  str
bytes     ``data``: bytes, ``ends``                  bytes
nothing   none                                       None only, or no row at all
========= ========================================== ==========================================

``ends[i]`` is where row `i` ends in ``data``. A masked column also has a part ``mask``: 0 where
there is a value, 1 for None, 2 for a float NaN among values that cannot be NaN.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.exceptions import UnsupportedDataError

__all__ = [
    "FAMILIES",
    "MASK_NAN",
    "MASK_NONE",
    "Cells",
    "Form",
    "array_cells",
    "as_ragged",
    "convert",
    "empty_cells",
    "exact_cast",
    "mixed_error",
    "nan_cells",
    "padded_shape",
    "promote",
    "unify",
    "unsupported",
    "with_mask",
]

Array = npt.NDArray[Any]
DType = np.dtype[Any]

MASK_NONE = 1
MASK_NAN = 2
FAMILIES: Mapping[str, str] = {
    "b": "bool",
    "i": "number",
    "u": "number",
    "f": "number",
    "c": "number",
    "M": "datetime",
    "m": "timedelta",
    "U": "text array",
    "S": "bytes array",
}
_KIND_PARTS: Mapping[str, tuple[str, ...]] = {
    "array": ("data",),
    "ragged": ("data", "ends", "shapes", "shape_ends"),
    "text": ("data", "ends"),
    "bytes": ("data", "ends"),
    "nothing": (),
}


@dataclass(frozen=True)
class Form:
    """How the parts of a column become its values again.

    Attributes
    ----------
    kind : str
        One of the kinds in the table above.
    dtype : str
        NumPy's spelling of the dtype (kinds array and ragged).
    shape : tuple of int
        The shape of one value; for ragged, the shape that all are padded to.
    masked : bool
        Whether there is a mask.
    python : bool
        Whether all values were Python's own scalars, not NumPy's.
    all_nan : bool
        Whether all values are float NaN, so that any other family may join.
    """

    kind: str
    dtype: str = ""
    shape: tuple[int, ...] = ()
    masked: bool = False
    python: bool = False
    all_nan: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts."""
        return (*_KIND_PARTS[self.kind], *(("mask",) if self.masked else ()))

    @property
    def family(self) -> str:
        """What can be in one column with these values without an error."""
        return FAMILIES[np.dtype(self.dtype).kind] if self.dtype else self.kind

    def same_layout(self, other: Form) -> bool:
        """Tell whether the parts of both, except the mask, look the same on disk."""
        if (self.kind, self.dtype) != (other.kind, other.dtype):
            return False
        return self.kind != "array" or self.shape == other.shape


@dataclass(frozen=True)
class Cells:
    """`length` values of one column, as parts."""

    form: Form
    length: int
    parts: Mapping[str, Array]

    @property
    def nbytes(self) -> int:
        """Memory taken by the parts, in bytes."""
        return sum(part.nbytes for part in self.parts.values())


def unsupported(name: str, what: str) -> UnsupportedDataError:
    """Return the error for a column that NPZ and HDF5 cannot hold exactly."""
    return UnsupportedDataError(
        f'Column "{name}" {what}, which NPZ and HDF5 files cannot hold exactly. '
        "Use PickleStore instead: store = PickleStore()."
    )


def mixed_error(name: str, one: str, other: str) -> UnsupportedDataError:
    """Return the error for a column that mixes what cannot be mixed."""
    return unsupported(name, f"mixes {one} and {other} values")


def array_cells(data: Array, python: bool = False) -> Cells:
    """Return `data`, rows along its first axis, as cells."""
    if not data.dtype.itemsize:
        data = data.astype(data.dtype.kind + "1")
    form = Form("array", data.dtype.str, data.shape[1:], python=python)
    if form.dtype == np.dtype(float).str and data.ndim == 1 and len(data) and np.isnan(data[0]):
        form = replace(form, all_nan=bool(np.isnan(data).all()))
    return Cells(form, len(data), {"data": data})


def nan_cells(length: int) -> Cells:
    """Return the cells of rows that lack the column."""
    return array_cells(np.full(length, np.nan), python=True)


def promote(name: str, one: DType, other: DType) -> DType:
    """Return the dtype for values of both; whether they fit is left to `exact_cast`."""
    if one == other:
        return one
    try:
        joint = np.result_type(one, other)
    except TypeError:
        raise mixed_error(name, str(one), str(other)) from None
    if joint.kind == "f" and one.kind in "iu" and other.kind in "iu":
        return np.dtype(np.uint64)
    return joint


def _is_exact(data: Array, cast: Array) -> bool:
    if cast.dtype.kind in "iu":
        return cast.dtype.kind == data.dtype.kind or not (data < 0).any()
    if data.dtype.kind in "iu":
        limit = 2.0 ** (64 if data.dtype.kind == "u" else 63)
        real = cast.real
        return bool((real < limit).all() and (real.astype(data.dtype) == data).all())
    if data.dtype.kind in "Mm":
        return bool(((cast.astype(data.dtype) == data) | np.isnat(data)).all())
    # What is left only ever gets wider.
    return True


def exact_cast(name: str, data: Array, dtype: DType) -> Array:
    """Return `data` as `dtype`, and raise UnsupportedDataError if any value would change."""
    if data.dtype == dtype:
        return data
    try:
        cast = data.astype(dtype)
        exact = _is_exact(data, cast)
    except OverflowError:
        exact = False
    if not exact:
        raise unsupported(
            name, f"needs {data.dtype} values as {dtype}, but not all of them fit exactly"
        )
    return cast


def padded_shape(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    """Return the smallest shape that both fit in, their first axes aligned."""
    return tuple(max(pair) for pair in itertools.zip_longest(one, other, fillvalue=1))


def as_ragged(name: str, data: Array, shapes: Array, shape_ends: Array) -> Cells:
    """Return flat `data` of arrays of the given shapes as ragged cells."""
    if data.dtype.kind == "b":
        raise unsupported(name, "holds bool arrays of different shapes")
    if data.dtype.kind in "iu":
        exact_cast(name, data, np.dtype(float))
    counts = np.diff(shape_ends, prepend=0)
    rows = [tuple(r.tolist()) for r in np.split(shapes, shape_ends[:-1])] if len(counts) else []
    shape: tuple[int, ...] = ()
    for distinct in set(rows):
        shape = padded_shape(shape, distinct)
    sizes = {distinct: int(np.prod(distinct)) for distinct in set(rows)}
    ends = np.cumsum([sizes[row] for row in rows], dtype=np.int64)
    parts = {"data": data, "ends": ends, "shapes": shapes, "shape_ends": shape_ends}
    return Cells(Form("ragged", data.dtype.str, shape), len(rows), parts)


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
        return replace(rest, masked=True)
    if one.family != other.family:
        if not (one.all_nan or other.all_nan):
            raise mixed_error(name, one.family, other.family)
        return replace(other if one.all_nan else one, masked=True)
    python = one.python and other.python
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
    )


def empty_cells(form: Form, mask: Array) -> Cells:
    """Return cells of `form` whose rows hold no values but what `mask` says."""
    n = len(mask)
    zeros = np.zeros(n, np.int64)
    parts: dict[str, Array] = {"ends": zeros, "shape_ends": zeros, "shapes": zeros[:0]}
    if form.kind == "array":
        parts["data"] = np.zeros((n, *form.shape), form.dtype)
    else:
        parts["data"] = np.zeros(0, form.dtype or np.uint8)
    parts["mask"] = mask
    return Cells(form, n, {part: parts[part] for part in form.parts})


def _array_to_ragged(name: str, cells: Cells) -> Cells:
    data, n = cells.parts["data"], cells.length
    shape = np.array(data.shape[1:], np.int64)
    shape_ends = np.arange(1, n + 1, dtype=np.int64) * len(shape)
    ragged = as_ragged(name, data.reshape(-1), np.tile(shape, n), shape_ends)
    return Cells(ragged.form, n, {**cells.parts, **ragged.parts})


def convert(name: str, cells: Cells, form: Form) -> Cells:
    """Return `cells` in the wider `form` that `unify` gave.

    Raises
    ------
    UnsupportedDataError
        If a value would change.
    """
    if cells.form == form:
        return cells
    joins_as_mask = cells.form.all_nan and cells.form.family != form.family
    if joins_as_mask or cells.form.kind == "nothing":
        mask = cells.parts.get("mask", np.zeros(cells.length, np.uint8))
        return empty_cells(form, np.where(mask == 0, np.uint8(MASK_NAN), mask))
    if cells.form.kind == "array" and form.kind == "ragged":
        cells = _array_to_ragged(name, cells)
    parts = dict(cells.parts)
    if form.dtype:
        parts["data"] = exact_cast(name, parts["data"], np.dtype(form.dtype))
    if form.masked:
        parts.setdefault("mask", np.zeros(cells.length, np.uint8))
    return Cells(form, cells.length, parts)


def with_mask(cells: Cells, mask: Array) -> Cells:
    """Spread `cells` over the rows where `mask` is 0; the other rows get what `mask` says."""
    present = mask == 0
    if cells.form.masked:
        mask = mask.copy()
        mask[present] = cells.parts["mask"]
    spread = empty_cells(replace(cells.form, masked=True), mask)
    parts = dict(spread.parts)
    for part, values in cells.parts.items():
        if part in ("ends", "shape_ends"):
            sizes = np.zeros(len(mask), np.int64)
            sizes[present] = np.diff(values, prepend=0)
            parts[part] = np.cumsum(sizes)
        elif part == "data" and cells.form.kind == "array":
            parts[part][present] = values
        elif part != "mask":
            parts[part] = values
    return Cells(spread.form, len(mask), parts)
