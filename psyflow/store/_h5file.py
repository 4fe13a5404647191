"""HDF5 files through PyTables: arrays in, arrays out, and no pickles.

PyTables unpickles every attribute that looks like a pickle as soon as it opens a group or an
array, so a file made for it could execute code. `open_to_read` gives a file that does not.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import tables

from psyflow.store._forms import Array, DType, Form
from psyflow.store.base import StorePath

__all__ = [
    "LOCK",
    "PLAIN_ARRAYS",
    "create_array",
    "open_to_read",
    "open_to_write",
    "read_array",
    "storable",
]

# PyTables is not safe to use from several threads at once.
LOCK = threading.RLock()

# Bounds of the memory one chunk takes: small tables stay small, large ones are fast.
_CHUNK_BYTES = (4 << 10, 512 << 10)
_NO_LIMIT = 1 << 62


class _PlainAttributes(tables.attributeset.AttributeSet):  # type: ignore[misc]
    """Attributes as they are on disk; pickles stay bytes."""

    def __getattr__(self, name: str) -> Any:
        if name not in self.__dict__["_v_attrnames"]:
            raise AttributeError(name)
        value = self._g_getattr(self._v_node, name)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        self.__dict__[name] = value
        return value


class _PlainArray(tables.Array):  # type: ignore[misc]
    _AttributeSet = _PlainAttributes


class _PlainCArray(tables.CArray):  # type: ignore[misc]
    _AttributeSet = _PlainAttributes


class _PlainEArray(tables.EArray):  # type: ignore[misc]
    _AttributeSet = _PlainAttributes


PLAIN_ARRAYS = {
    tables.Array: _PlainArray,
    tables.CArray: _PlainCArray,
    tables.EArray: _PlainEArray,
}


class _PlainLoader:
    """What makes a group load its children as plain groups and plain arrays, or not at all."""

    _AttributeSet = _PlainAttributes

    def _g_load_child(self: Any, name: str) -> Any:
        kind = self._g_check_has_child(name)
        if kind == "Group":
            return _PlainGroup(self, name, new=False)
        leaf = self._g_get_child_leaf_class(name, warn=False) if kind == "Leaf" else None
        if leaf not in PLAIN_ARRAYS:
            raise ValueError(f'"{self._v_pathname}/{name}" is no array of numbers')
        return PLAIN_ARRAYS[leaf](self, name)


class _PlainGroup(_PlainLoader, tables.Group):  # type: ignore[misc]
    pass


class _PlainRoot(_PlainLoader, tables.group.RootGroup):  # type: ignore[misc]
    pass


class _PlainFile(tables.File):  # type: ignore[misc]
    # The name that Python gives to File.__get_root_group, which opens the root group.
    def _File__get_root_group(self, path: str | None, title: str, filters: Any) -> _PlainRoot:
        self._v_objectid = self._get_file_id()
        self.root_uep = path or "/"
        self.format_version = "unknown"
        self._isPTFile = True
        return _PlainRoot(self, self.root_uep, title=title, new=False, filters=filters)


def open_to_read(path: StorePath) -> Any:
    """Open an HDF5 file without ever unpickling what is in it."""
    return _PlainFile(str(path), "r", max_group_width=_NO_LIMIT, pytables_sys_attrs=False)


def open_to_write(path: StorePath) -> Any:
    """Create an HDF5 file."""
    return tables.open_file(str(path), "w", max_group_width=_NO_LIMIT)


def storable(array: Array) -> Array:
    """Return `array` as numbers that HDF5 has, with the same bytes as far as it can be.

    Dates become integers; text and bytes get one more axis, of their code points; numbers of a
    width that not every machine has become bytes.

    Examples
    --------
    >>> storable(np.array(["ab", "c"])).tolist()
    [[97, 98], [99, 0]]
    """
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
    kind, itemsize = array.dtype.kind, array.dtype.itemsize
    if kind in "Mm":
        return array.view(np.int64)
    if kind == "U":
        return array[..., None].view(np.uint32)
    if kind == "S" or (kind in "fc" and itemsize > (8 if kind == "f" else 16)):
        return array[..., None].view(np.uint8)
    return array


def _restored(array: Array, dtype: DType) -> Array:
    """Undo `storable`."""
    native = dtype.newbyteorder("=")
    if storable(np.zeros(1, native)).ndim > 1:
        if array.shape[-1] * array.dtype.itemsize != native.itemsize:
            raise ValueError(f"{array.shape[-1]} numbers are no {dtype}")
        array = array.view(native)[..., 0] if array.size else np.empty(array.shape[:-1], native)
    elif dtype.kind in "Mm":
        array = array.view(native)
    return array.astype(dtype, copy=False)


def create_array(file: Any, group: Any, name: str, sample: Array) -> Any:
    """Create an extendable array for rows like those of `sample`, which is storable."""
    inner = sample.shape[1:]
    row_bytes = max(1, sample.dtype.itemsize * int(np.prod(inner)))
    low, high = _CHUNK_BYTES
    rows = min(max(sample.nbytes, low), high) // row_bytes
    return file.create_earray(
        group,
        name,
        tables.Atom.from_dtype(sample.dtype),
        shape=(0, *inner),
        # Rows longer than a chunk are left to PyTables to divide.
        chunkshape=(rows, *inner) if rows else None,
        # HDF5 has no checksum unless it is asked for one.
        filters=tables.Filters(fletcher32=True),
        track_times=False,
    )


def read_array(node: Any, form: Form | None, start: int, stop: int) -> Array:
    """Read rows of an array, with the dtype of `form`."""
    array: Array = node.read(start, stop) if stop > start else node.read(0, 0)
    return array if form is None or not form.dtype else _restored(array, np.dtype(form.dtype))
