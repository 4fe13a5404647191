"""A parameter space as a plan freezes it: with the defaults that do not count for identity."""

from __future__ import annotations

import errno
import hashlib
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from psyflow.exceptions import DamagedFileError, MissingFileError
from psyflow.pspace import ParameterSpace
from psyflow.pspace.identity import identity_keys
from psyflow.pspace.keys import Keys

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
    digest : str
        Of `pickled`. Equal digests mean equal spaces; different ones may be equal all the same,
        which their keys then tell.
    """

    space: ParameterSpace
    defaults: Mapping[str, Any]
    pickled: bytes = field(repr=False)

    @classmethod
    def of(cls, space: ParameterSpace, defaults: Mapping[str, Any] | None = None) -> FrozenSpace:
        """Freeze `space`."""
        chosen = dict(sorted((defaults or {}).items()))
        return cls(space, chosen, pickle.dumps((space, chosen), protocol=5))

    @classmethod
    def load(cls, path: Path, digest: str) -> FrozenSpace:
        """Load what was frozen.

        Raises
        ------
        DamagedFileError
            If the file is not what has that digest.
        MissingFileError
            If it is gone.
        """
        try:
            pickled = path.read_bytes()
        except FileNotFoundError as error:
            raise MissingFileError(errno.ENOENT, "The frozen space is gone", str(path)) from error
        if _digest(pickled) != digest:
            raise DamagedFileError(f"{path} is damaged: it is not what its plan froze.")
        space, defaults = pickle.loads(pickled)
        return cls(space, defaults, pickled)

    @property
    def digest(self) -> str:
        """What tells it from other spaces."""
        return _digest(self.pickled)

    def keys(self, items: npt.ArrayLike | None = None, names: list[str] | None = None) -> Keys:
        """Return the keys under which results are kept, of `items` or all; see `identity_keys`."""
        return identity_keys(self.space, self.defaults, items, names)

    def keys_of(self, space: ParameterSpace) -> Keys:
        """Return the keys of the psets of another space, by the defaults of this one."""
        return identity_keys(space, self.defaults)

    def __len__(self) -> int:
        return len(self.space)


def _digest(pickled: bytes) -> str:
    return hashlib.blake2b(pickled, digest_size=16).hexdigest()
