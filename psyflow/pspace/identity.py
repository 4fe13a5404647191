"""Keys under which results are kept: a parameter at its default value counts as absent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.pspace.keys import Keys, add_keys, pset_key
from psyflow.pspace.space import ParameterSpace

__all__ = ["identity_keys"]


def identity_keys(
    space: ParameterSpace,
    defaults: Mapping[str, Any],
    items: npt.ArrayLike | None = None,
    names: Collection[str] | None = None,
) -> Keys:
    """Return the keys of psets, in which a parameter that has its default value does not count.

    Parameters
    ----------
    space : ParameterSpace
    defaults : mapping from str to object
        Default values by name.
    items : ndarray of int64, optional
        Positions in the space; all by default.
    names : collection of str, optional
        The names which make up the key; all by default.

    Returns
    -------
    ndarray of uint64, shape (n, 2)

    Examples
    --------
    >>> from psyflow.pspace import Param
    >>> old = identity_keys(Param(a=[1, 2]), {})
    >>> new = identity_keys(Param(a=[1, 2]) * Param(dropout=[0.0]), {"dropout": 0})
    >>> bool((old == new).all())
    True
    """
    positions = np.arange(len(space)) if items is None else items
    counted = [n for n in space.keys() if names is None or n in names]  # noqa: SIM118
    keys = space.key_take(positions, [n for n in counted if n not in defaults])
    for name in counted:
        if name in defaults:
            own = space.key_take(positions, [name])
            is_default = np.all(own == _row(pset_key({name: defaults[name]})), axis=1)
            keys = add_keys(keys, np.where(is_default[:, None], np.uint64(0), own))
    return keys


def _row(key: int) -> Keys:
    return np.array([[key & (2**64 - 1), key >> 64]], dtype=np.uint64)
