"""`NpzStore`: tables in NumPy's NPZ format, without pickles."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from psyflow import columns
from psyflow.columns import Column, Columns
from psyflow.exceptions import RaggedColumnWarning
from psyflow.store._decode import check_consistent, decode
from psyflow.store._encode import encode
from psyflow.store._forms import Array, Cells, DType
from psyflow.store._layout import ColumnLayout, Layout
from psyflow.store.base import (
    Store,
    StorePath,
    TableLike,
    as_loaded_table,
    as_table,
    one_row,
    reading,
    saving,
    takes_numbers,
)

__all__ = ["NpzStore", "ragged_warning"]

_LAYOUT_ENTRY = "psyflow__table.npy"
_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclass(frozen=True)
class NpzStore(Store):
    """Store tables in NumPy's NPZ format (``.npz``): numbers, text, dates and arrays of them.

    Columns of numbers and of arrays whose names are plain can also be read with `numpy.load`.
    Files that `numpy.savez` wrote with columns of equal length can be loaded. Nothing is ever
    pickled or unpickled.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "table.npz"
    ...     NpzStore().save(path, {"a": [1, 2], "name": ["α", None]})
    ...     NpzStore().load(path)
    {'a': array([1, 2]), 'name': ['α', None]}
    """

    ext = ".npz"

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
        table = as_table(data, packed=True)
        cells = {name: encode(name, column) for name, column in table.items()}
        layout = Layout.of(columns.table_length(table), ((n, c.form) for n, c in cells.items()))
        with saving(filename) as temporary, zipfile.ZipFile(temporary, "x") as archive:
            for column in layout.columns:
                for part, array in cells[column.name].parts.items():
                    _write_entry(archive, f"{column.part_name(part)}.npy", array)
                if column.form.kind == "ragged":
                    warnings.warn(ragged_warning(column.name), stacklevel=2)
            _write_entry(archive, _LAYOUT_ENTRY, layout.to_array())

    @takes_numbers
    def write(self, filename: StorePath, blocks: Iterable[Columns]) -> None:
        """Save the tables `blocks` below each other; a name that a block lacks gets NaN there.

        All blocks are brought together in memory.
        """
        self.save(filename, columns.concatenate(as_table(block, packed=True) for block in blocks))

    def load(
        self, filename: StorePath, row: int | None = None, ragged: bool = False
    ) -> dict[str, Column]:
        """Load the table in `filename`.

        Parameters
        ----------
        filename : path
        row : int, optional
            Load this row only, as columns of length 1.
        ragged : bool
            Whether arrays of different shapes come back as they were, in a list; else they are
            padded to one shape.
        """
        with reading(filename, self.ext) as path, zipfile.ZipFile(path) as archive:
            table = _load(archive, ragged)
        return table if row is None else one_row(filename, table, row)

    def append(self, filename: StorePath, data: TableLike) -> None:
        """Put the rows of `data` below the table in `filename`, which is created if need be.

        The whole file is loaded and saved again.
        """
        table = as_table(data)
        if Path(filename).exists():
            table = columns.concatenate([self.load(filename, ragged=True), table])
        self.save(filename, table)

    def length(self, filename: StorePath) -> int:
        """Return the number of rows in `filename`, without loading any."""
        with reading(filename, self.ext) as path, zipfile.ZipFile(path) as archive:
            if _LAYOUT_ENTRY in archive.namelist():
                return Layout.from_array(_read_entry(archive, _LAYOUT_ENTRY)).rows
            headers = (_read_header(archive, entry) for entry in archive.namelist())
            lengths = {shape[0] for shape, _ in headers}
            if len(lengths) != 1:
                raise ValueError(f"columns of {sorted(lengths)} rows")
            return lengths.pop()

    def check(self, row: Mapping[str, Any]) -> None:
        """Raise UnsupportedDataError, naming the column, if `row` could not be stored exactly."""
        for name, value in as_table({name: [value] for name, value in row.items()}).items():
            encode(name, value)


def ragged_warning(name: str) -> RaggedColumnWarning:
    """Return the warning for a column with arrays of different shapes."""
    return RaggedColumnWarning(
        f'Column "{name}" holds arrays of different shapes. They will be padded when they are '
        "loaded; load(filename, ragged=True) gives them as they were."
    )


def _write_entry(archive: zipfile.ZipFile, entry: str, array: Array) -> None:
    # With the default date instead of today's, equal tables give equal files.
    with archive.open(zipfile.ZipInfo(entry), "w", force_zip64=True) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _read_header(archive: zipfile.ZipFile, entry: str) -> tuple[tuple[int, ...], DType]:
    """Return the shape and dtype in the header of `entry`, if the entry is as long as they say."""
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    with archive.open(entry) as file:
        shape, _, dtype = read[np.lib.format.read_magic(file)](file)
        start = file.tell()
    if dtype.hasobject:
        raise ValueError(f"{entry} holds pickled objects, which psyflow does not load")
    if (
        start + dtype.itemsize * int(np.prod(shape, dtype=object))
        != archive.getinfo(entry).file_size
    ):
        raise ValueError(f"{entry} has not the length that its header says")
    return shape, dtype


def _read_entry(archive: zipfile.ZipFile, entry: str) -> Array:
    _read_header(archive, entry)
    with archive.open(entry) as file:
        array: Array = np.lib.format.read_array(file, allow_pickle=False)
        # The checksum is compared when the end is reached.
        file.read(1)
    return array


def _load(archive: zipfile.ZipFile, ragged: bool) -> dict[str, Column]:
    entries = archive.namelist()
    if _LAYOUT_ENTRY not in entries:
        return _load_plain(archive, entries)
    layout = Layout.from_array(_read_entry(archive, _LAYOUT_ENTRY))
    return {c.name: decode(_read_cells(archive, layout.rows, c), ragged) for c in layout.columns}


def _load_plain(archive: zipfile.ZipFile, entries: list[str]) -> dict[str, Column]:
    """Load the columns that `numpy.savez` wrote."""
    table: dict[str, Column] = {}
    for entry in entries:
        array = _read_entry(archive, entry)
        is_text = array.dtype.kind in "US" and array.ndim == 1
        table[entry.removesuffix(".npy")] = array.tolist() if is_text else array
    return as_loaded_table(table)


def _read_cells(archive: zipfile.ZipFile, rows: int, column: ColumnLayout) -> Cells:
    names = {part: f"{column.part_name(part)}.npy" for part in column.form.parts}
    cells = Cells(column.form, rows, {p: _read_entry(archive, name) for p, name in names.items()})
    check_consistent(cells)
    return cells
