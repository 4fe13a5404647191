"""Hashes of whole arrays of numbers, booleans and times; `values` says what counts as equal."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.pspace.mixing import Hash, Word, absorb, seed

__all__ = ["MISSING", "Array", "absorb_all", "array_hashes", "is_vectorised", "value_seed"]

Array: TypeAlias = "npt.NDArray[Any]"

MISSING: tuple[int, int] = (0, 0)

_PER_SECOND = {"ms": 10**3, "us": 10**6, "ns": 10**9, "ps": 10**12, "fs": 10**15, "as": 10**18}
# Upper bounds, in seconds.
_LONGEST = {"Y": 366 * 86400, "M": 31 * 86400, "W": 7 * 86400, "D": 86400, "h": 3600, "m": 60}

value_seed = functools.partial(seed, "psyflow value")


def absorb_all(state: Hash, words: Iterable[Word]) -> Hash:
    """Return the hash that follows from `state` by taking in `words` one after the other."""
    return functools.reduce(absorb, words, state)


def is_vectorised(dtype: np.dtype[Any]) -> bool:
    """Return whether `array_hashes` knows the type; long doubles hold more than a double."""
    return dtype.kind in "biufcmM" and dtype.char not in "gG"


def array_hashes(values: Array) -> tuple[Array, Array]:
    """Hash the elements of a one-dimensional array of numbers, booleans or times.

    Returns
    -------
    low, high : ndarray of uint64, shape (n,)
    """
    kind = values.dtype.kind
    if kind == "b":
        return absorb(value_seed("boolean"), values.astype(np.uint64))
    if kind == "f":
        return _double_hashes(values)
    if kind in "iu":
        return _integer_hashes(values)
    return _complex_hashes(values) if kind == "c" else _time_hashes(values)


def _choose(where: Array, yes: Hash, no: Hash) -> tuple[Array, Array]:
    if not where.any():
        return no
    low, high = (np.asarray(word, dtype=np.uint64) for word in yes)
    return np.where(where, low, no[0]), np.where(where, high, no[1])


def _double_hashes(values: Array) -> tuple[Array, Array]:
    with np.errstate(invalid="ignore"):
        # Adding 0.0 turns −0.0 into 0.0.
        doubles = values.astype(np.float64) + 0.0
    hashes = absorb(value_seed("double"), doubles.view(np.uint64))
    return _choose(np.isnan(doubles), MISSING, hashes)


def _integer_hashes(values: Array) -> tuple[Array, Array]:
    hashes = absorb(value_seed("double"), values.astype(np.float64).view(np.uint64))
    if not len(values) or -(2**53) <= int(values.min()) <= int(values.max()) <= 2**53:
        return hashes
    # −2**63 wraps around to itself, which is its magnitude when seen as unsigned.
    unsigned = values if values.dtype.kind == "u" else np.abs(values.astype(np.int64))
    magnitude = unsigned.astype(np.uint64)
    # A double holds 53 bits, counted from the lowest one that is set.
    lowest_bit = np.maximum(magnitude & (~magnitude + np.uint64(1)), np.uint64(1))
    is_inexact = magnitude // lowest_bit >= 2**53
    negative = (values < 0).astype(np.uint64)
    return _choose(is_inexact, absorb_all(value_seed("integer"), (negative, magnitude)), hashes)


def _complex_hashes(values: Array) -> tuple[Array, Array]:
    real, imag = _double_hashes(values.real), _double_hashes(values.imag)
    hashes = absorb_all(value_seed("complex"), (*real, *imag))
    return _choose(np.isnan(values), MISSING, _choose(values.imag == 0, real, hashes))


def _time_hashes(values: Array) -> tuple[Array, Array]:
    meaning, unit = _clock(values.dtype)
    own_unit, multiple = np.datetime_data(values.dtype)
    counts = values.astype(np.int64)
    # Beyond what 64-bit seconds can hold, times have a meaning of their own in each unit.
    is_far = np.abs(counts) > 2**62 // (_LONGEST.get(own_unit, 1) * multiple)
    near = np.where(is_far, 0, counts).view(values.dtype.newbyteorder("="))
    seconds, attoseconds = _seconds(near, unit)
    hashes = absorb_all(value_seed(meaning), (seconds, attoseconds))
    far = absorb(value_seed(f"{meaning} in {multiple} {own_unit}"), counts.view(np.uint64))
    return _choose(np.isnat(values), MISSING, _choose(is_far, far, hashes))


def _seconds(values: Array, unit: str) -> tuple[Array, Array]:
    target = np.int64 if unit == "generic" else np.dtype(f"{values.dtype.kind}8[{unit}]")
    per_second = _PER_SECOND.get(unit, 1)
    seconds, rest = np.divmod(values.astype(target).view(np.int64), per_second)
    return seconds.view(np.uint64), (rest * (10**18 // per_second)).view(np.uint64)


def _clock(dtype: np.dtype[Any]) -> tuple[str, str]:
    """Return what times of this type mean, and the unit in which to count them exactly."""
    unit = np.datetime_data(dtype)[0]
    if dtype.kind == "m" and unit in ("Y", "M"):
        # Months have no fixed number of seconds.
        return "months", "M"
    if unit == "generic":
        return "ticks", unit
    return {"M": "instant", "m": "span"}[dtype.kind], unit if unit in _PER_SECOND else "s"
