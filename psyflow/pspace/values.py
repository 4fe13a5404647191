"""128-bit hashes of parameter values, by content.

Equal values have equal hashes in every process and every version of Python and NumPy:

- numbers by value (``1``, ``1.0``, ``np.float32(1)`` and ``1+0j`` are one), −0.0 as 0.0;
- booleans (Python's and NumPy's are one) apart from numbers;
- text, bytes, None, paths, members of enumerations;
- ``datetime64`` and ``timedelta64`` by the instant or span they mean, whatever their unit;
- lists, tuples, ranges and arrays by shape and content; dicts by items; sets by elements;
- anything else by its pickle, within which the parts named above count by content again.

NaN (and NaT) stands for an absent value; its hash is `MISSING`.
"""

from __future__ import annotations

import enum
import functools
import io
import pickle
import struct
import threading
from collections.abc import Iterable, Mapping, Sequence, Set
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath
from typing import Any

import numpy as np

from psyflow.columns import Column, Numbers
from psyflow.pspace.arrays import (
    MISSING,
    Array,
    absorb_all,
    array_hashes,
    is_vectorised,
    value_seed,
)
from psyflow.pspace.mixing import Hash, absorb, add, digest, digest_bytes

__all__ = ["MISSING", "column_hashes", "value_hash"]

# Up to this many values, Python's integers are faster than NumPy's fixed cost per operation.
_FEW = 16
# Elements of array-valued columns hashed at once: what fits the processor's cache.
_CHUNK = 1 << 16
_PICKLE_PROTOCOL = 4


# One value -----------------------------------------------------------------------------------


@functools.singledispatch
def value_hash(value: Any) -> tuple[int, int]:
    """Return the hash of one value, ``(low, high)``.

    Raises
    ------
    TypeError
        If the value is of a type that has to be pickled, and cannot be.

    Examples
    --------
    >>> value_hash(1) == value_hash(np.float32(1)) != value_hash(True)
    True
    >>> value_hash((1, 2)) == value_hash(np.array([1.0, 2.0]))
    True
    >>> value_hash(float("nan"))
    (0, 0)
    """
    return digest("psyflow pickle", _pickled(value))


@value_hash.register(type(None))
def _none_hash(value: None) -> tuple[int, int]:
    return digest("psyflow none", b"")


@value_hash.register(bool)
@value_hash.register(np.bool_)
def _boolean_hash(value: bool) -> tuple[int, int]:
    return absorb(value_seed("boolean"), int(value))


@value_hash.register(float)
@value_hash.register(np.floating)
def _double_hash(value: float) -> tuple[int, int]:
    number = float(value) + 0.0
    if number != number:
        return MISSING
    return absorb(value_seed("double"), struct.unpack("<Q", struct.pack("<d", number))[0])


@value_hash.register(int)
@value_hash.register(np.integer)
def _integer_hash(value: int) -> tuple[int, int]:
    number = int(value)
    if _is_double(number):
        return _double_hash(float(number))
    magnitude = abs(number)
    if magnitude < 2**64:
        return absorb(absorb(value_seed("integer"), int(number < 0)), magnitude)
    return digest("psyflow integer", hex(number).encode())


def _is_double(number: int | Fraction) -> bool:
    try:
        return float(number) == number
    except OverflowError:
        return False


@value_hash.register(np.longdouble)
@value_hash.register(Fraction)
@value_hash.register(Decimal)
def _exact_hash(value: Fraction | Decimal) -> tuple[int, int]:
    if value != value or value in (float("inf"), float("-inf")):
        return _double_hash(float(value))
    exact = Fraction(*value.as_integer_ratio())
    if exact.denominator == 1:
        return _integer_hash(exact.numerator)
    if _is_double(exact):
        return _double_hash(float(exact))
    return digest("psyflow ratio", f"{exact.numerator:x}/{exact.denominator:x}".encode())


@value_hash.register(complex)
@value_hash.register(np.complexfloating)
def _complex_hash(value: complex) -> tuple[int, int]:
    if value != value:
        return MISSING
    if value.imag == 0:
        return value_hash(value.real)
    return absorb_all(value_seed("complex"), (*value_hash(value.real), *value_hash(value.imag)))


@value_hash.register(str)
def _text_hash(value: str) -> tuple[int, int]:
    return digest("psyflow text", value.encode("utf-8", "surrogatepass"))


@value_hash.register(bytes)
@value_hash.register(bytearray)
def _bytes_hash(value: bytes) -> tuple[int, int]:
    return digest("psyflow bytes", value)


@value_hash.register(PurePath)
def _path_hash(value: PurePath) -> tuple[int, int]:
    return digest("psyflow path", value.as_posix().encode("utf-8", "surrogatepass"))


@value_hash.register(enum.Enum)
def _member_hash(value: enum.Enum) -> tuple[int, int]:
    kind = type(value)
    return digest("psyflow enum", f"{kind.__module__}:{kind.__qualname__}:{value.name}".encode())


@value_hash.register(np.ufunc)
def _ufunc_hash(value: np.ufunc) -> tuple[int, int]:
    # The module in its pickle is not the same in NumPy 1 and 2.
    return digest("psyflow ufunc", value.__name__.encode())


@value_hash.register(np.datetime64)
@value_hash.register(np.timedelta64)
def _time_hash(value: np.datetime64 | np.timedelta64) -> tuple[int, int]:
    low, high = array_hashes(np.array([value]))
    return int(low[0]), int(high[0])


@value_hash.register(np.void)
def _record_hash(value: np.void) -> tuple[int, int]:
    if value.dtype.names is None:
        return _bytes_hash(value.tobytes())
    return _sequence_hash([value[name] for name in value.dtype.names])


@value_hash.register(np.ndarray)
def _array_hash(value: Array) -> tuple[int, int]:
    if value.ndim == 0:
        return value_hash(value[()])
    if not is_vectorised(value.dtype):
        return _sequence_hash(list(value))
    low, high = column_hashes(value[np.newaxis])
    return int(low[0]), int(high[0])


@value_hash.register(list)
@value_hash.register(tuple)
@value_hash.register(range)
def _sequence_hash(value: Sequence[Any]) -> tuple[int, int]:
    if len(value) > _FEW:
        low, high = _fold(_list_hashes(list(value)), 1, len(value))
        return int(low[0]), int(high[0])
    return digest("psyflow sequence", b"".join(_hash_bytes(v) for v in value))


def _hash_bytes(value: Any) -> bytes:
    return struct.pack("<QQ", *value_hash(value))


@value_hash.register(Mapping)
def _mapping_hash(value: Mapping[Any, Any]) -> tuple[int, int]:
    pairs = (
        absorb_all(value_seed("item"), (*value_hash(k), *value_hash(v))) for k, v in value.items()
    )
    return _unordered("psyflow mapping", pairs, len(value))


@value_hash.register(Set)
def _set_hash(value: Set[Any]) -> tuple[int, int]:
    elements = (absorb_all(value_seed("item"), value_hash(element)) for element in value)
    return _unordered("psyflow set", elements, len(value))


def _unordered(tag: str, hashes: Iterable[Hash], count: int) -> tuple[int, int]:
    low, high = functools.reduce(add, hashes, (0, 0))
    return digest(tag, struct.pack("<QQQ", low, high, count))


class _ContentPickler(pickle.Pickler):
    """Pickles one object with its parts replaced by their hashes.

    So neither the order of a set, nor which equal parts are one object, nor NumPy's version shows.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, _PICKLE_PROTOCOL)
        self.fast = True

    def persistent_id(self, obj: Any) -> bytes | None:
        by_pickle = value_hash.dispatch(type(obj)) is value_hash.dispatch(object)
        return None if by_pickle else _hash_bytes(obj)


class _Open(threading.local):
    """The objects being pickled, outermost first; a part that is one of them is a cycle."""

    def __init__(self) -> None:
        self.ids: list[int] = []


_open = _Open()


def _pickled(value: object) -> bytes:
    if id(value) in _open.ids:
        return b"cycle to object %d" % _open.ids.index(id(value))
    _open.ids.append(id(value))
    try:
        buffer = io.BytesIO()
        _ContentPickler(buffer).dump(value)
        return buffer.getvalue()
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"{value!r:.60} of type {type(value).__name__} cannot be told from other values, "
            f"because it cannot be pickled ({error}). Define its class or function at the top of "
            "a module, or use a name for it as the parameter."
        ) from error
    finally:
        _open.ids.pop()


# Whole columns -------------------------------------------------------------------------------


def column_hashes(column: Column) -> tuple[Array, Array]:
    """Return the hashes of the values of a column.

    Returns
    -------
    low, high : ndarray of uint64, shape (n,)
    """
    if isinstance(column, Numbers):
        return array_hashes(column.array)
    if not isinstance(column, np.ndarray) or not is_vectorised(column.dtype):
        return _list_hashes(list(column))
    if column.ndim == 1:
        return array_hashes(column)
    width = max(1, column[0].size) if len(column) else 1
    step = max(1, _CHUNK // width)
    chunks = [_nested_hashes(column[i : i + step]) for i in range(0, len(column), step)]
    return _joined([c[0] for c in chunks]), _joined([c[1] for c in chunks])


def _joined(parts: list[Array]) -> Array:
    return np.concatenate([np.zeros(0, np.uint64), *parts])


def _nested_hashes(rows: Array) -> tuple[Array, Array]:
    hashes = array_hashes(rows.reshape(-1))
    for axis in range(rows.ndim - 1, 0, -1):
        hashes = _fold(hashes, int(np.prod(rows.shape[:axis])), rows.shape[axis])
    return hashes


def _fold(hashes: tuple[Array, Array], count: int, width: int) -> tuple[Array, Array]:
    """Hash `count` sequences, each of `width` consecutive elements."""
    data = np.stack(hashes, axis=-1).astype("<u8").tobytes()
    step = 16 * width
    parts = (data[i * step : (i + 1) * step] for i in range(count))
    return _unpacked(digest_bytes("psyflow sequence", part) for part in parts)


def _unpacked(hashes: Iterable[bytes]) -> tuple[Array, Array]:
    words = np.frombuffer(b"".join(hashes), "<u8").astype(np.uint64)
    return words[0::2], words[1::2]


def _list_hashes(values: list[Any]) -> tuple[Array, Array]:
    by_type: dict[type, list[int]] = {}
    if len(set(map(type, values))) > 1:
        for position, value in enumerate(values):
            by_type.setdefault(type(value), []).append(position)
    if not by_type:
        return _uniform_hashes(values)
    hashes = np.empty((2, len(values)), np.uint64)
    for positions in by_type.values():
        hashes[:, positions] = _uniform_hashes([values[i] for i in positions])
    return hashes[0], hashes[1]


def _uniform_hashes(values: list[Any]) -> tuple[Array, Array]:
    """Hash values that are all of the same type."""
    kind = type(values[0]) if values else float
    array = _as_array(kind, values) if len(values) > _FEW else None
    if array is not None:
        return array_hashes(array)
    # Equal tuples may hold 1 and True, which differ here; but equal texts are equal.
    keys = values if issubclass(kind, str | bytes) else list(map(id, values))
    distinct = dict(zip(keys, values, strict=True))
    known = {key: _hash_bytes(value) for key, value in distinct.items()}
    return _unpacked(known[key] for key in keys)


def _as_array(kind: type, values: list[Any]) -> Array | None:
    """Return the values as an array if that is exact, else None."""
    if kind in (float, complex, bool):
        return np.array(values, dtype=kind)
    if kind is int:
        try:
            return np.array(values, dtype=np.int64)
        except OverflowError:
            return None
    if issubclass(kind, np.bool_ | np.number) and not issubclass(kind, np.timedelta64):
        array = np.array(values)
        return array if is_vectorised(array.dtype) else None
    return None
