"""From a column to its numeric form."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import chain, compress
from typing import Any, TypeAlias

import numpy as np

from psyflow.columns import Column, Numbers
from psyflow.repeats import is_repeated
from psyflow.store._forms import (
    EITHER,
    FAMILIES,
    MASK_NAN,
    MASK_NONE,
    TEXT_LEAF,
    Array,
    Cells,
    DType,
    Form,
    array_cells,
    as_ragged,
    exact_cast,
    mixed_error,
    once_cells,
    promote,
    unsupported,
    with_mask,
)
from psyflow.store._lists import flat_parts, uniform, unnested

__all__ = ["encode", "family"]

_PYTHON_DTYPES: dict[type, str] = {
    bool: "bool",
    int: "int64",
    float: "float64",
    complex: "complex128",
}
_PYTHON_TYPES = {kind.__name__: kind for kind in _PYTHON_DTYPES}

# Values with one key can be put into one array as they are: a type, or a dtype and a shape.
_Key: TypeAlias = "type | tuple[DType, tuple[int, ...]]"


def encode(name: str, column: Column) -> Cells:
    """Return the numeric form of `column`.

    Parameters
    ----------
    name : str
        The column's name, for error messages.
    column : list or ndarray

    Raises
    ------
    UnsupportedDataError
        If a value could not be given back with its type.

    Examples
    --------
    >>> encode("a", ["x", None]).form == Form("text", masked=True)
    True
    """
    if isinstance(column, Numbers) and len(column):
        return array_cells(column.array, python=True)
    if not isinstance(column, np.ndarray):
        return _encode_list(name, column)
    if type(column) is not np.ndarray:
        raise _unknown_error(name, column)
    kind = column.dtype.kind
    if kind == "O" or (kind in "US" and column.ndim == 1):
        return _encode_list(name, list(column))
    if kind not in FAMILIES:
        raise unsupported(name, f"has the dtype {column.dtype}")
    return once_cells(column) if is_repeated(column) else array_cells(column)


def _encode_list(name: str, values: Sequence[Any]) -> Cells:
    types = set(map(type, values))
    if len(types) == 1 and (kind := next(iter(types))) in _PYTHON_DTYPES:
        return array_cells(_python_array(name, values, kind), python=True)
    if types and types <= _string_kinds().keys():
        return _strings(name, values, types)
    if types == {int, float} and (floats := _exact_floats(values)) is not None:
        return array_cells(floats, python=True)
    if not types:
        return Cells(Form("nothing"), 0, {})
    if types <= {list, tuple}:
        return _lists(name, values)
    if type(None) in types:
        is_none = np.fromiter((value is None for value in values), bool, len(values))
        return _encode_masked(name, values, is_none * np.uint8(MASK_NONE))
    groups = _group(name, values)
    mask = _nan_mask(name, values, groups)
    if mask.any():
        return _encode_masked(name, values, mask)
    return _encode_groups(name, values, groups)


def _exact_floats(values: Sequence[Any]) -> Array | None:
    """Return int and float values as floats if that is exact without a closer look."""
    try:
        floats = np.array(values, dtype=float)
    except OverflowError:
        return None
    is_safe = (abs(floats) < 2.0**53) | ~np.isfinite(floats)
    return floats if is_safe.all() else None


def _encode_masked(name: str, values: Sequence[Any], mask: Array) -> Cells:
    if mask.all():
        return Cells(Form("nothing", masked=True), len(mask), {"mask": mask})
    return with_mask(_encode_list(name, list(compress(values, mask == 0))), mask)


def _python_array(name: str, values: Sequence[Any], kind: type) -> Array:
    try:
        return np.array(values, dtype=_PYTHON_DTYPES[kind])
    except OverflowError:
        pass
    try:
        return np.array(values, dtype=np.uint64)
    except OverflowError:
        raise unsupported(name, "holds int values that do not fit into 64 bits") from None


@functools.cache
def _string_kinds() -> dict[type, str]:
    return {str: "text", np.str_: "text", bytes: "bytes", np.bytes_: "bytes"}


def _strings(name: str, values: Sequence[Any], types: set[type]) -> Cells:
    kinds = {_string_kinds()[t] for t in types}
    if len(kinds) > 1:
        raise mixed_error(name, "text", "bytes")
    kind = kinds.pop()
    # 'surrogatepass', because os.fsdecode makes such text of file names that are not UTF-8.
    blobs = _utf8(values) if kind == "text" else values
    return Cells(
        Form(kind), len(values), {"data": _joined(blobs), "ends": np.cumsum(_lens(blobs))}
    )


def _utf8(values: Sequence[str]) -> list[bytes]:
    return [value.encode("utf-8", "surrogatepass") for value in values]


def _lens(blobs: Sequence[bytes]) -> Array:
    return np.fromiter(map(len, blobs), np.int64, len(blobs))


def _joined(blobs: Sequence[bytes]) -> Array:
    return np.frombuffer(b"".join(blobs), np.uint8)


def _lists(name: str, values: Sequence[Any]) -> Cells:
    levels, leaves = unnested(name, values)
    types = set(map(type, leaves))
    if not types:
        parts = {"data": np.zeros(0, np.uint8), **flat_parts(levels)}
        return Cells(Form("lists", levels=EITHER * len(levels)), len(values), parts)
    if types <= {str, np.str_}:
        blobs = _utf8(leaves)
        parts = {"data": _joined(blobs), **flat_parts([*levels, _lens(blobs)])}
        form = Form("lists", levels=EITHER * len(levels), types=(TEXT_LEAF,))
        return Cells(form, len(values), parts)
    if types & {str, np.str_}:
        raise unsupported(name, "holds lists that mix text and other values")
    return _lists_of_numbers(name, levels, leaves, types)


def _lists_of_numbers(
    name: str, levels: list[Array], leaves: list[Any], types: set[type]
) -> Cells:
    names = {kind: _leaf_name(name, kind) for kind in types}
    distinct = tuple(sorted(set(names.values())))
    parts = _leaves(name, leaves, names, distinct)
    dtype, n = parts["data"].dtype.str, len(levels[0])
    if same := uniform(levels):
        shape, letters = same
        parts = {part: array.reshape(n, *shape) for part, array in parts.items()}
        return Cells(Form("array", dtype, shape, levels=letters, types=distinct), n, parts)
    form = Form("lists", dtype, levels=EITHER * len(levels), types=distinct)
    return Cells(form, n, parts | flat_parts(levels))


def _leaf_name(name: str, kind: type) -> str:
    """Return what `Form.types` calls `kind`, the type of a number in a list."""
    if kind in _PYTHON_DTYPES:
        return kind.__name__
    if issubclass(kind, np.number | np.bool_) and np.dtype(kind).kind in "biufc":
        dtype = np.dtype(kind)
        # A class derived from it has its dtype.
        if issubclass(dtype.type, kind):
            return dtype.str
    raise unsupported(name, f"holds a list with a value of type {kind.__name__} in it")


def _leaves(
    name: str, leaves: list[Any], names: dict[type, str], distinct: tuple[str, ...]
) -> dict[str, Array]:
    """Return the numbers in lists as one array, and what type each was if there are several."""
    if len(distinct) == 1:
        return {"data": _leaf_array(name, leaves, distinct[0])}
    tag_of = {kind: distinct.index(names[kind]) for kind in names}
    tags = np.fromiter((tag_of[type(leaf)] for leaf in leaves), np.uint8, len(leaves))
    arrays = [
        _leaf_array(name, list(compress(leaves, tags == i)), kind)
        for i, kind in enumerate(distinct)
    ]
    dtype = functools.reduce(functools.partial(promote, name), (a.dtype for a in arrays))
    data = np.empty(len(leaves), dtype)
    for i, array in enumerate(arrays):
        data[tags == i] = exact_cast(name, array, dtype)
    return {"data": data, "tags": tags}


def _leaf_array(name: str, leaves: list[Any], kind: str) -> Array:
    if (python := _PYTHON_TYPES.get(kind)) is not None:
        return _python_array(name, leaves, python)
    return np.array(leaves, dtype=kind)


def _key(value: Any) -> _Key:
    kind = type(value)
    if kind is tuple:
        return list
    if kind is np.ndarray or (isinstance(value, np.generic) and kind not in _string_kinds()):
        return value.dtype, value.shape
    return kind


def _group(name: str, values: Sequence[Any]) -> dict[_Key, list[int]]:
    groups: dict[_Key, list[int]] = {}
    for i, value in enumerate(values):
        groups.setdefault(_key(value), []).append(i)
    for key, rows in groups.items():
        if not _is_known(key):
            raise _unknown_error(name, values[rows[0]])
    return groups


def _is_known(key: _Key) -> bool:
    if isinstance(key, tuple):
        return key[0].kind in FAMILIES
    return key in _PYTHON_DTYPES or key in _string_kinds() or key is list


def _unknown_error(name: str, value: Any) -> Exception:
    what = f"holds a value of type {type(value).__name__}"
    if type(value) is np.ndarray or isinstance(value, np.generic):
        what = f"holds a value of dtype {value.dtype}"
    elif isinstance(value, np.ndarray):
        what = f"{what}, more than an array (return np.asarray of it, and what else counts, each)"
    return unsupported(name, what)


def _family(key: _Key) -> str:
    if isinstance(key, tuple):
        return FAMILIES[key[0].kind]
    if key is list:
        return "list"
    return _string_kinds().get(key) or FAMILIES[np.dtype(_PYTHON_DTYPES[key]).kind]


def family(value: Any) -> str:
    """Return what can be in one column with a value without an error; its type if nothing can."""
    key = _key(value)
    return _family(key) if _is_known(key) else type(value).__name__


def _is_nan(values: Sequence[Any], key: _Key, rows: list[int]) -> bool:
    if key is not float and key != (np.dtype(float), ()):
        return False
    return all(values[i] != values[i] for i in rows)


def _nan_mask(name: str, values: Sequence[Any], groups: dict[_Key, list[int]]) -> Array:
    """Return where there is a NaN that stands for an absent value of another family."""
    mask = np.zeros(len(values), np.uint8)
    if len({_family(key) for key in groups}) > 1:
        for key in [key for key, rows in groups.items() if _is_nan(values, key, rows)]:
            mask[groups.pop(key)] = MASK_NAN
    families = {_family(key): rows[0] for key, rows in groups.items()}
    if len(families) > 1:
        one, other, *_ = (type(values[i]).__name__ for i in families.values())
        if one == other:
            one, other, *_ = families
        raise mixed_error(name, one, other)
    return mask


def _group_array(name: str, values: Sequence[Any], key: _Key, rows: list[int]) -> Array:
    members = [values[i] for i in rows]
    if isinstance(key, tuple):
        return np.array(members, dtype=key[0]).reshape(len(rows), *key[1])
    return _python_array(name, members, key)


def _encode_groups(name: str, values: Sequence[Any], groups: dict[_Key, list[int]]) -> Cells:
    """Encode numbers, or arrays, of one family."""
    arrays = {key: _group_array(name, values, key, rows) for key, rows in groups.items()}
    dtype = next(iter(arrays.values())).dtype
    for array in arrays.values():
        dtype = promote(name, dtype, array.dtype)
    arrays = {key: exact_cast(name, array, dtype) for key, array in arrays.items()}
    python = not any(isinstance(key, tuple) for key in groups)
    if len(arrays) == 1:
        return array_cells(next(iter(arrays.values())), python)
    if len({array.shape[1:] for array in arrays.values()}) > 1:
        return _ragged(name, arrays, groups)
    shape = next(iter(arrays.values())).shape[1:]
    data = np.empty((len(values), *shape), dtype)
    for key, rows in groups.items():
        data[rows] = arrays[key]
    return array_cells(data, python)


def _ragged(name: str, arrays: dict[_Key, Array], groups: dict[_Key, list[int]]) -> Cells:
    rows = chain.from_iterable(
        zip(groups[key], array, strict=True) for key, array in arrays.items()
    )
    values = [np.asarray(value) for _, value in sorted(rows, key=lambda row: row[0])]
    shapes = np.array([n for value in values for n in value.shape], np.int64)
    shape_ends = np.cumsum([value.ndim for value in values], dtype=np.int64)
    dtype = next(iter(arrays.values())).dtype
    data = np.concatenate([value.reshape(-1) for value in values]).astype(dtype, copy=False)
    return as_ragged(name, data, shapes, shape_ends)
