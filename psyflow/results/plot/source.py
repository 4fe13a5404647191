"""The values of one output with what they belong to: a row for each, also of those in arrays."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from psyflow.columns import Column
from psyflow.exceptions import UnknownColumnError, UsageError
from psyflow.results.plot.kinds import Floats, Ints, as_numbers, kind_of
from psyflow.results.plot.levels import Levels, levels_of
from psyflow.results.table import Results

__all__ = ["Source"]

_MOST_VALUES = 50_000_000


class Source:
    """The values of one column, a row for each, and the levels of all others there.

    A column of arrays brings axes of its own, which are levels like those of parameters.

    Parameters
    ----------
    results : Results
    name : str
        Of the column.

    Attributes
    ----------
    name : str
    dims : list of str
        Names of the axes of its arrays; none if it holds single values.
    notes : list of str
        What a reader of the plot has to know of them.

    Raises
    ------
    UsageError
        If its values cannot be drawn.

    Examples
    --------
    >>> source = Source(Results({"a": [1, 2], "y": np.array([[1.0, 2.0], [3.0, 4.0]])}), "y")
    >>> source.dims, source.values
    (['index of y'], array([1., 2., 3., 4.]))
    >>> source.levels("a").codes, source.levels("index of y").codes
    (array([0, 0, 1, 1]), array([0, 1, 0, 1]))
    """

    def __init__(self, results: Results, name: str) -> None:
        self.name = name
        self.notes: list[str] = []
        self._results = results
        self._column = results[name]
        self._levels: dict[str, Levels] = {}
        kind = kind_of(self._column)
        self._arrays = _arrays(self._column) if kind == "array" else None
        if self._arrays is None:
            _require_numbers(name, kind)
            self.dims: list[str] = []
        else:
            self.dims = self._names_of_axes(self._arrays)

    @functools.cached_property
    def values(self) -> Floats:
        """The values, in the order of the rows; NaN where one is absent."""
        if self._arrays is None:
            return as_numbers(self._column)
        if self._n_values > _MOST_VALUES:
            raise UsageError(
                f'"{self.name}" has {self._n_values:,} values, which are too many to be drawn. '
                "Choose rows of it: --where a=2."
            )
        parts = [array.reshape(-1) for array in self._arrays]
        return np.concatenate(parts) if parts else np.zeros(0)

    @property
    def results(self) -> Results:
        """The table that the column is of."""
        return self._results

    def levels(self, name: str) -> Levels:
        """Return the levels of a column or an axis, and which of them each value has.

        Raises
        ------
        UnknownColumnError
            If there is no such column or axis.
        """
        if self._arrays is None:
            return self.levels_in_table(name)
        if name not in self.dims:
            return self.levels_in_table(name).at(self._rows)
        return self._along(self.dims.index(name))

    def levels_in_table(self, name: str) -> Levels:
        """Return the levels of a column, and which of them each row of the table has."""
        if name not in self._levels:
            if name not in self._results:
                raise UnknownColumnError(name, [*self.dims, *self._results])
            self._levels[name] = levels_of(name, self._results[name])
        return self._levels[name]

    def n_levels(self, name: str) -> int:
        """Return the number of levels of a column or an axis."""
        if name not in self.dims:
            return len(self.levels_in_table(name))
        lengths = [array.shape[self.dims.index(name)] for array in self._arrays or ()]
        return max(lengths, default=0)

    @property
    def is_each_row_its_own(self) -> bool:
        """Whether the places along an axis differ from row to row."""
        return any(self._places_by_row(name) is not None for name in self.dims)

    # -- axes of arrays ---------------------------------------------------------------------------

    @functools.cached_property
    def _sizes(self) -> Ints:
        return np.array([array.size for array in self._arrays or ()], dtype=np.int64)

    @property
    def _n_values(self) -> int:
        return int(self._sizes.sum())

    @functools.cached_property
    def _rows(self) -> Ints:
        return np.repeat(np.arange(len(self._sizes), dtype=np.int64), self._sizes)

    def _names_of_axes(self, arrays: list[Floats]) -> list[str]:
        n_axes = {array.ndim for array in arrays if array.size}
        if len(n_axes) > 1:
            raise UsageError(
                f'"{self.name}" has arrays with {" and ".join(map(str, sorted(n_axes)))} axes, '
                "which cannot be drawn together. Choose rows of one kind with --where."
            )
        n = n_axes.pop() if n_axes else 1
        if len({array.shape for array in arrays}) > 1:
            self.notes.append(f"arrays of {self.name} differ in length")
        named = self._results.dims.get(self.name, ())
        said = [named] if isinstance(named, str) else list(named)
        if len(said) == n and len(set(said)) == n:
            return said
        if said:
            self.notes.append(f"dims of {self.name} name {len(said)} axes, but it has {n}")
        numbered = [f"index {axis} of {self.name}" for axis in range(n)]
        return numbered if n > 1 else [f"index of {self.name}"]

    def _along(self, axis: int) -> Levels:
        """Return the levels along one axis of the arrays."""
        name, arrays = self.dims[axis], self._arrays or []
        by_row = self._places_by_row(name)
        if by_row is not None:
            spread = [_spread(p, a, axis) for p, a in zip(by_row, arrays, strict=True)]
            return levels_of(name, np.concatenate(spread) if spread else np.zeros(0))
        common = levels_of(name, self._common_places(name))
        shapes = {array.shape for array in arrays}
        codes = {shape: _spread(common.codes, np.empty(shape), axis) for shape in shapes}
        parts = [codes[array.shape] for array in arrays]
        along = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
        return Levels(name, common.kind, common.places, common.values, along)

    def _common_places(self, name: str) -> Column:
        """Return the places along an axis that is the same for all rows."""
        n = self.n_levels(name)
        said = self._results.coords.get(name)
        if said is not None and not isinstance(said, str):
            places: Column = said if isinstance(said, np.ndarray) else list(said)
            if len(places) == n:
                return places
            self._note(f"coords of {name} are {len(places)}, but {self.name} has {n} there")
        column = self._column_of_places(name)
        if column is not None:
            return max(_arrays(column), key=len, default=np.zeros(0))
        return np.arange(n)

    def _places_by_row(self, name: str) -> list[Floats] | None:
        """Return the places along an axis row by row; None if they are the same for all."""
        column = self._column_of_places(name)
        if column is None:
            return None
        arrays = _arrays(column)
        full = max(arrays, key=len, default=np.zeros(0))
        is_same = all(np.array_equal(array, full[: len(array)]) for array in arrays)
        return None if is_same else arrays

    def _column_of_places(self, name: str) -> Column | None:
        """Return the column that has the places along an axis, if one has and they fit."""
        said = self._results.coords.get(name)
        source = said if isinstance(said, str) else name if said is None else None
        if source is None or source == self.name or source not in self._results:
            return None
        column = self._results[source]
        if kind_of(column) != "array":
            return None
        axis = self.dims.index(name)
        places = _arrays(column)
        fits = all(
            place.shape == (array.shape[axis],)
            for place, array in zip(places, self._arrays or (), strict=True)
            if array.size
        )
        if not fits:
            self._note(f"{source} does not fit the axis {name} of {self.name}")
        return column if fits else None

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _arrays(column: Column) -> list[Floats]:
    """Return the arrays of a column; where one is absent, one of no length."""
    if isinstance(column, np.ndarray) and column.dtype.kind != "O":
        return list(column.astype(np.float64))
    return [_array(value) for value in column]


def _array(value: Any) -> Floats:
    array = np.zeros(0) if value is None else np.asarray(value, dtype=np.float64)
    return np.zeros(0) if array.ndim == 0 else array


def _spread(places: Any, array: Floats, axis: int) -> Any:
    """Return a place for each value of an array, by its position along one axis."""
    if not array.size:
        return places[:0]
    shape = [1] * array.ndim
    shape[axis] = array.shape[axis]
    along = np.asarray(places)[: array.shape[axis]].reshape(shape)
    return np.broadcast_to(along, array.shape).reshape(-1)


def _require_numbers(name: str, kind: str) -> None:
    if kind in ("number", "bool"):
        return
    out = {
        "complex": f"Return a part of it from execute, such as abs({name}).",
        "date": "Return a number of days or seconds from execute.",
        "text": f"Give it another role (hue={name}), or count its values: x={name} --kind hist.",
        "nothing": "All its values are absent.",
    }.get(kind, "Only numbers and arrays of numbers can be drawn.")
    article = {"nothing": "nothing", "other": "of a kind that no axis has"}.get(kind, kind)
    raise UsageError(f'"{name}" cannot be drawn along an axis: it is {article}. {out}')
