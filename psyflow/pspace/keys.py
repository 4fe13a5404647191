"""Keys: the 128-bit identity of a pset, and how keys are matched.

The key of a pset is the sum modulo 2**128 of a hash of each pair of name and value. The order of
the names does not matter, and a value that is NaN or absent adds nothing. Arrays of keys have
shape ``(n, 2)`` and type ``uint64``: column 0 is the low half, column 1 the high half.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column
from psyflow.exceptions import UnstableValueError
from psyflow.pspace.arrays import MISSING, absorb_all
from psyflow.pspace.mixing import Hash, add, seed, to_int

__all__ = [
    "KeySet",
    "Keys",
    "add_keys",
    "column_keys",
    "first_positions",
    "isin",
    "key_hex",
    "match",
    "n_equal_at_first",
    "no_keys",
    "pset_key",
]

Keys: TypeAlias = "npt.NDArray[np.uint64]"

_FEW = 8


def pset_key(pset: Mapping[str, Any]) -> int:
    """Return the key of one pset.

    Raises
    ------
    UnstableValueError
        If a value has no content that is the same in every process.

    Examples
    --------
    >>> pset_key({"a": 1, "b": 2.5}) == pset_key({"b": 2.5, "a": 1.0, "c": float("nan")})
    True
    >>> pset_key({"a": 1}) == pset_key({"a": 2})
    False
    """
    pairs = (_pair_hash(name, value) for name, value in pset.items())
    return to_int(functools.reduce(add, pairs, MISSING))


def _pair_hash(name: str, value: Any) -> Hash:
    from psyflow.pspace.values import value_hash  # which knows types of NumPy

    hashed = _hashed(name, value_hash, value)
    return MISSING if hashed == MISSING else absorb_all(seed("psyflow name", name), hashed)


def _hashed(name: str, hasher: Callable[[Any], Hash], values: Any) -> Hash:
    try:
        return hasher(values)
    except UnstableValueError as error:
        raise UnstableValueError(f"Parameter `{name}`: {error}") from error
    except RecursionError as error:
        raise UnstableValueError(
            f"Parameter `{name}`: a value has no stable content: it is nested too deeply, or "
            "contains itself. Use what it is made from, and make it in `execute`."
        ) from error


def column_keys(columns: Mapping[str, Column], length: int) -> Keys:
    """Return the keys of the rows of a table.

    Parameters
    ----------
    columns : mapping from str to column
        The table.
    length : int
        Its number of rows.

    Returns
    -------
    ndarray of uint64, shape (length, 2)
        The low and the high half of each row's key.

    Examples
    --------
    >>> keys = column_keys({"a": [1, 2]}, 2)
    >>> key_hex(keys[1]) == f"{pset_key({'a': 2}):032x}"
    True
    """
    if length <= _FEW:
        return _few_keys(columns, length)
    if not columns:
        return no_keys(length)
    pairs = (_column_pairs(name, column) for name, column in columns.items())
    total: Hash = functools.reduce(add, pairs)
    return np.stack(total, axis=-1)


def _few_keys(columns: Mapping[str, Column], length: int) -> Keys:
    keys = no_keys(length)
    for row in range(length):
        key = pset_key({name: column[row] for name, column in columns.items()})
        keys[row] = key & (2**64 - 1), key >> 64
    return keys


def _column_pairs(name: str, column: Column) -> Hash:
    from psyflow.pspace.values import column_hashes  # which knows types of NumPy

    low, high = _hashed(name, column_hashes, column)
    is_present = (low | high) != 0
    pairs = absorb_all(seed("psyflow name", name), (low, high))
    return pairs if is_present.all() else (pairs[0] * is_present, pairs[1] * is_present)


def no_keys(length: int) -> Keys:
    """Return the keys of `length` empty psets."""
    return np.zeros((length, 2), np.uint64)


def add_keys(a: Keys, b: Keys) -> Keys:
    """Return the keys of rows that are made up of a row of `a` and a row of `b`."""
    return np.stack(add((a[:, 0], a[:, 1]), (b[:, 0], b[:, 1])), axis=-1)


def key_hex(key: npt.NDArray[np.uint64]) -> str:
    """Return a key as 32 hexadecimal digits.

    Examples
    --------
    >>> key_hex(np.array([10, 1], dtype=np.uint64))
    '0000000000000001000000000000000a'
    """
    return f"{to_int((key[0], key[1])):032x}"


class KeySet:
    """A set of keys to look others up in.

    Parameters
    ----------
    keys : ndarray of uint64, shape (n, 2)

    Examples
    --------
    >>> keys = column_keys({"a": [1, 2, 3]}, 3)
    >>> KeySet(keys[:1]).contains(keys)
    array([ True, False, False])
    >>> KeySet(keys[1:]).find(keys)
    array([-1,  0,  1])
    """

    def __init__(self, keys: Keys) -> None:
        order, starts = _grouped(keys)
        self._first = order[starts]
        self._low, self._high = keys[self._first].T.copy()
        # Different keys may share a low half, however rarely: look at all that do.
        runs = np.flatnonzero(np.diff(self._low, prepend=~self._low[:1]))
        self._longest_run = int(np.diff(runs, append=len(starts)).max(initial=0))

    def contains(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Return for each of `keys` whether it is in the set; shape (n,)."""
        return self.find(keys) >= 0

    def find(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Return for each of `keys` its first position in those of the set, −1 without; (n,)."""
        # Looking up in ascending order is several times faster, as memory is read in one sweep.
        order = np.argsort(keys[:, 0])
        low, high = keys[order].T.copy()
        at = np.searchsorted(self._low, low)
        places = np.full(len(keys), -1, np.int64)
        for shift in range(self._longest_run):
            here = np.minimum(at + shift, len(self._low) - 1)
            is_here = (self._low[here] == low) & (self._high[here] == high)
            places[is_here] = self._first[here[is_here]]
        found = np.empty_like(places)
        found[order] = places
        return found


def isin(keys: Keys, others: Keys) -> npt.NDArray[np.bool_]:
    """Return for each of `keys` whether it is among `others`; shape (n,)."""
    return KeySet(others).contains(keys)


def _grouped(keys: Keys) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return a stable order which brings equal keys together, and where each group starts."""
    low, high = keys.T.copy()
    order = np.argsort(low, kind="stable")
    if _differs(ordered_low := low[order])[1:].all():
        return order, np.arange(len(order))
    new_low, new_high = _differs(ordered_low), _differs(high[order])
    if (new_high & ~new_low).any():
        order = np.lexsort((high, low))
        new_low, new_high = _differs(low[order]), _differs(high[order])
    return order, np.flatnonzero(new_low | new_high)


def _differs(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Return for each value whether it differs from the one before."""
    differs = np.ones(len(values), np.bool_)
    np.not_equal(values[1:], values[:-1], out=differs[1:])
    return differs


def first_positions(keys: Keys) -> npt.NDArray[np.int64]:
    """Return, in ascending order, the positions at which a key occurs for the first time."""
    order, starts = _grouped(keys)
    return np.sort(order[starts])


def occurrences(keys: Keys) -> npt.NDArray[np.int64]:
    """Return for each of `keys` how often it occurs before; shape (n,)."""
    order, starts = _grouped(keys)
    lengths = np.diff(starts, append=len(order))
    numbers = np.empty(len(order), dtype=np.int64)
    numbers[order] = np.arange(len(order)) - np.repeat(starts, lengths)
    return numbers


def n_equal_at_first(a: Keys, b: Keys) -> int:
    """Return how many keys at the beginning of `a` and `b` are equal, pair by pair.

    Examples
    --------
    >>> n_equal_at_first(np.array([[1, 0], [2, 0]]), np.array([[1, 0], [3, 0], [4, 0]]))
    1
    """
    n = min(len(a), len(b))
    differ = (a[:n] != b[:n]).any(axis=1)
    return int(differ.argmax()) if differ.any() else n


def match(wanted: Keys, have: Keys) -> npt.NDArray[np.int64]:
    """Find for each wanted key a row of its own that has this key.

    Equal keys are matched in order of occurrence, and each row of `have` is used at most once: if
    a key is wanted five times and there three times, the first three are matched.

    Parameters
    ----------
    wanted : ndarray of uint64, shape (n, 2)
    have : ndarray of uint64, shape (m, 2)

    Returns
    -------
    ndarray of int64, shape (n,)
        Positions in `have`, −1 where there is none (left).

    Examples
    --------
    >>> wanted, have = column_keys({"a": [1, 2, 2]}, 3), column_keys({"a": [2, 3]}, 2)
    >>> match(wanted, have)
    array([-1,  0, -1])
    """
    # What both begin with is matched with itself: so equal keys keep their order.
    first = n_equal_at_first(wanted, have)
    wanted, have = wanted[first:], have[first:]
    last = _n_to_match_at_last(wanted, have)
    middle = _matched(wanted[: len(wanted) - last], have[: len(have) - last])
    parts = middle, np.arange(len(have) - last, len(have))
    return np.concatenate((np.arange(first), *(np.where(p < 0, -1, p + first) for p in parts)))


def _n_to_match_at_last(wanted: Keys, have: Keys) -> int:
    """Return how much both end with that can be matched with itself, in order of occurrence."""
    last = n_equal_at_first(wanted[::-1], have[::-1])
    before = np.sort(np.concatenate([k[: len(k) - last, 0] for k in (wanted, have)]))
    if not (last and len(before)):
        return last
    # What occurs before as well has to be counted. Few are looked for among many here.
    ends = have[len(have) - last :, 0]
    at = np.minimum(np.searchsorted(before, ends), len(before) - 1)
    return 0 if (before[at] == ends).any() else last


def _matched(wanted: Keys, have: Keys) -> npt.NDArray[np.int64]:
    """Do what `match` says by bringing equal keys together."""
    if not (len(wanted) and len(have)):
        return np.full(len(wanted), -1, np.int64)
    order, starts = _grouped(np.concatenate((have, wanted)))
    # Equal keys are neighbours now: in each group first those of `have`, then the wanted ones.
    is_wanted = order >= len(have)
    available = np.add.reduceat(~is_wanted, starts, dtype=np.int64) if len(starts) else starts
    sizes = np.diff(starts, append=len(order))
    rank = np.arange(len(order)) - np.repeat(starts + available, sizes)
    places = np.flatnonzero(is_wanted & (rank < np.repeat(available, sizes)))
    matched = np.full(len(wanted), -1, np.int64)
    matched[order[places] - len(have)] = order[np.repeat(starts, sizes)[places] + rank[places]]
    return matched
