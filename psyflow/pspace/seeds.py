"""The seeds of many random streams at once.

A stream is that of NumPy's ``SeedSequence(seed, spawn_key=(key,))``. To make one takes it longer
than many functions take for a pset. What it does is documented not to change (O'Neill's
``seed_seq_fe``, which mixes 32-bit words into a pool of four): it is done here for many keys at a
time, and the first of each time is compared with NumPy's own.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.random import SeedSequence
from numpy.random.bit_generator import ISpawnableSeedSequence

from psyflow.pspace.keys import Keys

__all__ = ["StreamSeed", "stream_seeds"]

_Words: TypeAlias = "npt.NDArray[np.uint32]"

# Up to this many, NumPy itself is quicker.
_FEW = 16
_POOL = 4
_MASK = 2**32 - 1
_TO_POOL = 0x43B0D7E5, 0x931E8875
_FROM_POOL = 0x8B51F9DD, 0x58F38DED
_LEFT, _RIGHT = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
_SHIFT = np.uint32(16)


class StreamSeed(ISpawnableSeedSequence):
    """The seed of a stream, of which the first words are known.

    For whatever else is asked of it, it is NumPy's `SeedSequence`, and it is pickled as that.

    Parameters
    ----------
    seed, key : int
    words : ndarray of uint64, shape (4,)
        What ``generate_state(4, np.uint64)`` gives.
    """

    def __init__(self, seed: int, key: int, words: npt.NDArray[np.uint64]) -> None:
        self._seed = seed
        self._key = key
        self._words = words

    @functools.cached_property
    def _whole(self) -> SeedSequence:
        return SeedSequence(self._seed, spawn_key=(self._key,))

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> npt.NDArray[Any]:
        """Return words, as `SeedSequence` does."""
        if n_words == _POOL and dtype is np.uint64:
            return self._words
        return self._whole.generate_state(n_words, dtype)

    def spawn(self, n_children: int) -> list[Any]:
        """Return further seeds, as `SeedSequence` does."""
        return self._whole.spawn(n_children)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._whole, name)

    def __reduce__(self) -> Any:
        return self._whole.__reduce__()


def stream_seeds(seed: int, keys: Keys) -> Iterator[StreamSeed | SeedSequence]:
    """Yield the seed of each key's stream: that of ``SeedSequence(seed, spawn_key=(key,))``.

    Examples
    --------
    >>> mine = [*stream_seeds(7, np.full((100, 2), 2**63, dtype=np.uint64))][-1]
    >>> its = SeedSequence(7, spawn_key=(2**63 | 2**127,))
    >>> bool((mine.generate_state(4, np.uint64) == its.generate_state(4, np.uint64)).all())
    True
    """
    whole = [low | high << 64 for low, high in keys.tolist()]
    if len(keys) <= _FEW:
        yield from (SeedSequence(seed, spawn_key=(key,)) for key in whole)
        return
    states = _states(seed, keys)
    for key, words, is_known in zip(whole, states, _are_known(seed, keys, states), strict=True):
        yield StreamSeed(seed, key, words) if is_known else SeedSequence(seed, spawn_key=(key,))


def _are_known(seed: int, keys: Keys, states: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Tell which states are right: all, but for those of keys that have fewer words."""
    is_long = keys[:, 1] >= 2**32
    first = np.flatnonzero(is_long)[:1]
    for low, high in keys[first].tolist():
        its = SeedSequence(seed, spawn_key=(low | high << 64,)).generate_state(4, np.uint64)
        if not np.array_equal(states[first[0]], its):
            return np.zeros(len(keys), np.bool_)
    return is_long


def _states(seed: int, keys: Keys) -> npt.NDArray[np.uint64]:
    """Return what ``generate_state(4, np.uint64)`` gives for each key of four words."""
    of_keys = keys.astype("<u8").view("<u4").astype(np.uint32)
    entropy = [np.full(len(keys), word, np.uint32) for word in _words_of(seed)]
    pool = _mixed([*entropy, *of_keys.T])
    constants = _constants(*_FROM_POOL)
    words = [_hashed(pool[i % _POOL], constants) for i in range(2 * _POOL)]
    return np.stack(words, axis=-1).astype("<u4").view("<u8").astype(np.uint64)


def _words_of(seed: int) -> list[int]:
    """Return the words of a seed, the lowest first; at least as many as the pool has."""
    words = [seed >> shift & _MASK for shift in range(0, max(seed.bit_length(), 1), 32)]
    return words + [0] * (_POOL - len(words))


def _mixed(entropy: list[_Words]) -> list[_Words]:
    """Return the pool into which all words are mixed."""
    constants = _constants(*_TO_POOL)
    pool = [_hashed(word, constants) for word in entropy[:_POOL]]
    for source, target in itertools.permutations(range(_POOL), 2):
        pool[target] = _joined(pool[target], _hashed(pool[source], constants))
    for word, target in itertools.product(entropy[_POOL:], range(_POOL)):
        pool[target] = _joined(pool[target], _hashed(word, constants))
    return pool


def _constants(first: int, factor: int) -> Iterator[tuple[np.uint32, np.uint32]]:
    """Yield what each further word is changed by: a mask and a factor, which is the next mask."""
    while True:
        following = first * factor & _MASK
        yield np.uint32(first), np.uint32(following)
        first = following


def _hashed(word: _Words, constants: Iterator[tuple[np.uint32, np.uint32]]) -> _Words:
    mask, factor = next(constants)
    word = (word ^ mask) * factor
    return word ^ (word >> _SHIFT)


def _joined(one: _Words, other: _Words) -> _Words:
    word: _Words = one * _LEFT - other * _RIGHT
    return word ^ (word >> _SHIFT)
