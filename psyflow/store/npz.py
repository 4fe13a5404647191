"""`NpzStore`: tables in NumPy's NPZ format, without pickles."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from psyflow import columns
from psyflow.columns import Column, Columns
from psyflow.exceptions import RaggedColumnWarning
from psyflow.store._appending import appending
from psyflow.store._decode import check_consistent, decode, decoded, texts
from psyflow.store._encode import encode
from psyflow.store._forms import Array, Cells, DType, array_cells
from psyflow.store._joining import with_numpys_numbers
from psyflow.store._schema import ColumnLayout, Layout
from psyflow.store.base import (
    Store,
    StorePath,
    TableLike,
    Wanted,
    as_loaded_table,
    as_table,
    one_row,
    reading,
    reading_back,
    saving,
    takes_numbers,
)
from psyflow.store.comparing import strings

__all__ = ["NpzStore", "ragged_warning"]

# Where the layout is if it is not in the comments of the entries: there it would be one more array
# for those who load all with NumPy.
_LAYOUT_ENTRY = "psyflow__table.npy"
_OWN_ENTRIES = "psyflow__"
_MARK = b"psyflow "
_COMMENT_BYTES = 65535  # the limit of ZIP


@dataclass(frozen=True)
class NpzStore(Store):
    """Store tables in NumPy's NPZ format (``.npz``): numbers, text, dates, arrays and lists.

    Columns of numbers, text and arrays whose names are plain can also be read with `numpy.load`:
    ``pandas.DataFrame(dict(numpy.load(filename)))``. Files that `numpy.savez` wrote with columns
    of equal length can be loaded. Nothing is ever pickled or unpickled.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "table.npz"
    ...     NpzStore().save(path, {"a": [1, 2], "name": ["α", None]})
    ...     NpzStore().load(path)
    {'a': array([1, 2]), 'name': array(['α', None], dtype=object)}
    """

    ext = ".npz"
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
        table = as_table(data, packed=True)
        cells = {name: _cells(name, column) for name, column in table.items()}
        layout = Layout.of(columns.table_length(table), ((n, c.form) for n, c in cells.items()))
        for column in layout.columns:
            if column.form.kind == "ragged":
                warnings.warn(ragged_warning(column.name), stacklevel=2)
        with saving(filename) as temporary:
            with zipfile.ZipFile(temporary, "x") as archive:
                for column in layout.columns:
                    for part, array in cells[column.name].parts.items():
                        _write_entry(archive, f"{column.part_name(part)}.npy", array)
                _write_layout(archive, layout.to_array())
            with reading_back(filename):
                _check_whole(temporary, archive)

    @takes_numbers
    def write(self, filename: StorePath, blocks: Iterable[Columns]) -> None:
        """Save the tables `blocks` below each other; a name that a block lacks gets NaN there.

        All blocks are brought together in memory.
        """
        tables = [as_table(block, packed=True) for block in blocks]
        self.save(filename, columns.concatenate(with_numpys_numbers(tables)))

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

        Raises
        ------
        MissingFileError, DamagedFileError, IndexError
            As for `Store.load`.
        """
        with reading(filename, self.ext) as path, zipfile.ZipFile(path) as archive:
            table = _load(archive, ragged)
        return table if row is None else one_row(filename, table, row)

    def load_some(self, filename: StorePath, wanted: Wanted) -> dict[str, Column]:
        """Load, and read from disk, some columns of the table in `filename`."""
        with reading(filename, self.ext) as path, zipfile.ZipFile(path) as archive:
            return _load(archive, ragged=False, wanted=wanted)

    def as_loaded(self, table: Columns) -> dict[str, Column]:
        """Return a table that is in no file as `load` would return it from one."""
        return decoded(table, _cells)

    def append(self, filename: StorePath, data: TableLike) -> None:
        """Put the rows of `data` below the table in `filename`, which is created if need be.

        The whole file is loaded and saved again. Of several processes that append, one waits for
        the other.
        """
        table = as_table(data)
        with appending(filename):
            if Path(filename).exists():
                table = columns.concatenate([self.load(filename, ragged=True), table])
            self.save(filename, table)

    def length(self, filename: StorePath) -> int:
        """Return the number of rows in `filename`, without loading any."""
        with reading(filename, self.ext) as path, zipfile.ZipFile(path) as archive:
            if (layout := _read_layout(archive)) is not None:
                return layout.rows
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


def _check_whole(path: Path, archive: zipfile.ZipFile) -> None:
    """Raise ValueError if `path` does not hold what was written to `archive`."""
    with zipfile.ZipFile(path) as copy:
        # Its checksums were made of what was given.
        if _contents(copy) != _contents(archive):
            raise ValueError("entries are missing")
        if (damaged := copy.testzip()) is not None:
            raise ValueError(f"{damaged} does not hold what was written to it")


def _contents(archive: zipfile.ZipFile) -> list[tuple[str, int, int, bytes]]:
    return [(e.filename, e.CRC, e.file_size, e.comment) for e in archive.infolist()]


def _cells(name: str, column: Column) -> Cells:
    """Return the numeric form of `column`, text and bytes as arrays that NumPy has, if it can."""
    if isinstance(column, list) and (data := strings(column)) is not None:
        return array_cells(data, python=True)
    cells = encode(name, column)
    if cells.form.kind not in ("text", "bytes") or (data := strings(texts(cells))) is None:
        return cells
    form = replace(cells.form, kind="array", dtype=data.dtype.str, python=True)
    mask = {part: cells.parts[part] for part in cells.form.parts if part == "mask"}
    return Cells(form, cells.length, {"data": data, **mask})


def _write_layout(archive: zipfile.ZipFile, layout: Array) -> None:
    """Write the layout into the comments of the entries, or, if there are too few, an entry."""
    text = layout.tobytes()
    described = _MARK + zlib.crc32(text).to_bytes(4, "little") + text
    starts = range(0, len(described), _COMMENT_BYTES)
    if len(starts) > len(entries := archive.infolist()):
        _write_entry(archive, _LAYOUT_ENTRY, layout)
        return
    for entry, start in zip(entries, starts, strict=False):
        entry.comment = described[start : start + _COMMENT_BYTES]


def _read_layout(archive: zipfile.ZipFile) -> Layout | None:
    """Return the layout, None if there is none; ValueError if it is not what was written."""
    entries = archive.infolist()
    if _LAYOUT_ENTRY in archive.namelist():
        return Layout.from_array(_read_entry(archive, _LAYOUT_ENTRY))
    described = b"".join(entry.comment for entry in entries)
    if not described.startswith(_MARK):
        if any(entry.filename.startswith(_OWN_ENTRIES) for entry in entries):
            raise ValueError("it has lost what says which arrays make a column")
        return None
    crc, layout = described[len(_MARK) :][:4], described[len(_MARK) + 4 :]
    if zlib.crc32(layout).to_bytes(4, "little") != crc:
        raise ValueError("what says which arrays make a column was altered")
    return Layout.from_array(np.frombuffer(layout, np.uint8))


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


def _load(archive: zipfile.ZipFile, ragged: bool, wanted: Wanted = list) -> dict[str, Column]:
    if (layout := _read_layout(archive)) is None:
        return _load_plain(archive, archive.namelist(), wanted)
    names = set(wanted([column.name for column in layout.columns]))
    columns = (column for column in layout.columns if column.name in names)
    return {c.name: decode(_read_cells(archive, layout.rows, c), ragged) for c in columns}


def _load_plain(archive: zipfile.ZipFile, entries: list[str], wanted: Wanted) -> dict[str, Column]:
    """Load columns that `numpy.savez` wrote."""
    if not entries:
        raise ValueError("it is empty")
    found = {entry.removesuffix(".npy"): entry for entry in entries}
    names = set(wanted(list(found)))
    return as_loaded_table({n: _read_entry(archive, e) for n, e in found.items() if n in names})


def _read_cells(archive: zipfile.ZipFile, rows: int, column: ColumnLayout) -> Cells:
    names = {part: f"{column.part_name(part)}.npy" for part in column.form.parts}
    cells = Cells(column.form, rows, {p: _read_entry(archive, name) for p, name in names.items()})
    check_consistent(cells)
    return cells
