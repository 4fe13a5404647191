"""Reading tables in HDF5, any rows of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from psyflow.columns import Column
from psyflow.store._decode import check_consistent, decode
from psyflow.store._forms import Array, Cells, Form, empty_cells
from psyflow.store._h5file import read_array
from psyflow.store._schema import ColumnLayout, Layout

__all__ = ["LAYOUT_NODE", "PsyrunTable", "Table", "find_table", "read_cells"]

LAYOUT_NODE = "psyflow__table"


class Table:
    """A table that psyflow wrote.

    Attributes
    ----------
    rows : int
        The number of rows.
    names : list of str
        Of the columns.
    """

    def __init__(self, group: Any) -> None:
        self._group = group
        self._layout = Layout.from_array(group._f_get_child(LAYOUT_NODE).read())
        self.rows = self._layout.rows
        self.names = [column.name for column in self._layout.columns]

    def read(
        self, start: int, stop: int, ragged: bool, wanted: Collection[str] | None = None
    ) -> dict[str, Column]:
        """Return the rows from `start` to `stop`, of some columns or all."""
        return {
            column.name: decode(self._read_column(column, start, stop), ragged)
            for column in self._layout.columns
            if wanted is None or column.name in wanted
        }

    def _read_column(self, column: ColumnLayout, start: int, stop: int) -> Cells:
        if not self.rows:
            return empty_cells(column.form, np.zeros(0, np.uint8))
        nodes = {}
        for part in column.form.parts:
            # An array of rows without any number is not in the file.
            if part != "data" or column.form.kind != "array" or 0 not in column.form.shape:
                nodes[part] = self._group._f_get_child(column.part_name(part))
        return read_cells(column.form, nodes, start, stop)


class PsyrunTable:
    """A table that psyrun wrote: a group of arrays named as the columns.

    Attributes
    ----------
    rows : int
        The number of rows.
    names : list of str
        Of the columns.
    """

    def __init__(self, group: Any) -> None:
        self._nodes = dict(group._v_children.items())
        # psyrun makes no group for a table without columns, and asks for no checksums.
        if not self._nodes or any(node.filters.fletcher32 for node in self._nodes.values()):
            raise ValueError(f"the group {group._v_pathname} has lost {LAYOUT_NODE}")
        lengths = {int(node.shape[0]) for node in self._nodes.values()}
        if len(lengths) > 1:
            raise ValueError(f"columns of {sorted(lengths)} rows")
        self.rows = lengths.pop() if lengths else 0
        self.names = list(self._nodes)

    def read(
        self, start: int, stop: int, ragged: bool, wanted: Collection[str] | None = None
    ) -> dict[str, Column]:
        """Return the rows from `start` to `stop`, of some columns or all."""
        nodes = {n: node for n, node in self._nodes.items() if wanted is None or n in wanted}
        arrays = {name: read_array(node, None, start, stop) for name, node in nodes.items()}
        # There text has become bytes, and NumPy strips NULs when it takes those out of an array.
        return {name: a.tolist() if a.dtype.kind == "S" else a for name, a in arrays.items()}


def find_table(file: Any, nodes: Sequence[str]) -> Table | PsyrunTable:
    """Return the table in the first of the groups `nodes` that is in `file`."""
    for node in nodes:
        if node in file:
            group = file.get_node(node)
            return Table(group) if LAYOUT_NODE in group else PsyrunTable(group)
    raise ValueError(f"it has no group {' or '.join(nodes)}")


def read_cells(form: Form, nodes: Mapping[str, Any], start: int, stop: int) -> Cells:
    """Read the rows from `start` to `stop` of the column whose parts are in `nodes`."""
    parts: dict[str, Array] = {}
    rows = start, stop
    if form.kind == "array":
        parts["data"] = _read_data(form, nodes, start, stop)
    elif form.kind != "nothing":
        first, last, parts["ends"] = _read_ends(nodes["ends"], start, stop)
        parts["data"] = read_array(nodes["data"], form, first, last)
        rows = first, last
    if form.kind in ("ragged", "lists"):
        first, last, parts["shape_ends"] = _read_ends(nodes["shape_ends"], start, stop)
        parts["shapes"] = read_array(nodes["shapes"], None, first, last)
    if form.has_tags:
        parts["tags"] = read_array(nodes["tags"], None, *rows)
    if form.masked:
        parts["mask"] = read_array(nodes["mask"], None, start, stop)
    cells = Cells(form, stop - start, parts)
    check_consistent(cells)
    return cells


def _read_data(form: Form, nodes: Mapping[str, Any], start: int, stop: int) -> Array:
    if 0 in form.shape:
        return np.zeros((stop - start, *form.shape), form.dtype)
    if form.once:
        start, stop = 0, 1
    return read_array(nodes["data"], form, start, stop)


def _read_ends(node: Any, start: int, stop: int) -> tuple[int, int, Array]:
    """Return where the rows' data begin and end, and their ends counted from that beginning."""
    ends = read_array(node, None, max(start - 1, 0), stop)
    first = int(ends[0]) if start else 0
    ends = ends[1:] if start else ends
    return first, int(ends[-1]) if len(ends) else first, ends - first
