"""The axes of outputs that are arrays: what they are called, and where along them things are."""

from __future__ import annotations

from typing import Any

import numpy as np

from psyflow.columns import Columns
from psyflow.exceptions import UsageError
from psyflow.results.convert.solid import Array, array_rows, solid
from psyflow.results.meaning import Meaning

__all__ = ["axis_names", "places_along", "places_of_rows", "source_of"]


def axis_names(name: str, n_axes: int, meaning: Meaning) -> tuple[str, ...]:
    """Return the names of the axes of an output.

    Parameters
    ----------
    name : str
        Of the output.
    n_axes : int
        How many axes its arrays have.
    meaning : Meaning

    Raises
    ------
    UsageError
        If the task file gives another number of names.

    Examples
    --------
    >>> axis_names("trace", 1, Meaning(dims={"trace": ["time"]}))
    ('time',)
    >>> axis_names("image", 2, Meaning())
    ('image_0', 'image_1')
    """
    given = meaning.dims.get(name)
    if given is None and n_axes == 1:
        # What has the places along an axis is along that axis itself.
        axes = [dim for dim, source in meaning.coords.items() if _is_text(source, name)]
        given = axes[:1] or None
    if given is None:
        return tuple(f"{name}_{number}" for number in range(n_axes))
    names = (given,) if isinstance(given, str) else tuple(given)
    if len(names) != n_axes or len(set(names)) != n_axes:
        raise UsageError(
            f"`dims` of the task file names the axes of `{name}`: {', '.join(names)}. "
            f"Its arrays have {n_axes}. Name each once."
        )
    return names


def _is_text(value: Any, text: str) -> bool:
    return isinstance(value, str) and value == text


def source_of(dim: str, table: Columns, meaning: Meaning) -> str | None:
    """Return the name of the column in which the places along an axis are, if it is there."""
    given = meaning.coords.get(dim)
    return given if isinstance(given, str) and given in table else None


def places_along(dim: str, size: int, meaning: Meaning) -> Array | None:
    """Return the places along an axis that the task file gives as values; None if it gives none.

    Raises
    ------
    UsageError
        If there are more or fewer than the axis is long.

    Examples
    --------
    >>> places_along("time", 2, Meaning(coords={"time": [0.0, 0.5]}))
    array([0. , 0.5])
    """
    given: Any = meaning.coords.get(dim)
    if given is None or isinstance(given, str):
        return None
    places = solid(given if isinstance(given, np.ndarray) else list(given))
    if places.ndim != 1 or len(places) != size:
        raise UsageError(
            f"`coords` of the task file has {len(places)} places along `{dim}`, but there are "
            f"{size}. Give as many, or name the output that has them."
        )
    return places


def places_of_rows(
    dim: str, sizes: list[int | None], table: Columns, meaning: Meaning
) -> list[Array]:
    """Return the places along an axis for each row, of given sizes; numbers if nobody says.

    Raises
    ------
    UsageError
        If there are more or fewer of them than the axis is long.
    """
    source = source_of(dim, table, meaning)
    if source is None:
        known: dict[int, Array] = {}
        for length in {size for size in sizes if size is not None}:
            places = places_along(dim, length, meaning)
            known[length] = np.arange(length) if places is None else places
        return [known[size] if size is not None else np.empty(0) for size in sizes]
    rows = array_rows(table[source])
    if rows is None:
        raise UsageError(f"`coords` says that `{source}` has the places along `{dim}`: no arrays.")
    for row, size in zip(rows, sizes, strict=True):
        if size is not None and (row is None or row.shape != (size,)):
            has = "none" if row is None else f"an array of shape {row.shape}"
            raise UsageError(
                f"`{source}` is to have the {size} places along `{dim}`, but has {has}."
            )
    return [np.empty(0) if row is None else row for row in rows]
