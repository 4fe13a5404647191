"""What is to be drawn, worked out: a table of marks, and the levels that its axes go by."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.results.plot.choose import Design
from psyflow.results.plot.kinds import Floats, Ints
from psyflow.results.plot.levels import Levels

__all__ = ["CODED", "Chosen", "Marks", "Picture", "grouped", "scale_of_values"]

CODED = ("row", "col", "hue", "style")
"""The roles that marks have as codes of levels."""

Marks = Mapping[str, npt.NDArray[Any]]
_MOST_LEVELS = 2000


@dataclass(frozen=True)
class Picture:
    """What is to be drawn.

    Parameters
    ----------
    design : Design
    levels : mapping from str to Levels
        By role: of `x`, `vertical`, `hue`, … as far as they are there.
    marks : mapping from str to ndarray
        A table with a row for each mark, and the codes of `CODED` in each: −1 without such a role.
    outliers : mapping from str to ndarray
        The same of single values beside the marks, as in a box plot.
    x_scale, y_scale : str
        ``"linear"``, ``"log"``, or ``"symlog"`` where 0 has a place too.
    sizes : tuple of int
        How many values a mark stands for, at least and at most.
    notes : sequence of str
        What a reader has to know of values that are not seen.
    """

    design: Design
    levels: Mapping[str, Levels]
    marks: Marks
    outliers: Marks = field(default_factory=dict)
    x_scale: str = "linear"
    y_scale: str = "linear"
    sizes: tuple[int, int] = (0, 0)
    notes: Sequence[str] = ()

    @property
    def n_marks(self) -> int:
        """How many marks there are."""
        return len(self.marks["row"])

    def panels(self) -> Iterator[tuple[int, int]]:
        """Yield the row and the column of each panel, −1 where there is one only."""
        for row in self._codes("row"):
            for col in self._codes("col"):
                yield row, col

    def series(self, row: int, col: int) -> Iterator[tuple[int, int, Marks]]:
        """Yield the marks of each series of a panel, with the codes of its hue and style."""
        panel = _those(self.marks, row=row, col=col)
        for hue in np.unique(panel["hue"]).tolist():
            of_hue = _those(panel, hue=hue)
            for style in np.unique(of_hue["style"]).tolist():
                yield hue, style, _those(of_hue, style=style)

    def outliers_of(self, row: int, col: int, hue: int, style: int) -> Marks:
        """Return the single values beside the marks of a series."""
        return _those(self.outliers, row=row, col=col, hue=hue, style=style)

    def _codes(self, role: str) -> list[int]:
        return list(range(len(self.levels[role]))) if role in self.levels else [-1]


def _those(marks: Marks, **codes: int) -> Marks:
    if not marks:
        return marks
    is_one = np.logical_and.reduce([marks[role] == code for role, code in codes.items()])
    return {name: column[is_one] for name, column in marks.items()}


class Chosen:
    """The values of a design that can be drawn, and what they belong to.

    Parameters
    ----------
    design : Design

    Attributes
    ----------
    levels : dict from str to Levels
        By role; `codes` of these are of all values, also of those that cannot be drawn.
    rows : ndarray of int
        The values that have a place.
    values : ndarray of float
        Of these; NaN where one is absent.
    notes : list of str
        What a reader has to know of the others.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        names = {role: getattr(design, role) for role in ("x", "vertical", *CODED)}
        self.levels = {
            role: design.source.levels(name) for role, name in names.items() if name is not None
        }
        self.notes = list(design.notes)
        values = design.source.values
        is_there = np.ones(len(values), dtype=np.bool_)
        for levels in self.levels.values():
            lacks = levels.codes < 0
            if lacks.any():
                self.notes.append(f"{lacks.sum():,} values have no {levels.name}")
                is_there &= ~lacks
        self.rows: Ints = np.flatnonzero(is_there)
        self.values: Floats = values[self.rows]
        self._note_absent()

    def codes(self, role: str) -> Ints:
        """Return which level of a role each value has; −1 if there is no such role."""
        if role not in self.levels:
            return np.full(len(self.rows), -1, dtype=np.int64)
        return self.levels[role].codes[self.rows]

    def coded(self, rows: Ints | slice = slice(None)) -> dict[str, Ints]:
        """Return the codes of `CODED` of some of the values."""
        return {role: self.codes(role)[rows] for role in CODED}

    def in_bins(self, role: str, n_bins: int) -> None:
        """Have so many levels at most along an axis, each for what lies next to it."""
        levels = self.levels.get(role)
        if levels is None or len(levels) <= _MOST_LEVELS or not levels.is_ordered:
            return
        edges = np.linspace(levels.places[0], levels.places[-1], n_bins + 1)
        of_level = np.clip(np.searchsorted(edges, levels.places, "right") - 1, 0, n_bins - 1)
        middles = (edges[:-1] + edges[1:]) / 2
        codes = np.where(levels.codes < 0, -1, of_level[levels.codes])
        self.levels[role] = Levels(levels.name, levels.kind, middles, middles.tolist(), codes)
        self.notes.append(f"{levels.name} in {n_bins} bins")

    def scale(self, role: str, letter: str) -> str:
        """Return the scale of an axis that has levels."""
        levels = self.levels.get(role)
        if levels is None or levels.kind != "number":
            return "linear"
        if self.design.log == "auto":
            is_output = levels.name in self.design.results.outputs
            return "linear" if is_output else levels.scale
        return scale_of_values(levels.places, letter in self.design.log)

    def _note_absent(self) -> None:
        name, n = self.design.value, len(self.values)
        absent, infinite = np.isnan(self.values).sum(), np.isinf(self.values).sum()
        if absent:
            self.notes.append(f"{absent:,} of {n:,} values of {name} are absent (NaN)")
        if infinite:
            self.notes.append(
                f"{infinite:,} of {n:,} values of {name} are infinite, and not drawn"
            )


def scale_of_values(values: Floats, is_log: bool) -> str:
    """Return the scale of an axis for some values, logarithmic as far as they can be.

    Examples
    --------
    >>> scale_of_values(np.array([1.0, 2.0]), True), scale_of_values(np.array([0.0, 2.0]), True)
    ('log', 'symlog')
    """
    finite = values[np.isfinite(values)]
    if not is_log or not len(finite):
        return "linear"
    return "log" if finite.min() > 0 else "symlog"


def grouped(codes: Sequence[Ints], sizes: Sequence[int]) -> tuple[Ints, Ints]:
    """Return for each combination of codes a row that has it, and for each row its combination.

    Parameters
    ----------
    codes : sequence of ndarray of int, shape (n_rows,)
        At least −1.
    sizes : sequence of int
        How many codes there are of each.

    Examples
    --------
    >>> grouped([np.array([0, 1, 0]), np.array([2, 2, 2])], [2, 3])
    (array([0, 1]), array([0, 1, 0]))
    """
    whole = functools.reduce(
        lambda so_far, pair: so_far * (pair[1] + 1) + pair[0] + 1,
        zip(codes, sizes, strict=True),
        np.zeros(len(codes[0]), dtype=np.int64),
    )
    _, first, of_row = np.unique(whole, return_index=True, return_inverse=True)
    return first.astype(np.int64), of_row.reshape(-1).astype(np.int64)
