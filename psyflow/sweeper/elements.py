"""What a sweeper iterates over, found again by keys."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Hashable, Iterable, Iterator, Mapping, Set
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.exceptions import PsyflowWarning
from psyflow.pspace.keys import Keys, KeySet, add_keys, column_keys, first_positions, no_keys
from psyflow.pspace.values import column_hashes
from psyflow.sweeper.combinations import HashableDict

__all__ = ["Catalogue", "Elements", "keys_of"]


class Elements(Set[Any]):
    """Some elements, in order: a set to whoever compares or looks up, and cheap to make.

    Examples
    --------
    >>> some = Elements([3, 1, 2])
    >>> list(some), some == {1, 2, 3}, 2 in some, some - {3}
    ([3, 1, 2], True, True, {1, 2})
    """

    def __init__(self, elements: list[Any]) -> None:
        self._elements = elements

    @functools.cached_property
    def _set(self) -> frozenset[Any]:
        return frozenset(self._elements)

    def __contains__(self, element: object) -> bool:
        return (HashableDict(element) if type(element) is dict else element) in self._set

    def __iter__(self) -> Iterator[Any]:
        return iter(self._elements)

    def __len__(self) -> int:
        return len(self._elements)

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self._elements))}}}" if self._elements else "set()"

    @classmethod
    def _from_iterable(cls, elements: Iterable[Any]) -> set[Any]:
        return set(elements)


def keys_of(elements: list[Any]) -> Keys:
    """Return the keys of elements: of dicts those of psets, of others those of their values.

    Returns
    -------
    ndarray of uint64, shape (n, 2)

    Raises
    ------
    UnstableValueError
        If an element has no content that is the same in every process.

    Examples
    --------
    >>> keys = keys_of([{"a": 1, "b": 2}, {"b": 2.0, "a": 1}, "text"])
    >>> keys[0].tolist() == keys[1].tolist(), keys[0].tolist() == keys[2].tolist()
    (True, False)
    """
    names = list(map(_names, elements))
    kinds = set(names)
    if len(kinds) == 1:
        return _keys_alike(elements, names[0])
    positions: dict[tuple[str, ...] | None, list[int]] = {kind: [] for kind in kinds}
    for position, kind in enumerate(names):
        positions[kind].append(position)
    keys = no_keys(len(elements))
    for kind, some in positions.items():
        keys[some] = _keys_alike([elements[i] for i in some], kind)
    return keys


def _names(element: Any) -> tuple[str, ...] | None:
    """Return the names of an element that is like a pset, one tuple for all that have them."""
    if type(element) is not HashableDict and not isinstance(element, Mapping):
        return None
    return _if_names(tuple(element))


@functools.lru_cache(1 << 10)
def _if_names(names: tuple[Any, ...]) -> tuple[str, ...] | None:
    return names if all(type(name) is str for name in names) else None


def _keys_alike(elements: list[Any], names: tuple[str, ...] | None) -> Keys:
    if names is not None:
        # One column at a time: a list of a million is large.
        columns = ({name: [e[name] for e in elements]} for name in names)
        parts = (column_keys(column, len(elements)) for column in columns)
        return functools.reduce(add_keys, parts, no_keys(len(elements)))
    values = [dict(e) if isinstance(e, Mapping) else e for e in elements]
    return np.stack(column_hashes(values), axis=-1)


class Catalogue:
    """The distinct elements of an iterable, each at a position.

    Parameters
    ----------
    sweeps : iterable
        Dicts become `HashableDict`. Of equal elements, the first one counts.

    Raises
    ------
    TypeError
        If an element cannot be hashed, or `sweeps` is no iterable of elements.
    UnstableValueError
        If an element has no content that is the same in every process.

    Attributes
    ----------
    elements : list
    keys : ndarray of uint64, shape (n, 2)
    """

    def __init__(self, sweeps: Iterable[Any]) -> None:
        if not isinstance(sweeps, Iterable):
            raise TypeError(f"There is nothing to iterate on in {sweeps!r:.60}: give a list.")
        elements = list(map(_hashable, sweeps))
        keys = keys_of(elements)
        firsts = first_positions(keys)
        if len(firsts) < len(elements):
            warnings.warn(
                f"{len(elements) - len(firsts)} of {len(elements)} elements equal others, and are "
                "left out: each combination is given out once.",
                PsyflowWarning,
                stacklevel=4,
            )
            elements, keys = [elements[i] for i in firsts], keys[firsts]
        self.elements: list[Any] = elements
        self.keys = keys
        self._found = KeySet(keys)

    def __len__(self) -> int:
        return len(self.elements)

    def positions(self, keys: Keys) -> npt.NDArray[np.int64]:
        """Return where the elements of some keys are, −1 if nowhere; shape (n,)."""
        return self._found.find(keys)


def _hashable(element: Any) -> Any:
    if type(element) is HashableDict:
        return element
    if isinstance(element, Mapping):
        return HashableDict(element)
    if not isinstance(element, Hashable):
        raise TypeError(
            f"{element!r:.60} cannot be an element, because it cannot be hashed: make it a tuple, "
            "for example."
        )
    return element
