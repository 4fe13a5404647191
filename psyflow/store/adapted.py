"""Stores that are not psyflow's, such as plugins for psyrun, as `Store`."""

from __future__ import annotations

import os
from typing import Any

from psyflow.columns import Column
from psyflow.store._readback import Given
from psyflow.store.base import (
    Store,
    StorePath,
    TableLike,
    as_loaded_table,
    as_table,
    compare_with,
    one_row,
    reading,
    reading_back,
    saving,
)

__all__ = ["AdaptedStore", "as_store"]


class AdaptedStore(Store):
    """Anything with `ext`, `save` and `load`, such as a plugin for psyrun, as a Store.

    Its own `append` is not used, because a crash could leave half of it.
    """

    reads_back = True

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.ext = inner.ext

    def __repr__(self) -> str:
        return f"AdaptedStore({self.inner!r})"

    def save(self, filename: StorePath, data: TableLike) -> None:
        """Save `data` to `filename`, whole and durable."""
        given = Given()
        (table,) = given.noted([as_table(data)])
        with saving(filename) as temporary:
            self.inner.save(os.fspath(temporary), table)
            with reading_back(filename):
                compare_with(self, temporary, given)

    def load(self, filename: StorePath, row: int | None = None) -> dict[str, Column]:
        """Load the table in `filename`, or one row of it."""
        with reading(filename, self.ext):
            table = as_loaded_table(self.inner.load(os.fspath(filename)))
        return table if row is None else one_row(filename, table, row)


def as_store(store: Any) -> Store:
    """Return `store` as a Store.

    Parameters
    ----------
    store : object
        With `ext`, `save` and `load`, such as a plugin for psyrun.

    Raises
    ------
    TypeError
        If it has not, or is a class.

    Examples
    --------
    >>> from psyflow.store import PickleStore
    >>> as_store(PickleStore(protocol=5))
    PickleStore(protocol=5)
    """
    if isinstance(store, Store):
        return store
    missing = [name for name in ("ext", "save", "load") if not hasattr(store, name)]
    if missing or isinstance(store, type):
        lacks = f"lacks {', '.join(missing)}" if missing else "is a class; call it"
        raise TypeError(f"{store!r} is not a store: it {lacks}.")
    return AdaptedStore(store)
