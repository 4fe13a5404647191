"""Mixing 64-bit words into 128-bit hashes.

Every function works alike on Python integers and on NumPy arrays of ``uint64``, so that one pset
and a column of a million get the same hashes from the same code. A 128-bit number is a pair
``(low, high)`` of 64-bit words.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from typing import Any, TypeAlias

__all__ = ["MASK", "Hash", "Word", "absorb", "add", "digest", "digest_bytes", "seed", "to_int"]

# A Python integer below 2**64 or an array of uint64; no type says "the same of both on each side".
Word: TypeAlias = Any
Hash: TypeAlias = tuple[Word, Word]

MASK = 2**64 - 1


def _wrapped(x: Word) -> Word:
    """Return `x` modulo 2**64, which arrays of uint64 are of themselves."""
    return x & MASK if isinstance(x, int) else x


# Two bijections of the 64-bit words, so that the two halves are independent: the finalisers of
# splitmix64 and of MurmurHash3. Each is two steps of a shift and a factor, and a last shift.
_LOW = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)), 31
_HIGH = ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53)), 33


def _mix(x: Word, finaliser: tuple[tuple[tuple[int, int], ...], int]) -> Word:
    """Return `x` mixed. An array is taken over: to make new ones takes longer than to mix."""
    steps, last_shift = finaliser
    for shift, factor in steps:
        x ^= x >> shift
        x *= factor
        x = _wrapped(x)
    x ^= x >> last_shift
    return x


def absorb(state: Hash, word: Word) -> Hash:
    """Return the hash that follows from `state` by taking in one more 64-bit word."""
    low, high = state
    return _mix(low ^ word, _LOW), _mix(_wrapped(high + word), _HIGH)


def add(a: Hash, b: Hash) -> Hash:
    """Return the sum modulo 2**128.

    Examples
    --------
    >>> add((2**64 - 1, 0), (1, 5))
    (0, 6)
    """
    low = _wrapped(a[0] + b[0])
    return low, _wrapped(a[1] + b[1] + (low < a[0]))


def digest_bytes(tag: str, data: bytes) -> bytes:
    """Return a 128-bit BLAKE2 hash of `data`; different tags (at most 16 bytes) never meet."""
    return hashlib.blake2b(data, digest_size=16, person=tag.encode()).digest()


def digest(tag: str, data: bytes) -> tuple[int, int]:
    """Return what `digest_bytes` does as two words."""
    low, high = struct.unpack("<QQ", digest_bytes(tag, data))
    return low, high


@functools.lru_cache(maxsize=1 << 14)
def seed(tag: str, name: str) -> tuple[int, int]:
    """Return the state from which hashing starts for what is called `name`."""
    return digest(tag, name.encode("utf-8", "surrogatepass"))


def to_int(hashed: Hash) -> int:
    """Return the 128-bit number as a Python integer."""
    return int(hashed[1]) << 64 | int(hashed[0])
