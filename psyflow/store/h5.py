"""`H5Store`: tables in HDF5, written and read block by block."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psyflow.columns import Column, Columns
from psyflow.store._appending import appending
from psyflow.store._decode import decoded
from psyflow.store._encode import encode
from psyflow.store.base import (
    Store,
    StorePath,
    TableLike,
    Wanted,
    as_table,
    check_row,
    reading,
    saving,
    takes_numbers,
)

if TYPE_CHECKING:
    from psyflow.store._h5read import PsyrunTable, Table

__all__ = ["H5Store"]

_PSYRUN_NODE = "/psyrun"
_BLOCK_BYTES = 8 << 20


@dataclass(frozen=True)
class H5Store(Store):
    """Store tables in HDF5 (``.h5``): numbers, text, dates, arrays and lists.

    Results of any size are written and read in constant memory. Columns of numbers and of arrays
    whose names are plain can be read with any HDF5 program: they are arrays in the group `node`.
    Nothing is ever pickled or unpickled.

    Parameters
    ----------
    node : str
        The group in the file. Where a file lacks it, ``/psyrun`` is read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "table.h5"
    ...     H5Store().write(path, ({"a": [i, i + 1]} for i in range(0, 6, 2)))
    ...     H5Store().read(path, 2, 5)
    {'a': array([2, 3, 4])}
    """

    node: str = "/psyflow"
    ext = ".h5"
    reads_back = True

    def save(self, filename: StorePath, data: TableLike) -> None:
        """Make `filename` hold exactly the table `data`, whole and durable.

        Raises
        ------
        UnsupportedDataError
            If a column cannot be stored without changing the type of its values.

        Warns
        -----
        RaggedColumnWarning
            For each column with arrays of different shapes.
        """
        self.write(filename, [as_table(data)])

    @takes_numbers
    def write(self, filename: StorePath, blocks: Iterable[Columns]) -> None:
        """Save the tables `blocks` below each other; a name that a block lacks gets NaN there.

        The memory taken does not depend on the number of blocks. Where a block needs a wider dtype
        or other shapes than those before it, the column is written anew within the file.
        """
        from psyflow.store._h5write import write_table

        tables = (as_table(block, packed=True) for block in blocks)
        with saving(filename) as temporary:
            write_table(temporary, self.node, tables, filename)

    def warm_up(self) -> None:
        """Import PyTables."""
        import psyflow.store._h5write  # noqa: F401

    def append(self, filename: StorePath, data: TableLike) -> None:
        """Put the rows of `data` below the table in `filename`, which is created if need be.

        The file is copied block by block to one that replaces it: this takes constant memory, and
        a crash leaves the old file. Of several processes that append, one waits for the other.
        """
        blocks: Iterator[Columns] = iter([as_table(data)])
        with appending(filename):
            if Path(filename).exists():
                blocks = chain(self._blocks(filename), blocks)
            self.write(filename, blocks)

    def load(
        self, filename: StorePath, row: int | None = None, ragged: bool = False
    ) -> dict[str, Column]:
        """Load the table in `filename`.

        Parameters
        ----------
        filename : path
        row : int, optional
            Load, and read from disk, this row only, as columns of length 1.
        ragged : bool
            Whether arrays of different shapes come back as they were, in a list; else they are
            padded to one shape.

        Raises
        ------
        MissingFileError, DamagedFileError, IndexError
            As for `Store.load`.
        """
        if row is None:
            return self._read(filename, 0, None, ragged)
        check_row(filename, row, self.length(filename))
        return self._read(filename, row, row + 1, ragged)

    def as_loaded(self, table: Columns) -> dict[str, Column]:
        """Return a table that is in no file as `load` would return it from one."""
        return decoded(table, encode)

    def read(
        self, filename: StorePath, start: int, stop: int, ragged: bool = False
    ) -> dict[str, Column]:
        """Load, and read from disk, the rows from `start` up to, but without, `stop`."""
        return self._read(filename, start, stop, ragged)

    def load_some(self, filename: StorePath, wanted: Wanted) -> dict[str, Column]:
        """Load, and read from disk, some columns of the table in `filename`."""
        with self._open(filename) as table:
            names = set(wanted(table.names))
            return table.read(0, table.rows, ragged=False, wanted=names)

    def length(self, filename: StorePath) -> int:
        """Return the number of rows in `filename`, without reading any."""
        with self._open(filename) as table:
            return table.rows

    def check(self, row: Mapping[str, Any]) -> None:
        """Raise UnsupportedDataError, naming the column, if `row` could not be stored exactly."""
        for name, value in as_table({name: [value] for name, value in row.items()}).items():
            encode(name, value)

    def _read(
        self, filename: StorePath, start: int, stop: int | None, ragged: bool
    ) -> dict[str, Column]:
        with self._open(filename) as table:
            start, stop, _ = slice(start, stop).indices(table.rows)
            return table.read(start, max(start, stop), ragged)

    def _blocks(self, filename: StorePath) -> Iterator[Columns]:
        rows = self.length(filename)
        step = max(1, rows * _BLOCK_BYTES // Path(filename).stat().st_size)
        for start in range(0, max(1, rows), step):
            yield self._read(filename, start, start + step, ragged=True)

    @contextlib.contextmanager
    def _open(self, filename: StorePath) -> Iterator[Table | PsyrunTable]:
        from psyflow.store._h5file import LOCK, open_to_read
        from psyflow.store._h5read import find_table

        with (
            LOCK,
            reading(filename, self.ext) as path,
            contextlib.closing(open_to_read(path)) as file,
        ):
            yield find_table(file, [self.node, _PSYRUN_NODE])
