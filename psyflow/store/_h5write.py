"""Writing a table to HDF5 block by block, in constant memory."""

from __future__ import annotations

import contextlib
import posixpath
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tables

from psyflow.columns import Columns, table_length
from psyflow.store._encode import encode
from psyflow.store._forms import Array, Cells, Form, expanded, nan_cells, unsupported
from psyflow.store._h5check import Written
from psyflow.store._h5file import LOCK, create_array, open_to_write, storable
from psyflow.store._h5read import LAYOUT_NODE, read_cells
from psyflow.store._schema import ColumnLayout, Layout
from psyflow.store._widen import convert, unify
from psyflow.store.base import StorePath, not_written, reading_back
from psyflow.store.npz import ragged_warning
from psyflow.system import files

__all__ = ["write_table"]

_BUFFER_BYTES = 8 << 20
_BLOCK_BYTES = 4 << 20
_ABSENT_ROWS = 1 << 16
# The limit of HDF5.
_MAX_DIMENSIONS = 32


def write_table(path: Path, node: str, blocks: Iterable[Columns], target: StorePath) -> None:
    """Create the HDF5 file `path`, which will become `target`, with `blocks` in the group `node`.

    Raises
    ------
    NotWrittenError
        If it does not hold them, as on a full disk.
    """
    written = Written(target)
    try:
        if _write_blocks(path, node, blocks, written):
            _repack(path, target)
    except tables.HDF5ExtError as error:
        raise not_written(target, error) from error
    files.begin_sync(path)
    with LOCK:
        written.check(path)


def _write_blocks(path: Path, node: str, blocks: Iterable[Columns], written: Written) -> bool:
    """Write `blocks`, and tell whether the file has gaps."""
    with LOCK:
        file = open_to_write(path)
    with contextlib.closing(file):
        writer = _TableWriter(file, _create_group(file, node), written)
        for block in blocks:
            # Only here, because making the block may need other HDF5 files and other threads.
            with LOCK:
                writer.write(block)
        with LOCK:
            writer.finish()
    return writer.has_gaps


def _repack(path: Path, target: StorePath) -> None:
    """Give back the space of columns that were written anew, which HDF5 leaves unused."""
    with LOCK, reading_back(target), files.atomic_path(path) as packed:
        tables.copy_file(str(path), str(packed))


def _create_group(file: Any, node: str) -> Any:
    parent, name = posixpath.split(node.rstrip("/"))
    return file.create_group(parent, name, createparents=True) if name else file.root


class _TableWriter:
    """Writes blocks of a table to a group of an HDF5 file.

    Parameters
    ----------
    file : tables.File
    group : tables.Group
        A new, empty group.
    written : Written
        Takes note of all that is written.
    """

    def __init__(self, file: Any, group: Any, written: Written) -> None:
        self._file = file
        self._group = group
        self._written = written
        self._columns: dict[str, _ColumnWriter] = {}
        self._rows = 0

    def write(self, block: Columns) -> None:
        """Put the rows of `block` below those that were written."""
        n = table_length(block)
        for name, column in block.items():
            if name not in self._columns:
                self._columns[name] = self._new_column(name)
            self._columns[name].append(encode(name, column))
        if n:
            for name in self._columns.keys() - block.keys():
                self._columns[name].append_absent(n)
        self._rows += n
        if sum(column.buffered for column in self._columns.values()) > _BUFFER_BYTES:
            self._flush()

    def finish(self) -> None:
        """Write what is buffered and the layout; warn about columns with different shapes."""
        self._flush()
        layout = Layout.of(self._rows, ((n, c.form) for n, c in self._columns.items()))
        for column in layout.columns:
            if column.form.kind == "ragged":
                warnings.warn(ragged_warning(column.name), stacklevel=2)
        array = layout.to_array()
        self._written.append(create_array(self._file, self._group, LAYOUT_NODE, array), array)

    @property
    def has_gaps(self) -> bool:
        """Whether the file holds space of columns that were written anew."""
        return any(column.was_rewritten for column in self._columns.values())

    def _new_column(self, name: str) -> _ColumnWriter:
        layout = ColumnLayout.at(len(self._columns), name, Form("nothing"))
        column = _ColumnWriter(self._file, self._group, layout, self._written)
        column.append_absent(self._rows)
        return column

    def _flush(self) -> None:
        for column in self._columns.values():
            column.flush()


class _ColumnWriter:
    """Writes one column; its form widens when a block needs it."""

    def __init__(self, file: Any, group: Any, layout: ColumnLayout, written: Written) -> None:
        self._file = file
        self._group = group
        self._written = written
        self._layout = layout
        self._nodes: dict[str, Any] = {}
        self._buffer: list[Cells] = []
        self._rows = 0
        self._rows_on_disk = 0
        self.form = layout.form
        self.buffered = 0
        self.was_rewritten = False
        self._only: Array | None = None
        """The row that is kept once, while all are that one."""

    def append_absent(self, rows: int) -> None:
        """Append rows that lack the column, a bounded number at a time."""
        for start in range(0, rows, _ABSENT_ROWS):
            self.append(nan_cells(min(_ABSENT_ROWS, rows - start)))
            if self.buffered > _BLOCK_BYTES:
                self.flush()

    def append(self, cells: Cells) -> None:
        """Append `cells`, and widen what was written before if they need it."""
        name = self._layout.name
        cells = self._with_same_row(cells)
        if not self._rows:
            # An empty block says nothing about the values to come.
            if cells.length or self.form.kind == "nothing":
                self.form = cells.form
        elif cells.length:
            self._widen(unify(name, self.form, cells.form))
            cells = convert(name, cells, self.form)
        if cells.length:
            self._rows += cells.length
            self._buffer.append(cells)
            self.buffered += cells.nbytes

    def _with_same_row(self, cells: Cells) -> Cells:
        """Return `cells` as they are if they have no row kept once but the one that is written."""
        if not cells.form.once:
            return cells
        if self._only is None:
            self._only = cells.parts["data"]
        is_same = self._only.tobytes() == cells.parts["data"].tobytes()
        return cells if is_same else expanded(cells)

    def flush(self) -> None:
        """Write what is buffered."""
        if self._buffer:
            self._append_to_disk(_join(self._buffer))
            self._buffer = []
            self.buffered = 0

    def _widen(self, form: Form) -> None:
        if form == self.form:
            return
        name, old = self._layout.name, self.form
        self.form = form
        self._buffer = [convert(name, cells, form) for cells in self._buffer]
        if self._rows_on_disk and not (form.same_layout(old) and form.masked == old.masked):
            self._rewrite(old)

    def _rewrite(self, old: Form) -> None:
        """Write the column anew, in its wider form, and remove the old one."""
        self.was_rewritten = True
        old_nodes, rows = self._nodes, self._rows_on_disk
        self._nodes, self._rows_on_disk = {}, 0
        for part, node in old_nodes.items():
            self._written.withdraw(node)
            node._f_rename(f"psyflow__old_{part}")
        for cells in _read_blocks(old, old_nodes, rows):
            self._append_to_disk(convert(self._layout.name, cells, self.form))
        for node in old_nodes.values():
            node._f_remove()

    def _append_to_disk(self, cells: Cells) -> None:
        if cells.form.once and self._rows_on_disk:
            self._rows_on_disk += cells.length
            return
        for part, array in cells.parts.items():
            if part in ("ends", "shape_ends") and self._rows_on_disk:
                array = array + int(self._nodes[part][-1])
            self._append_part(part, storable(array))
        self._rows_on_disk += cells.length

    def _append_part(self, part: str, array: Array) -> None:
        # Rows without any number cannot be written, and need not be.
        if 0 in array.shape[1:]:
            return
        if part not in self._nodes:
            if array.ndim > _MAX_DIMENSIONS:
                raise unsupported(
                    self._layout.name, f"holds arrays of {array.ndim - 1} dimensions"
                )
            entry = self._layout.part_name(part)
            self._nodes[part] = create_array(self._file, self._group, entry, array)
        self._written.append(self._nodes[part], array)


def _join(buffer: list[Cells]) -> Cells:
    """Put cells of one form below each other."""
    if len(buffer) == 1:
        return buffer[0]
    form = buffer[0].form
    if form.once:
        return Cells(form, sum(cells.length for cells in buffer), buffer[0].parts)
    parts = {
        part: _join_part(part, [cells.parts[part] for cells in buffer]) for part in form.parts
    }
    return Cells(form, sum(cells.length for cells in buffer), parts)


def _join_part(part: str, arrays: list[Array]) -> Array:
    if part in ("ends", "shape_ends"):
        starts = np.cumsum([0, *(int(array[-1]) for array in arrays[:-1])])
        arrays = [array + start for array, start in zip(arrays, starts, strict=True)]
    return np.concatenate(arrays)


def _read_blocks(form: Form, nodes: dict[str, Any], rows: int) -> Iterator[Cells]:
    """Read a column from disk, so many rows at a time that they take a bounded memory."""
    total = sum(node.size_in_memory for node in nodes.values()) * (rows if form.once else 1)
    step = max(1, rows * _BLOCK_BYTES // max(1, total))
    for start in range(0, rows, step):
        yield read_cells(form, nodes, start, min(start + step, rows))
