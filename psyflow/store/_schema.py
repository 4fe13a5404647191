"""The description of a table that NPZ and HDF5 files carry as JSON.

It keeps the real names of the columns, their order and their forms. It is JSON in an array of
bytes, because neither NumPy nor PyTables would ever take that for a pickle and execute it.
"""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from psyflow.exceptions import StoreError
from psyflow.store._forms import EITHER, FAMILIES, LIST, TEXT_LEAF, TUPLE, Array, Form

__all__ = ["ColumnLayout", "Layout", "is_plain_name"]

FORMAT = "psyflow table"
VERSION = 3
# Tables without lists, or arrays that are kept once, can be read by a psyflow that knows of none.
_VERSION_WITHOUT_LISTS = 1
_VERSION_WITHOUT_ONCE = 2
_KINDS = ("array", "ragged", "text", "bytes", "nothing", "lists")
_LEAF_KINDS = "biufc"
_LEAF_TYPES = ("bool", "int", "float", "complex", TEXT_LEAF)
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")


def is_plain_name(name: str) -> bool:
    """Tell whether `name` can name an entry of any file format, as it is.

    Examples
    --------
    >>> [is_plain_name(name) for name in ["a_frac", "b.x", "_v_x", "", "for"]]
    [True, False, False, False, False]
    """
    if name.startswith("psyflow__") or keyword.iskeyword(name):
        return False
    return bool(_PLAIN_NAME.fullmatch(name))


@dataclass(frozen=True)
class ColumnLayout:
    """Where a column is in a file.

    Attributes
    ----------
    name : str
        The column's real name.
    form : Form
    entry : str
        The name of its part ``data``.
    number : int
        Its position in the table.
    """

    name: str
    form: Form
    entry: str
    number: int

    @classmethod
    def at(cls, number: int, name: str, form: Form) -> ColumnLayout:
        """Return the layout of column `number`, with an entry name that any format allows."""
        entry = name if is_plain_name(name) else f"psyflow__{number}_data"
        return cls(name, form, entry, number)

    def part_name(self, part: str) -> str:
        """Return the entry that holds `part`."""
        return self.entry if part == "data" else f"psyflow__{self.number}_{part}"

    def as_dict(self) -> dict[str, Any]:
        """Return what the JSON says of the column."""
        form = self.form
        return {
            "name": self.name,
            "entry": self.entry,
            "kind": form.kind,
            "dtype": form.dtype,
            "shape": list(form.shape),
            "masked": form.masked,
            "python": form.python,
            **({"levels": form.levels, "types": list(form.types)} if form.levels else {}),
            **({"once": True} if form.once else {}),
        }


@dataclass(frozen=True)
class Layout:
    """The table in a file: its number of rows and its columns."""

    rows: int
    columns: tuple[ColumnLayout, ...]

    @classmethod
    def of(cls, rows: int, forms: Iterable[tuple[str, Form]]) -> Layout:
        """Return the layout of a table with these columns, choosing names for the entries."""
        return cls(rows, tuple(ColumnLayout.at(i, *column) for i, column in enumerate(forms)))

    def to_array(self) -> Array:
        """Return the JSON as an array of bytes."""
        content = {"format": FORMAT, "version": self._version, "rows": self.rows}
        text = json.dumps(content | {"columns": [column.as_dict() for column in self.columns]})
        return np.frombuffer(text.encode("ascii"), np.uint8)

    @property
    def _version(self) -> int:
        if any(column.form.once for column in self.columns):
            return VERSION
        has_lists = any(column.form.levels for column in self.columns)
        return _VERSION_WITHOUT_ONCE if has_lists else _VERSION_WITHOUT_LISTS

    @classmethod
    def from_array(cls, array: Array) -> Layout:
        """Return the layout that `to_array` described.

        Raises
        ------
        ValueError, KeyError, TypeError
            If `array` is something else.
        """
        content = json.loads(array.astype(np.uint8, casting="no").tobytes())
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}")
        if content["version"] > VERSION:
            raise StoreError("It was written by a newer psyflow. Upgrade: pip install -U psyflow")
        columns = (_column_layout(i, column) for i, column in enumerate(content["columns"]))
        return cls(_natural(content["rows"]), tuple(columns))


def _natural(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is not a count")
    return value


def _column_layout(number: int, column: dict[str, Any]) -> ColumnLayout:
    if column["kind"] not in _KINDS:
        raise ValueError(f"unknown kind of column {column['kind']!r}")
    if column["dtype"] and np.dtype(column["dtype"]).kind not in FAMILIES:
        raise ValueError(f"unknown dtype {column['dtype']!r}")
    shape = tuple(_natural(n) for n in column["shape"])
    form = Form(
        column["kind"],
        column["dtype"],
        shape,
        bool(column["masked"]),
        bool(column["python"]),
        levels=str(column.get("levels", "")),
        types=tuple(column.get("types", ())),
        once=bool(column.get("once", False)),
    )
    _check_lists(form)
    if form.once and (form.kind != "array" or form.levels or form.masked or not shape):
        raise ValueError(f"one row for all in a column of kind {form.kind}")
    return ColumnLayout(str(column["name"]), form, str(column["entry"]), number)


def _check_lists(form: Form) -> None:
    """Raise ValueError if what `form` says of lists cannot be."""
    is_array = form.kind == "array"
    if bool(form.levels) != (form.kind == "lists" or (is_array and bool(form.types))):
        raise ValueError(f"levels {form.levels!r} in a column of kind {form.kind}")
    letters = {LIST, TUPLE} if is_array else {EITHER}
    if not letters.issuperset(form.levels):
        raise ValueError(f"unknown levels {form.levels!r}")
    if form.levels and is_array and len(form.levels) != len(form.shape):
        raise ValueError(f"{len(form.levels)} levels of the shape {form.shape}")
    for name in form.types:
        if name not in _LEAF_TYPES and np.dtype(name).kind not in _LEAF_KINDS:
            raise ValueError(f"unknown type {name!r}")
