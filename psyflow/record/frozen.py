"""A parameter space as a plan freezes it: with the defaults that do not count for identity."""

from __future__ import annotations

import errno
import functools
import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.exceptions import DamagedFileError, MissingFileError, UnstableValueError
from psyflow.pspace import ParameterSpace
from psyflow.pspace.alike import KeyedSpace, n_alike
from psyflow.pspace.identity import identity_keys
from psyflow.pspace.keys import Keys, pset_key
from psyflow.pspace.objects import pickled
from psyflow.pspace.paths import items_with, may_have_paths, paths_in, with_paths
from psyflow.pspace.repeat import (
    FIRST,
    REPEAT,
    n_repeats,
    repeated_space,
    without_repeats,
)
from psyflow.record.renewals import Renewals
from psyflow.system.files import write_atomic
from psyflow.system.plain import NotPlainError, check_plain
from psyflow.system.reading import ask_again
from psyflow.system.trust import seal, unpickled, unsealed

__all__ = ["FrozenSpace"]


@dataclass(frozen=True)
class FrozenSpace:
    """A parameter space that stays what it is, whatever its expression would give next time.

    Attributes
    ----------
    space : ParameterSpace
    defaults : mapping from str to object
        Values of parameters that do not count for what a pset is.
    pickled : bytes
        The expression of the space, not its psets.
    contents : mapping from str to str
        Of the paths among the values that count with the content of a file, the digests of that.
    renewals : Renewals
        When its items were asked for anew.
    digest : str
        Of `pickled`. Equal digests mean equal spaces; different ones may be equal all the same,
        which their keys then tell.
    """

    space: ParameterSpace
    defaults: Mapping[str, Any]
    pickled: bytes = field(repr=False)
    contents: Mapping[str, str] = field(default_factory=dict, repr=False)
    renewals: Renewals = field(default_factory=Renewals, repr=False)

    @classmethod
    def of(cls, space: ParameterSpace, defaults: Mapping[str, Any] | None = None) -> FrozenSpace:
        """Freeze `space`.

        Raises
        ------
        UnstableValueError
            If a value of it cannot be frozen.
        """
        chosen = dict(sorted((defaults or {}).items()))
        return cls(space, chosen, _pickled(space, chosen))

    @classmethod
    def load(cls, path: Path, digest: str) -> FrozenSpace:
        """Load what was frozen.

        Raises
        ------
        DamagedFileError
            If the file is not what has that digest.
        MissingFileError
            If it is gone.
        UntrustedFileError
            If it could run code, and is not known to be of this user's making.
        UnmakeableValuesError
            If values of it cannot be made here: their class is gone, for example.
        """
        try:
            pickled, is_own = unsealed(ask_again(path.read_bytes, path))
        except FileNotFoundError as error:
            raise MissingFileError(errno.ENOENT, "The frozen space is gone", str(path)) from error
        if _digest(pickled) != digest:
            raise DamagedFileError(f"{path} is damaged: it is not what its plan froze.")
        match unpickled(pickled, f"The frozen space {path}", own=is_own):
            case (ParameterSpace() as space, dict() as defaults):
                return cls(space, defaults, pickled)
        raise DamagedFileError(f"{path} is damaged: it holds no space.")

    def save(self, path: Path, folder: Path) -> None:
        """Write the file from which `load` makes it again, sealed for the run's folder."""
        write_atomic(path, seal(self.pickled, folder))

    @property
    def is_plain(self) -> bool:
        """Whether all values can be made anywhere, whatever becomes of the user's modules."""
        try:
            check_plain(self.pickled)
        except NotPlainError:
            return False
        return True

    @property
    def digest(self) -> str:
        """What tells it from other spaces."""
        return _digest(self.pickled)

    def keys(self, items: npt.ArrayLike | None = None, names: list[str] | None = None) -> Keys:
        """Return the keys under which results are kept, of `items` or all; see `identity_keys`."""
        return identity_keys(self.space, self.defaults, items, names)

    def keys_of(self, space: ParameterSpace, defaults: Mapping[str, Any] | None = None) -> Keys:
        """Return the keys of the psets of another space, by the defaults of this one.

        Parameters
        ----------
        space : ParameterSpace
        defaults : mapping from str to object, optional
            Those with which the other space was frozen. They count for parameters that this one
            does not have. Of ``repeat`` they alone tell whether 0 is the first repetition, and so
            has the random numbers of the pset without it, or a value like any other.
        """
        return self.keyed(space, defaults).keys()

    def keyed(
        self, space: ParameterSpace, defaults: Mapping[str, Any] | None = None
    ) -> KeyedSpace:
        """Return another space with what does not count in it; see `keys_of`."""
        if defaults is None:
            return KeyedSpace(space, self.defaults)
        own = self.space.keys()
        known = {n: v for n, v in defaults.items() if n == REPEAT or n not in own}
        present = {n: v for n, v in self.defaults.items() if n != REPEAT}
        return KeyedSpace(space, known | present)

    def repeating(self, n: int | None) -> FrozenSpace:
        """Return the same psets, each as often as the setting ``repeat`` says; None: without it.

        Raises
        ------
        UnstableValueError
            If a value of it cannot be frozen.
        """
        is_repeated = REPEAT in self.defaults
        if n == (n_repeats(self.space) if is_repeated else None):
            return self
        space = without_repeats(self.space) if is_repeated else self.space
        others = {name: v for name, v in self.defaults.items() if name != REPEAT}
        if n is None:
            return self.of(space, others)
        return self.of(repeated_space(space, n), others | FIRST)

    @functools.cached_property
    def paths(self) -> set[str]:
        """The paths among the values, whether there are such files or not."""
        return paths_in((self.space, self.defaults)) if may_have_paths(self.pickled) else set()

    def changed_since(self, contents: Mapping[str, str]) -> list[str]:
        """Return the paths of the files that had other contents, as far as these are known."""
        present = self.contents
        return sorted(p for p in contents if present.get(p, contents[p]) != contents[p])

    def space_with(self, renamed: Callable[[str], str]) -> ParameterSpace:
        """Return the space with other paths among its values."""
        is_same = all(renamed(path) == path for path in self.paths)
        return self.space if is_same else with_paths(self.space, renamed)

    def items_with(self, paths: Collection[str]) -> npt.NDArray[np.int64]:
        """Return the items in whose psets any of some paths is."""
        return items_with(self.space, paths) if paths else np.empty(0, dtype=np.int64)

    def is_equal(self, other: FrozenSpace) -> bool:
        """Return whether the spaces have equal psets in one order, and equal defaults.

        Their pickles may differ all the same: a set has another order in each process.
        """
        try:
            return (
                len(self) == len(other)
                and pset_key(self.defaults) == pset_key(other.defaults)
                and n_alike(self.keyed(self.space), other.keyed(other.space)) == len(self)
            )
        except UnstableValueError:
            return False  # It was frozen before its class had a slot, and is not whole any more.

    def __len__(self) -> int:
        return len(self.space)


def _pickled(space: ParameterSpace, defaults: Mapping[str, Any]) -> bytes:
    try:
        return pickled((space, defaults))
    except Exception as error:  # How a value is pickled is anybody's code.
        # To tell the value from others takes its pickle too, so this finds which it is.
        pset_key(defaults)
        identity_keys(space, {})
        raise UnstableValueError(f"The parameter space cannot be pickled ({error}).") from error


def _digest(pickled: bytes) -> str:
    return hashlib.blake2b(pickled, digest_size=16).hexdigest()
