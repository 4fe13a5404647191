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
lists     as ragged, with lengths for shapes         lists and tuples of different lengths
nothing   none                                       None only, or no row at all
========= ========================================== ==========================================

``ends[i]`` is where row `i` ends in ``data``. A masked column also has a part ``mask``: 0 where
there is a value, 1 for None, 2 for a float NaN among values that cannot be NaN.

Lists and tuples of numbers that are all of one shape are kind array, with a mark of what they
were. If the numbers in the lists of a column were of several types, a part ``tags``, of the shape
of ``data``, says for each which of ``Form.types`` it had. Of a column of one large array in each
row, ``data`` has one row, and the form has a mark.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.exceptions import UnsupportedDataError

__all__ = [
    "EITHER",
    "FAMILIES",
    "LIST",
    "MASK_NAN",
    "MASK_NONE",
    "TEXT_LEAF",
    "TUPLE",
    "Cells",
    "Form",
    "array_cells",
    "as_ragged",
    "empty_cells",
    "exact_cast",
    "expanded",
    "mixed_error",
    "nan_cells",
    "once_cells",
    "padded_shape",
    "promote",
    "unsupported",
    "with_mask",
]

Array: TypeAlias = "npt.NDArray[Any]"
DType: TypeAlias = "np.dtype[Any]"

MASK_NONE = 1
MASK_NAN = 2
LIST, TUPLE, EITHER = "l", "t", "x"
TEXT_LEAF = "str"
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
    "lists": ("data", "ends", "shapes", "shape_ends"),
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
    levels : str
        For lists and tuples, a letter for each level of nesting: ``l`` list, ``t`` tuple, ``x``
        as each length says. If all are empty, there may be more levels.
    types : tuple of str
        Of what types the numbers or texts in lists were: ``int``, ``float``, ``str``, …, or
        NumPy's spelling of a dtype.
    once : bool
        Whether all rows are the one that there is in ``data`` (kind array).
    """

    kind: str
    dtype: str = ""
    shape: tuple[int, ...] = ()
    masked: bool = False
    python: bool = False
    all_nan: bool = False
    levels: str = ""
    types: tuple[str, ...] = ()
    once: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts."""
        tags = ("tags",) if self.has_tags else ()
        return (*_KIND_PARTS[self.kind], *tags, *(("mask",) if self.masked else ()))

    @property
    def has_tags(self) -> bool:
        """Whether a part says of what type each number was."""
        return len(self.types) > 1

    @property
    def family(self) -> str:
        """What can be in one column with these values without an error."""
        if self.levels:
            return "list"
        return FAMILIES[np.dtype(self.dtype).kind] if self.dtype else self.kind

    def same_layout(self, other: Form) -> bool:
        """Tell whether the parts of both, except the mask, look the same on disk."""
        if (self.kind, self.dtype, self.once) != (other.kind, other.dtype, other.once):
            return False
        if (self.has_tags or other.has_tags) and self.types != other.types:
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
        "Use PickleStore instead: store = PickleStore().",
        column=name,
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


def once_cells(data: Array) -> Cells:
    """Return `data`, whose rows are all one (see `is_repeated`), as cells."""
    form = replace(array_cells(data[:1]).form, once=True)
    return Cells(form, len(data), {"data": np.ascontiguousarray(data[:1])})


def expanded(cells: Cells) -> Cells:
    """Return `cells` with each row of its own in ``data``."""
    if not cells.form.once:
        return cells
    data = np.repeat(cells.parts["data"], cells.length, 0)
    return Cells(replace(cells.form, once=False), cells.length, {**cells.parts, "data": data})


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
        # The limit itself does not fit into narrower floats.
        real = cast.real.astype(np.promote_types(cast.real.dtype, np.float64))
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


def empty_cells(form: Form, mask: Array) -> Cells:
    """Return cells of `form` whose rows hold no values but what `mask` says."""
    n = len(mask)
    zeros = np.zeros(n, np.int64)
    parts: dict[str, Array] = {"ends": zeros, "shape_ends": zeros, "shapes": zeros[:0]}
    if form.kind == "array":
        parts["data"] = np.zeros((n, *form.shape), form.dtype)
    else:
        parts["data"] = np.zeros(0, form.dtype or np.uint8)
    parts["tags"] = np.zeros(parts["data"].shape, np.uint8)
    parts["mask"] = mask
    return Cells(form, n, {part: parts[part] for part in form.parts})


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
        elif part in ("data", "tags") and cells.form.kind == "array":
            parts[part][present] = values
        elif part != "mask":
            parts[part] = values
    return Cells(spread.form, len(mask), parts)
