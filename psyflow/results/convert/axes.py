"""Where the rows of a table are on the axes of its parameter space: exactly, not guessed."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, Columns, table_length, take
from psyflow.exceptions import UnstableValueError, UsageError
from psyflow.pspace import ParameterSpace
from psyflow.pspace.factors import factors, is_sum, is_whole, numbers_in_factors, shared_names
from psyflow.pspace.keys import Keys, column_keys, first_positions, match
from psyflow.results.grouping import grouped, numbered

__all__ = ["Axis", "Grid", "Places", "SparseError", "free_name", "grid_of", "items_of", "listed"]

Rows = npt.NDArray[np.int64]

_ITEM = "item"
_SPARSEST = 10
_LOOKED_AT = 256
_MOST_JOINED = 3


class SparseError(UsageError):
    """Far more cells than psets."""


@dataclass(frozen=True)
class Places:
    """Which items of the run's space the rows of a table are.

    Attributes
    ----------
    items : ndarray of int64 or None
        The item of each row; None if only its values can tell.
    is_part : bool
        Whether rows were chosen: then what has no row is of no interest.
    """

    items: Rows | None = None
    is_part: bool = False

    def at(self, rows: Rows, n_rows: int) -> Places:
        """Return the places of some of `n_rows` rows."""
        items = None if self.items is None else self.items[rows]
        return Places(items, self.is_part or len(rows) < n_rows)


@dataclass(frozen=True)
class Axis:
    """A dimension.

    Attributes
    ----------
    name : str
    size : int
    coords : mapping from str to column
        What there is at each place along it, by the names of parameters.
    """

    name: str
    size: int
    coords: Mapping[str, Column]

    def at(self, places: Rows) -> Axis:
        """Return the axis with some of its places only."""
        coords = {name: take(column, places) for name, column in self.coords.items()}
        return Axis(self.name, len(places), coords)


@dataclass(frozen=True)
class Grid:
    """Cells along some axes, and which rows of a table are in which.

    Attributes
    ----------
    axes : sequence of Axis
        The last one varies fastest.
    cells : ndarray of int64, shape (n_rows,), or None
        The number of the cell of each row; None if each cell has one, in this order.
    shared : mapping from str to column
        The parameters that are the same everywhere: columns of one value.
    """

    axes: Sequence[Axis]
    cells: Rows | None = None
    shared: Mapping[str, Column] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many places each axis has."""
        return tuple(axis.size for axis in self.axes)

    @property
    def size(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)


def grid_of(
    table: Columns, parameters: Sequence[str], space: ParameterSpace | None, places: Places
) -> Grid:
    """Return the axes of a table.

    Parameters
    ----------
    table : mapping from str to column
    parameters : sequence of str
        Which of its columns are parameters.
    space : ParameterSpace, optional
        That of the run that the table is of.
    places : Places
        Of the rows in that space.

    Returns
    -------
    Grid
        Of the factors of the space. Without a space, or if the rows are not of it, the distinct
        values of each parameter if the table has one row for each combination of these; else one
        axis, ``item``.

    Raises
    ------
    SparseError
        If there are more than ten times as many cells as psets.

    Examples
    --------
    >>> grid = grid_of({"a": [2, 1], "b": [5, 5]}, ["a", "b"], None, Places())
    >>> [(axis.name, axis.coords) for axis in grid.axes]
    [('a', {'a': [2, 1]}), ('b', {'b': [5]})]
    """
    try:
        found = None if space is None else _in_space(table, parameters, space, places)
        found = _of_values(table, parameters) if found is None else found
    except UnstableValueError:
        found = None  # Nothing tells whether such values are the same.
    return listed(table, parameters, places) if found is None else found


def items_of(
    table: Columns, parameters: Sequence[str], space: ParameterSpace, places: Places
) -> Rows | None:
    """Return which items of a space the rows are; None if they are not psets of it."""
    if places.items is not None and _are_items(table, parameters, space, places.items):
        return places.items
    if set(parameters) != set(space.keys()):
        return None
    told = column_keys({name: table[name] for name in parameters}, table_length(table))
    items = match(told, space.pset_keys())
    return None if (items < 0).any() else items


def listed(table: Columns, parameters: Sequence[str], places: Places) -> Grid:
    """Return the one axis ``item``, along which all rows are."""
    n_rows = table_length(table)
    numbers = np.arange(n_rows) if places.items is None else places.items
    name = free_name(_ITEM, table)
    return Grid([Axis(name, n_rows, {name: numbers} | {n: table[n] for n in parameters})])


# -- by the space of the run ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Factor:
    """A factor of the space, as far as it is an axis.

    Attributes
    ----------
    space : ParameterSpace
    names : list of str
        Those that count.
    places : ndarray of int64
        Which of its psets are places along the axis.
    numbers : ndarray of int64, shape (n_rows,)
        At which of these places each row is.
    """

    space: ParameterSpace
    names: list[str]
    places: Rows
    numbers: Rows

    def with_rows_only(self) -> _Factor:
        """Return the factor without the places that no row has."""
        used, numbers = np.unique(self.numbers, return_inverse=True)
        return _Factor(self.space, self.names, self.places[used], numbers.reshape(-1))


def _in_space(
    table: Columns, parameters: Sequence[str], space: ParameterSpace, places: Places
) -> Grid | None:
    """Return the axes that a space has; None if the rows are not of it."""
    items = places.items
    if items is not None and _are_items(table, parameters, space, items):
        if is_whole(space) and np.array_equal(items, np.arange(len(space))):
            return _grid(_by_items(space, items[:0]), None, table)
        found: list[_Factor] | None = _by_items(space, items)
        n_there = len(space)
    else:
        found, n_there = _by_values(table, parameters, space), table_length(table)
    if found is None:
        return None
    if places.is_part:
        found, n_there = [factor.with_rows_only() for factor in found], table_length(table)
    shape = [len(factor.places) for factor in found]
    if not (is_whole(space) and not places.is_part):
        _check_density(found, n_there)
    cells = _cells(shape, [factor.numbers for factor in found], table_length(table))
    return None if cells is None else _grid(found, cells, table)


def _by_items(space: ParameterSpace, items: Rows) -> list[_Factor]:
    pairs = zip(factors(space), numbers_in_factors(space, items), strict=True)
    return [_Factor(f, f.keys(), np.arange(len(f)), numbers) for f, numbers in pairs]


def _by_values(
    table: Columns, parameters: Sequence[str], space: ParameterSpace
) -> list[_Factor] | None:
    """Return the factors that a table has parameters of; None if it has values of none."""
    found = []
    if not set(parameters) <= set(space.keys()):
        return None
    for factor in factors(space):
        known = factor.keys()
        names = [name for name in known if name in parameters]
        if names:
            keys = factor.key_take(np.arange(len(factor)), names)
            is_narrowed = len(names) < len(known)
            places = first_positions(keys) if is_narrowed else np.arange(len(factor))
            first, group = grouped(table, names)
            told = column_keys({name: take(table[name], first) for name in names}, len(first))
            place = _places_in(keys[places], told)
            if (place < 0).any():
                return None
            found.append(_Factor(factor, names, places, place[group]))
    return found


def _are_items(
    table: Columns, parameters: Sequence[str], space: ParameterSpace, items: Rows
) -> bool:
    """Tell whether some rows, which may have been changed, still have the values of items."""
    known = space.keys()
    names = [name for name in parameters if name in known]
    if len(items) != table_length(table) or len(names) < len(parameters):
        return False
    rows = np.unique(np.linspace(0, max(len(items) - 1, 0), _LOOKED_AT).astype(np.int64))
    rows = rows[: len(items)]
    if not names:
        return True
    told = column_keys({name: take(table[name], rows) for name in names}, len(rows))
    return bool((told == space.key_take(items[rows], names)).all())


def _check_density(found: Sequence[_Factor], n_there: int) -> None:
    n_cells = math.prod(len(factor.places) for factor in found)
    if n_cells > _SPARSEST * max(n_there, 1):
        told = " × ".join(f"{len(f.places)} ({', '.join(f.names)})" for f in found)
        raise SparseError(
            f"The product of the parameters has {n_cells} cells, {told}, and there are {n_there} "
            "psets in it: most of that would be empty. Type to_xarray(dense=False), which has one "
            "dimension `item`, or choose rows first: where(…)."
        )


def _grid(found: Sequence[_Factor], cells: Rows | None, table: Columns) -> Grid:
    axes: list[Axis] = []
    shared: dict[str, Column] = {}
    for factor in found:
        columns = factor.space.take(factor.places)
        fixed = [n for n in shared_names(factor.space) if n in factor.names and factor.places.size]
        shared |= {name: columns[name][:1] for name in fixed}
        varied = {name: columns[name] for name in factor.names if name not in fixed}
        if is_sum(factor.space):
            name = free_name(_ITEM, [*table, *(axis.name for axis in axes)])
            axes.append(Axis(name, len(factor.places), {name: factor.places} | varied))
        elif varied:
            axes.append(Axis(_joined_name(varied, table), len(factor.places), varied))
    return Grid(axes, cells, shared)


def _joined_name(names: Mapping[str, Column], table: Columns) -> str:
    """Return what an axis is called along which there are some parameters."""
    first, *others = names
    if not others:
        return first
    if len(names) > _MOST_JOINED:
        return free_name(f"{first}_and_{len(others)}_more", table)
    return free_name("_".join(names), table)


# -- by values alone ------------------------------------------------------------------------------


def _of_values(table: Columns, parameters: Sequence[str]) -> Grid | None:
    """Return an axis for each parameter, if there is one row for each combination of values."""
    axes, numbers = [], []
    n_rows = table_length(table)
    if not parameters or not n_rows:
        return None
    for name in parameters:
        first, number = numbered(table[name])
        axes.append(Axis(name, len(first), {name: take(table[name], first)}))
        numbers.append(number)
        if n_rows % math.prod(axis.size for axis in axes):
            return None
    shape = [axis.size for axis in axes]
    cells = _cells(shape, numbers, n_rows) if math.prod(shape) == n_rows else None
    return None if cells is None else Grid(axes, cells)


def _cells(shape: Sequence[int], numbers: Sequence[Rows], n_rows: int) -> Rows | None:
    """Return the cell of each row; None if two rows are in one."""
    cells = np.zeros(n_rows, dtype=np.int64)
    for size, places in zip(shape, numbers, strict=True):
        cells = cells * size + places
    is_used = np.zeros(math.prod(shape), dtype=bool)
    is_used[cells] = True
    return cells if np.count_nonzero(is_used) == n_rows else None


def _places_in(keys: Keys, wanted: Keys) -> Rows:
    """Return where in `keys` each of the wanted ones is first; −1 where it is not."""
    whole = np.ascontiguousarray(np.concatenate([keys, wanted]))
    merged = whole.view([("low", np.uint64), ("high", np.uint64)]).reshape(-1)
    _, first, codes = np.unique(merged, return_index=True, return_inverse=True)
    found = first[codes.reshape(-1)[len(keys) :]]
    return np.where(found < len(keys), found, -1)


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a name, with as many underscores at its end as make it differ from all others.

    Examples
    --------
    >>> free_name("item", ["a", "item"])
    'item_'
    """
    while name in taken:
        name += "_"
    return name
