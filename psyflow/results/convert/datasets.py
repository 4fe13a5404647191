"""Labelled arrays: a table as a dataset of xarray, along the axes of its space and its outputs."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from psyflow.columns import Columns
from psyflow.exceptions import UsageError
from psyflow.results.convert.axes import Grid, free_name
from psyflow.results.convert.outputaxes import axis_names, places_along, source_of
from psyflow.results.convert.solid import Array, nothing_in, solid, with_room
from psyflow.results.extras import needed
from psyflow.results.meaning import Meaning

if TYPE_CHECKING:
    import xarray

__all__ = ["dataset"]

Variables = dict[str, tuple[tuple[str, ...], Array]]


def dataset(
    table: Columns, outputs: Sequence[str], grid: Grid, meaning: Meaning, about: Mapping[str, Any]
) -> xarray.Dataset:
    """Return a dataset of xarray.

    Parameters
    ----------
    table : mapping from str to column
    outputs : sequence of str
        The columns that become variables.
    grid : Grid
        Where the rows are.
    meaning : Meaning
        What there is to be said of the outputs.
    about : mapping from str to object
        Attributes of the dataset; what is None is left out.

    Raises
    ------
    UsageError
        If xarray is not installed, or axes of outputs contradict each other.

    Examples
    --------
    >>> from psyflow.results.convert.axes import Axis
    >>> table = {"a": [1, 2], "y": [0.5, 1.5]}
    >>> grid = Grid([Axis("a", 2, {"a": [1, 2]})])
    >>> float(dataset(table, ["y"], grid, Meaning(), {})["y"].sel(a=2))
    1.5
    """
    made: xarray.Dataset = needed("xarray").Dataset(
        attrs={k: v for k, v in about.items() if v is not None}
    )
    coords, dims = _of_axes(grid, meaning)
    arrays = {name: solid(table[name]) for name in outputs}
    inner = {name: axis_names(name, a.ndim - 1, meaning) for name, a in arrays.items()}
    places = _places(_sizes(arrays, inner), table, meaning)
    taken = {*table, *coords, *dims}
    names: dict[str, str] = {}
    for dim in dict.fromkeys(dim for axes in inner.values() for dim in axes):
        is_own = dim in places and dim in arrays
        names[dim] = dim if is_own else free_name(dim, {*taken, *names.values()})
    variables: Variables = {
        name: ((*dims, *(names[dim] for dim in inner[name])), _spread(array, grid))
        for name, array in arrays.items()
        if not (name in places and names.get(name) == name)
    }
    coords |= {names[dim]: ((names[dim],), values) for dim, values in places.items()}
    coords[free_name("done", {*taken, *names.values()})] = dims, _is_done(grid)
    made = made.assign(variables).assign_coords(coords)
    sources = {source_of(dim, table, meaning) for dim in names if dim not in places}
    made = made.set_coords([name for name in sources if name in variables])
    for name in _to_index(coords, dims):
        made = made.set_xindex(name)
    _describe(made, {own: dim for dim, own in names.items()}, meaning)
    return made


def _of_axes(grid: Grid, meaning: Meaning) -> tuple[Variables, tuple[str, ...]]:
    """Return the parameters as coordinates, and the names of the dimensions."""
    coords: Variables = {}
    dims: list[str] = []
    for axis in grid.axes:
        columns = {name: solid(column) for name, column in axis.coords.items()}
        own = columns.get(axis.name)
        is_plain = own is None or (own.ndim == 1 and _are_hashable(own))
        # Places along an axis that are arrays themselves cannot be looked up.
        dims.append(axis.name if is_plain else free_name(f"{axis.name}_number", columns))
        for name, array in columns.items():
            coords[name] = (dims[-1], *axis_names(name, array.ndim - 1, meaning)), array
    for name, column in grid.shared.items():
        array = solid(column)
        coords[name] = axis_names(name, array.ndim - 1, meaning), array.reshape(array.shape[1:])
    return coords, tuple(dims)


def _are_hashable(values: Array) -> bool:
    return values.dtype.kind != "O" or all(isinstance(value, Hashable) for value in values)


def _to_index(coords: Variables, dims: Collection[str]) -> list[str]:
    """Return the parameters of which several are along one axis, and which tell its places."""
    return [
        name
        for name, (axes, array) in coords.items()
        if len(axes) == 1
        and name not in dims
        and axes[0] in dims
        and axes[0] not in coords
        and _are_hashable(array)
        and len(set(array.tolist())) == len(array)
    ]


def _sizes(
    arrays: Mapping[str, Array], inner: Mapping[str, Sequence[str]]
) -> dict[str, tuple[int, str]]:
    """Return how long each axis of the outputs is, and which output has it."""
    sizes: dict[str, tuple[int, str]] = {}
    for name, axes in inner.items():
        for dim, size in zip(axes, arrays[name].shape[1:], strict=True):
            other, owner = sizes.setdefault(dim, (size, name))
            if other != size:
                raise UsageError(
                    f"`{owner}` and `{name}` are both along `{dim}`, but are {other} and {size} "
                    "long. Give their axes different names in `dims` of the task file."
                )
    return sizes


def _places(
    sizes: Mapping[str, tuple[int, str]], table: Columns, meaning: Meaning
) -> dict[str, Array]:
    """Return the places along the axes of outputs, where they are the same in all rows."""
    found: dict[str, Array | None] = {}
    for dim, (size, owner) in sizes.items():
        source = source_of(dim, table, meaning)
        if source is None:
            found[dim] = places_along(dim, size, meaning)
            continue
        array = solid(table[source])
        if array.shape[1:] != (size,):
            raise UsageError(
                f"`coords` says that `{source}` has the places along `{dim}`, of which `{owner}` "
                f"has {size}, but its values have other shapes."
            )
        found[dim] = array[0] if len(array) and _is_repeated(array) else None
    return {dim: values for dim, values in found.items() if values is not None}


def _is_repeated(array: Array) -> bool:
    is_same = array == array[:1]
    if array.dtype.kind in "fcmM":
        is_same |= np.isnan(array) & np.isnan(array[:1])
    return bool(is_same.all())


def _is_done(grid: Grid) -> Array:
    is_done = np.full(grid.size, grid.cells is None)
    if grid.cells is not None:
        is_done[grid.cells] = True
    return is_done.reshape(grid.shape)


def _spread(array: Array, grid: Grid) -> Array:
    """Return the rows of an array in their cells; those without a row have NaN."""
    shape = (*grid.shape, *array.shape[1:])
    if grid.cells is None:
        return array.reshape(shape)
    if len(grid.cells) < grid.size:
        array = with_room(array)
        spread = np.full((grid.size, *array.shape[1:]), nothing_in(array), dtype=array.dtype)
    else:
        spread = np.empty_like(array)
    spread[grid.cells] = array
    return spread.reshape(shape)


def _describe(made: xarray.Dataset, told_names: Mapping[Any, str], meaning: Meaning) -> None:
    """Give variables their attributes, as the CF conventions call them."""
    for name, variable in made.variables.items():
        known = told_names.get(name, str(name))
        # Units of times are how a file is to hold them.
        if known in meaning.units and variable.dtype.kind not in "mM":
            variable.attrs["units"] = meaning.units[known]
        if known in meaning.labels:
            variable.attrs["long_name"] = meaning.labels[known]
