"""Which part of a file with a table is read."""

from __future__ import annotations

from pathlib import Path

from psyflow.columns import Column, Columns, concatenate, table_length
from psyflow.store import Store
from psyflow.store.base import Wanted, reads_all
from psyflow.store.comparing import comparable

__all__ = ["Part"]


class Part:
    """Some of the first and as many of the last rows of a table, or all.

    Parameters
    ----------
    n_ends : int, optional
        How many at each end; all rows if None.

    Attributes
    ----------
    n_rows : int or None
        How many rows the table has of which a part was read last; None if all were read.

    Examples
    --------
    >>> import tempfile
    >>> from psyflow import H5Store
    >>> part = Part(n_ends=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "table.h5"
    ...     H5Store().save(path, {"a": range(9)})
    ...     part.read(H5Store(), path), part.n_rows
    ({'a': array([0, 8])}, 9)
    """

    def __init__(self, n_ends: int | None = None) -> None:
        self._n_ends = n_ends
        self.n_rows: int | None = None

    def read(self, store: Store, file: Path, wanted: Wanted = list) -> dict[str, Column]:
        """Return the part of a file that is wanted; all of it if its store reads nothing less.

        Parameters
        ----------
        store : Store
        file : Path
        wanted : callable
            Given the names of the columns, returns those that are wanted.
        """
        self.n_rows = None
        if self._n_ends is None or reads_all(store):
            return store.load_some(file, wanted)
        n_rows = store.length(file)
        if n_rows <= 2 * self._n_ends:
            return store.load_some(file, wanted)
        self.n_rows = n_rows
        first = store.read(file, 0, self._n_ends)
        last = store.read(file, n_rows - self._n_ends, n_rows)
        found = store.as_loaded(concatenate([first, last]))
        return {name: comparable(found[name]) for name in wanted(list(found))}

    def n_rows_of(self, columns: Columns) -> int:
        """Return how many rows the table has of which `columns` were read."""
        return self.n_rows if self.n_rows is not None else table_length(columns)
