"""Tables of Arrow, which polars, DuckDB and Parquet files are made from: exact, or refused."""

from __future__ import annotations

import contextlib
import datetime
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, Columns
from psyflow.exceptions import UnsupportedDataError
from psyflow.results.extras import needed

if TYPE_CHECKING:
    import pyarrow

__all__ = ["arrow_table"]

_TIME_UNITS = {"M": ("s", "ms", "us", "ns", "D"), "m": ("s", "ms", "us", "ns")}
_KINDS: Mapping[str, tuple[type, ...]] = {
    "bool": (bool, np.bool_),
    "int": (int, np.integer),
    "float": (float, np.float16, np.float32, np.float64),
    "complex number": (complex, np.complexfloating),
    "text": (str, np.str_),
    "bytes": (bytes, np.bytes_),
    "array": (list, tuple, np.ndarray),
    "dict": (dict,),
    "datetime": (datetime.datetime,),
    "date": (datetime.date,),
    "time": (datetime.time,),
    "duration": (datetime.timedelta,),
}
_MOST_NAMED = 5


class _Unfit(Exception):
    """Values that Arrow has no type for; the text says of which kind they are."""


def arrow_table(table: Columns) -> pyarrow.Table:
    """Return a table of Arrow with the columns of a table.

    Arrays of one shape become lists of fixed size, ragged ones lists, dicts with the same names
    structs. None is null, and so is NaN among what is no number; NaN among numbers stays NaN.

    Parameters
    ----------
    table : mapping from str to column

    Raises
    ------
    UsageError
        If pyarrow is not installed.
    UnsupportedDataError
        If Arrow cannot hold some columns exactly: complex numbers, integers beyond 64 bits, values
        of several kinds, or of classes that it does not know.

    Examples
    --------
    >>> print(arrow_table({"a": [1, None], "y": np.zeros((2, 3))}).schema)
    a: int64
    y: fixed_size_list<item: double>[3]
      child 0, item: double
    """
    arrow = needed("pyarrow")
    arrays, unfit = {}, []
    for name, column in table.items():
        try:
            name.encode()
            arrays[name] = _of_column(column)
        except _Unfit as error:
            unfit.append(f"`{name}` ({error})")
        except UnicodeEncodeError:
            unfit.append(f"`{ascii(name)[1:-1]}` (text that is not Unicode)")
    if unfit:
        more = f" and {len(unfit) - _MOST_NAMED} more" if len(unfit) > _MOST_NAMED else ""
        raise UnsupportedDataError(
            f"Arrow cannot hold these columns exactly: {', '.join(unfit[:_MOST_NAMED])}{more}. "
            "Choose others with `select`, or make numbers or text of them."
        )
    return arrow.table(arrays)


def _of_column(column: Column) -> Any:
    if isinstance(column, np.ndarray) and column.dtype.kind != "O":
        return _of_array(column)
    return _of_values(list(column))


# -- arrays of NumPy types ------------------------------------------------------------------------


def _of_array(array: npt.NDArray[Any]) -> Any:
    if array.ndim > 1:
        n, size = array.shape[:2]
        items = _of_array(array.reshape(n * size, *array.shape[2:]))
        return _of_lists(items, [size] * n, size)
    kind, dtype = array.dtype.kind, array.dtype
    if kind in "US":
        return _of_values(array.tolist())
    if kind == "c":
        raise _Unfit("complex numbers")
    if not _is_known(dtype):
        raise _Unfit(f"values of type {dtype}")
    if dtype == np.float16:
        # Every such number is one of the next type too, and few libraries know halves.
        dtype = np.dtype(np.float32)
    return needed("pyarrow").array(np.ascontiguousarray(array, dtype=dtype.newbyteorder("=")))


def _is_known(dtype: np.dtype[Any]) -> bool:
    if dtype.kind in _TIME_UNITS:
        unit, step = np.datetime_data(dtype)
        return unit in _TIME_UNITS[dtype.kind] and step == 1
    return dtype.kind in "biuf" and dtype.itemsize <= 8


# -- lists of any values --------------------------------------------------------------------------


def _of_values(values: Sequence[Any]) -> Any:
    types = set(map(type, values)) - {type(None)}
    if types in ({float}, {bool}, {str}):
        return _of_plain(values, next(iter(types)))
    values = [_unboxed(value) for value in values]
    kinds = _kinds(values)
    if "float" in kinds and not kinds <= {"int", "float", "complex number"}:
        # Only as a mark of what is absent, NaN is among what is no number.
        values = [None if _is_nan(value) else value for value in values]
        kinds = _kinds(values)
    if not kinds:
        return needed("pyarrow").nulls(len(values))
    if kinds == {"int", "float"}:
        return _of_mixed_numbers(values)
    if len(kinds) > 1:
        raise _Unfit(f"values of several kinds: {', '.join(sorted(kinds))}")
    kind = kinds.pop()
    if kind not in _MAKERS:
        raise _Unfit("complex numbers" if kind in _KINDS else f"values of class {kind}")
    return _MAKERS[kind](values)


def _of_plain(values: Sequence[Any], kind: type) -> Any:
    """Return values of one of Python's own types, and None: all at once, for there are many."""
    if kind is str:
        return _of_text(values)
    arrow = needed("pyarrow")
    return arrow.array(values, arrow.bool_() if kind is bool else arrow.float64())


def _unboxed(value: Any) -> Any:
    return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _kinds(values: Sequence[Any]) -> set[str]:
    types = set(map(type, values)) - {type(None)}
    return {_kind(kind) for kind in types}


def _kind(cls: type) -> str:
    # A subclass, as of an enumeration, is more than the number that it is; those of NumPy are not.
    if issubclass(cls, np.timedelta64):
        return cls.__name__
    for kind, classes in _KINDS.items():
        if cls in classes or (issubclass(cls, np.generic) and issubclass(cls, classes)):
            return kind
    return cls.__name__


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def _nulls(values: Sequence[Any]) -> npt.NDArray[np.bool_]:
    return np.array([value is None for value in values], dtype=bool)


def _of_scalars(values: Sequence[Any], default: Any) -> Any:
    """Return numbers of one kind, null where None is."""
    types = {value.dtype if isinstance(value, np.generic) else None for value in values}
    types -= {None} if None in values else set()
    dtype = types.pop() if len(types) == 1 else None
    filled = [0 if value is None else value for value in values]
    made = _of_array(np.array(filled, dtype=default if dtype is None else dtype))
    is_null = _nulls(values)
    if not is_null.any():
        return made
    arrow = needed("pyarrow")
    return arrow.array(made.to_numpy(zero_copy_only=False), made.type, mask=is_null)


def _of_ints(values: Sequence[Any]) -> Any:
    if set(map(type, values)) <= {int, type(None)}:
        with contextlib.suppress(OverflowError):
            arrow = needed("pyarrow")
            return arrow.array(values, arrow.int64())
    there = [int(value) for value in values if value is not None]
    low, high = min(there), max(there)
    if low < -(2**63) or high >= 2**64 or (low < 0 and high >= 2**63):
        raise _Unfit("integers of more than 64 bits")
    return _of_scalars(values, np.int64 if high < 2**63 else np.uint64)


def _of_mixed_numbers(values: Sequence[Any]) -> Any:
    """Return integers among floats as floats; where all floats are NaN, those may be nulls."""
    ints = [int(v) for v in values if v is not None and not isinstance(v, float | np.floating)]
    if all(abs(value) <= 2**53 for value in ints):
        return _of_scalars([None if v is None else float(v) for v in values], np.float64)
    if len(ints) + sum(v is None or _is_nan(v) for v in values) < len(values):
        raise _Unfit("integers of more than 53 bits among floats")
    return _of_ints([None if _is_nan(value) else value for value in values])


def _of_text(values: Sequence[Any]) -> Any:
    arrow = needed("pyarrow")
    try:
        return arrow.array(values, arrow.string())
    except UnicodeEncodeError as error:
        raise _Unfit("text that is not Unicode") from error


def _of_bytes(values: Sequence[Any]) -> Any:
    arrow = needed("pyarrow")
    return arrow.array(values, arrow.binary())


def _of_times(values: Sequence[Any]) -> Any:
    zones = {getattr(value, "tzinfo", None) for value in values if value is not None}
    if len(zones) > 1 or (zones != {None} and zones != {datetime.UTC}):
        raise _Unfit("times of other zones than UTC")
    try:
        return needed("pyarrow").array(values)
    except (ValueError, OverflowError) as error:
        raise _Unfit(str(error)) from error


# -- arrays, lists and dicts ----------------------------------------------------------------------


def _of_arrays(values: Sequence[Any]) -> Any:
    there = [value for value in values if value is not None]
    sizes = [0 if value is None else len(value) for value in values]
    # Lists may have other sizes another time, whatever they are now.
    shapes = {value.shape if isinstance(value, np.ndarray) else None for value in there}
    shape = shapes.pop() if len(shapes) == 1 else None
    if shape is None or not shape[0]:
        return _of_lists(_joined(there), sizes, None, _nulls(values))
    filler = next(value for value in there)
    filled = [filler if value is None else value for value in values]
    return _of_lists(_joined(filled), sizes, shape[0], _nulls(values))


def _joined(arrays: Sequence[Any]) -> Any:
    """Return the elements of some arrays, one array after the other."""
    kinds = {
        (value.dtype, value.shape[1:]) if isinstance(value, np.ndarray) else None
        for value in arrays
    }
    if len(kinds) == 1 and (kind := kinds.pop()) is not None and kind[0].kind != "O":
        return _of_array(np.concatenate(arrays))
    return _of_values(list(itertools.chain.from_iterable(arrays)))


def _of_lists(
    items: Any, sizes: Sequence[int], size: int | None, is_null: npt.NDArray[Any] | None = None
) -> Any:
    """Return lists of some sizes, or all of one, made of the items of all."""
    arrow = needed("pyarrow")
    mask = arrow.array(is_null) if is_null is not None and is_null.any() else None
    if size:
        return arrow.FixedSizeListArray.from_arrays(items, size, mask=mask)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    if offsets[-1] >= 2**31:
        whole = arrow.array(offsets, arrow.int64())
        return arrow.LargeListArray.from_arrays(whole, items, mask=mask)
    return arrow.ListArray.from_arrays(arrow.array(offsets, arrow.int32()), items, mask=mask)


def _of_dicts(values: Sequence[Any]) -> Any:
    there = [value for value in values if value is not None]
    names = list(there[0])
    if not names or not all(isinstance(name, str) for name in names):
        raise _Unfit("dicts without names")
    if any(value.keys() != there[0].keys() for value in there):
        raise _Unfit("dicts of different names")
    fields = [_of_values([value and value[name] for value in values]) for name in names]
    is_null = _nulls(values)
    arrow = needed("pyarrow")
    mask = arrow.array(is_null) if is_null.any() else None
    return arrow.StructArray.from_arrays(fields, names, mask=mask)


_MAKERS: Mapping[str, Callable[[Sequence[Any]], Any]] = {
    "bool": lambda values: _of_scalars(values, np.bool_),
    "int": _of_ints,
    "float": lambda values: _of_scalars(values, np.float64),
    "text": _of_text,
    "bytes": _of_bytes,
    "array": _of_arrays,
    "dict": _of_dicts,
    "datetime": _of_times,
    "date": _of_times,
    "time": _of_times,
    "duration": _of_times,
}
