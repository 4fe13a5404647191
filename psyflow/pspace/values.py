"""128-bit hashes of parameter values, by content.

Equal values have equal hashes in every process and every version of Python and NumPy. Plain ones:

- numbers by value (``1``, ``1.0``, ``np.float32(1)`` and ``1+0j`` are one), −0.0 as 0.0;
- booleans (Python's and NumPy's are one) apart from numbers;
- text, bytes, None, paths;
- ``datetime64`` and ``timedelta64`` by the instant or span they mean, whatever their unit;
- lists, tuples, ranges and arrays by shape and content; dicts by items; sets by elements.

All others by type and content: members of enumerations by name; subclasses of the above, records,
tensors and what NumPy has of its own as `contents` says; anything else by its pickle, within which
the parts named above count by content again. What has no stable content is refused.

NaN (and NaT) stands for an absent value; its hash is `MISSING`.
"""

from __future__ import annotations

import enum
import functools
import itertools
import struct
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

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
from psyflow.pspace.contents import has_content, type_name, what_is_in
from psyflow.pspace.mixing import Hash, absorb, add, digest, digest_bytes
from psyflow.pspace.objects import library_of, pickled_content

__all__ = ["MISSING", "column_hashes", "value_hash"]

# Up to this many values, Python's integers are faster than NumPy's fixed cost per operation.
_FEW = 16
# Elements of array-valued columns hashed at once: what fits the processor's cache.
_CHUNK = 1 << 16

_Hasher = TypeVar("_Hasher", bound=Callable[[Any], "tuple[int, int]"])
_PLAIN: dict[type, Callable[[Any], tuple[int, int]]] = {}


def _plain(*kinds: type) -> Callable[[_Hasher], _Hasher]:
    """Hash values of just these types by the decorated function: a subclass may mean more."""

    def register(hasher: _Hasher) -> _Hasher:
        _PLAIN.update(dict.fromkeys(kinds, hasher))
        return hasher

    return register


def _scalars(characters: str) -> tuple[type, ...]:
    return tuple(np.dtype(character).type for character in characters)


# One value -----------------------------------------------------------------------------------


_TEXTS = {str, bytes, np.str_, np.bytes_}
_NUMPY_NUMBERS = {*_scalars("?" + np.typecodes["AllInteger"] + "efdFD")}


def value_hash(value: Any) -> tuple[int, int]:
    """Return the hash of one value, ``(low, high)``.

    Raises
    ------
    UnstableValueError
        If nothing in the value tells it from others in every process.

    Examples
    --------
    >>> value_hash(1) == value_hash(np.float32(1)) != value_hash(True)
    True
    >>> value_hash((1, 2)) == value_hash(np.array([1.0, 2.0]))
    True
    >>> value_hash(float("nan"))
    (0, 0)
    """
    plain = _PLAIN.get(type(value))
    if plain is not None:
        return plain(value)
    if isinstance(value, enum.Enum):
        return _member_hash(value)
    content = what_is_in(value)
    if content is None:
        return digest("psyflow pickle", pickled_content(value, _hash_of_part))
    return digest("psyflow content", _hash_bytes(content))


def _hash_of_part(value: Any) -> bytes | None:
    kind = type(value)
    is_known = kind in _PLAIN or isinstance(value, enum.Enum) or has_content(kind)
    return _hash_bytes(value) if is_known else None


@_plain(types.NoneType)
def _none_hash(value: None) -> tuple[int, int]:
    return digest("psyflow none", b"")


@_plain(bool, np.bool_)
def _boolean_hash(value: bool) -> tuple[int, int]:
    return absorb(value_seed("boolean"), int(value))


@_plain(float, *_scalars("efd"))
def _double_hash(value: float) -> tuple[int, int]:
    number = float(value) + 0.0
    if number != number:
        return MISSING
    return absorb(value_seed("double"), struct.unpack("<Q", struct.pack("<d", number))[0])


@_plain(int, *_scalars(np.typecodes["AllInteger"]))
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


@_plain(np.longdouble, Fraction, Decimal)
def _exact_hash(value: Fraction | Decimal) -> tuple[int, int]:
    if isinstance(value, Decimal) and value.is_nan():
        return MISSING  # A signalling one cannot even be compared.
    if value != value or value in (float("inf"), float("-inf")):
        return _double_hash(float(value))
    exact = Fraction(*value.as_integer_ratio())
    if exact.denominator == 1:
        return _integer_hash(exact.numerator)
    if _is_double(exact):
        return _double_hash(float(exact))
    return digest("psyflow ratio", f"{exact.numerator:x}/{exact.denominator:x}".encode())


@_plain(complex, *_scalars("FDG"))
def _complex_hash(value: complex) -> tuple[int, int]:
    if value != value:
        return MISSING
    if value.imag == 0:
        return value_hash(value.real)
    return absorb_all(value_seed("complex"), (*value_hash(value.real), *value_hash(value.imag)))


@_plain(str, np.str_)
def _text_hash(value: str) -> tuple[int, int]:
    return digest("psyflow text", value.encode("utf-8", "surrogatepass"))


@_plain(bytes, bytearray, np.bytes_)
def _bytes_hash(value: bytes) -> tuple[int, int]:
    return digest("psyflow bytes", value)


@_plain(PurePosixPath, PureWindowsPath, type(Path()))
def _path_hash(value: PurePath) -> tuple[int, int]:
    return digest("psyflow path", value.as_posix().encode("utf-8", "surrogatepass"))


def _member_hash(value: enum.Enum) -> tuple[int, int]:
    # Flags that are none of the class's have no name.
    name = value.name or value.value or None
    return digest("psyflow enum", f"{type_name(type(value))}:{name}".encode())


@_plain(np.ufunc)
def _ufunc_hash(value: np.ufunc) -> tuple[int, int]:
    # The module in its pickle is not the same in NumPy 1 and 2.
    library = "" if getattr(np, value.__name__, None) is value else f"{library_of(value)}."
    return digest("psyflow ufunc", (library + value.__name__).encode())


@_plain(np.datetime64, np.timedelta64)
def _time_hash(value: np.datetime64 | np.timedelta64) -> tuple[int, int]:
    low, high = array_hashes(np.array([value]))
    return int(low[0]), int(high[0])


@_plain(np.ndarray, np.memmap)
def _array_hash(value: Array) -> tuple[int, int]:
    if value.ndim == 0:
        return value_hash(value[()])
    if value.ndim > 1 and not len(value):
        # As a list it has no trace of its further lengths.
        return digest("psyflow empty", repr(value.shape).encode())
    if not (value.size and is_vectorised(value.dtype)):
        return _sequence_hash(list(value))
    low, high = column_hashes(value.view(np.ndarray)[np.newaxis])
    return int(low[0]), int(high[0])


@_plain(list, tuple, range)
def _sequence_hash(value: Sequence[Any]) -> tuple[int, int]:
    if len(value) > _FEW:
        low, high = _fold(_list_hashes(list(value)), 1, len(value))
        return int(low[0]), int(high[0])
    return digest("psyflow sequence", b"".join(_hash_bytes(v) for v in value))


def _hash_bytes(value: Any) -> bytes:
    return struct.pack("<QQ", *value_hash(value))


@_plain(dict, types.MappingProxyType)
def _mapping_hash(value: Mapping[Any, Any]) -> tuple[int, int]:
    pairs = (
        absorb_all(value_seed("item"), (*value_hash(k), *value_hash(v))) for k, v in value.items()
    )
    return _unordered("psyflow mapping", pairs, len(value))


@_plain(set, frozenset)
def _set_hash(value: Set[Any]) -> tuple[int, int]:
    elements = (absorb_all(value_seed("item"), value_hash(element)) for element in value)
    return _unordered("psyflow set", elements, len(value))


def _unordered(tag: str, hashes: Iterable[Hash], count: int) -> tuple[int, int]:
    low, high = functools.reduce(add, hashes, (0, 0))
    return digest(tag, struct.pack("<QQQ", low, high, count))


# Whole columns -------------------------------------------------------------------------------


def column_hashes(column: Column) -> tuple[Array, Array]:
    """Return the hashes of the values of a column.

    Returns
    -------
    low, high : ndarray of uint64, shape (n,)
    """
    if isinstance(column, Numbers):
        return array_hashes(column.array)
    if type(column) is not np.ndarray or not is_vectorised(column.dtype):
        return _list_hashes(list(column))
    if column.ndim > 2 and not column.size:
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
    return _unpacked(_digests(hashes, itertools.repeat(width, count)))


def _digests(hashes: tuple[Array, Array], widths: Iterable[int]) -> Iterator[bytes]:
    """Hash sequences of consecutive elements, each of so many."""
    data = np.stack(hashes, axis=-1).astype("<u8").tobytes()
    ends = [16 * end for end in itertools.accumulate(widths)]
    for start, end in zip([0, *ends], ends, strict=False):
        yield digest_bytes("psyflow sequence", data[start:end])


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
    keys = values if kind in _TEXTS else list(map(id, values))
    distinct = dict(zip(keys, values, strict=True))
    known = dict(zip(distinct, _hashes_of_distinct(kind, [*distinct.values()]), strict=True))
    return _unpacked(known[key] for key in keys)


def _hashes_of_distinct(kind: type, values: list[Any]) -> Iterable[bytes]:
    """Return the hash of each of many values of one type, as bytes."""
    if len(values) > _FEW and kind in (list, tuple):
        return _hashes_of_lists(values)
    if len(values) > _FEW and kind is np.ndarray:
        return _hashes_of_arrays(values)
    return map(_hash_bytes, values)


def _hashes_of_lists(values: list[Sequence[Any]]) -> Iterator[bytes]:
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    for start, stop in _cuts(lengths):
        elements = list(itertools.chain.from_iterable(values[start:stop]))
        yield from _digests(_list_hashes(elements), lengths[start:stop].tolist())


def _hashes_of_arrays(values: list[Array]) -> list[bytes]:
    found: list[bytes] = [b""] * len(values)
    alike: dict[tuple[Any, int], list[int]] = {}
    for place, value in enumerate(values):
        if value.ndim and value.size and is_vectorised(value.dtype):
            alike.setdefault((value.dtype, value.ndim), []).append(place)
        else:
            found[place] = _hash_bytes(value)
    for places in alike.values():
        sizes = np.array([values[place].size for place in places])
        for start, stop in _cuts(sizes):
            some = places[start:stop]
            for place, found_hash in zip(some, _of_arrays([values[p] for p in some]), strict=True):
                found[place] = found_hash
    return found


def _of_arrays(values: list[Array]) -> Iterator[bytes]:
    """Return the hashes of arrays of one type and number of dimensions."""
    hashes = array_hashes(np.concatenate([value.reshape(-1) for value in values]))
    shapes = np.array([value.shape for value in values])
    for axis in range(shapes.shape[1] - 1, 0, -1):
        widths = np.repeat(shapes[:, axis], shapes[:, :axis].prod(axis=1))
        hashes = _unpacked(_digests(hashes, widths.tolist()))
    return _digests(hashes, shapes[:, 0].tolist())


def _cuts(sizes: Array) -> Iterator[tuple[int, int]]:
    """Cut values of so many elements into stretches of about a chunk."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _CHUNK, side="right")))
        yield start, stop
        start = stop


def _as_array(kind: type, values: list[Any]) -> Array | None:
    """Return the values as an array if that is exact, else None."""
    if kind in (float, complex, bool):
        return np.array(values, dtype=kind)
    if kind is int:
        try:
            return np.array(values, dtype=np.int64)
        except OverflowError:
            return None
    if kind in _NUMPY_NUMBERS:
        array = np.array(values)
        return array if is_vectorised(array.dtype) else None
    return None
