"""Records of a few 64-bit words, each with a check word: to read a million of them at once.

Frames (`psyflow.outcomes.frames`) cost some microseconds each to read; these cost some
nanoseconds, and hold nothing but numbers. A record that is damaged is left out, and so is half a
record at the end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.pspace.arrays import absorb_all
from psyflow.pspace.mixing import Word, seed

__all__ = ["Words", "decode", "encode", "whole"]

Words: TypeAlias = "npt.NDArray[np.uint64]"

_SEED = seed("psyflow words", "")
# Up to this many, Python's integers are faster than NumPy's fixed cost per operation.
_FEW = 8


def encode(records: Words) -> bytes:
    """Return the bytes of records.

    Parameters
    ----------
    records : ndarray of uint64, shape (n, m)

    Examples
    --------
    >>> data = encode(np.array([[1, 2], [3, 4]], dtype=np.uint64))
    >>> len(data), decode(data + b"half a", 2).tolist()
    (48, [[1, 2], [3, 4]])
    >>> decode(bytes([9]) + data[1:], 2).tolist()
    [[3, 4]]
    """
    return np.column_stack([records, _checks(records)]).astype("<u8").tobytes()


def decode(data: bytes, n_words: int) -> Words:
    """Return the records in `data` that are whole and undamaged, shape (n, n_words)."""
    found = np.frombuffer(data, "<u8", count=whole(len(data), n_words) // 8)
    table = found.reshape(-1, n_words + 1).astype(np.uint64)
    records: Words = table[:, :n_words]
    is_whole = _checks(records) == table[:, n_words]
    return records if is_whole.all() else np.compress(is_whole, records, axis=0)


def whole(n_bytes: int, n_words: int) -> int:
    """Return how many bytes the whole records take among `n_bytes`."""
    return n_bytes - n_bytes % (8 * (n_words + 1))


def _checks(records: Words) -> Words:
    if len(records) <= _FEW:
        checks = [_check(row) for row in records.tolist()]
        return np.array(checks, dtype=np.uint64)
    low: Words = _check(records.T)
    return low


def _check(words: Iterable[Word]) -> Word:
    return absorb_all(_SEED, words)[0]
