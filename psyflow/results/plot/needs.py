"""Which columns a plot needs, so that no others are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psyflow.pspace.conditions import Condition
from psyflow.results.plot.kinds import kind_of
from psyflow.results.plot.wish import Wish
from psyflow.results.table import Results

__all__ = ["needed"]

_MAY_BE_NUMBERS = ("number", "bool", "nothing")


def needed(head: Results, wish: Wish, where: Sequence[str] = ()) -> list[str] | None:
    """Return the names of the columns that a plot needs; None if it may be any.

    Parameters
    ----------
    head : Results
        A few rows.
    wish : Wish
    where : sequence of str
        Conditions that choose rows.

    Examples
    --------
    >>> head = Results({"a": [1], "y": [2.0], "trace": [[1.0, 2.0]]}, parameters=["a"])
    >>> needed(head, Wish()), needed(head, Wish({"y": "trace"})), needed(head, Wish({"y": "z"}))
    (['a', 'y'], ['a', 'trace'], None)
    """
    conditions = [Condition.parse(text).name for text in where]
    said = [*wish.roles.values(), *conditions]
    axes = {name for names in head.dims.values() for name in names}
    if wish.kind == "parallel" or not all(name in head or name in axes for name in said):
        return None
    outputs = [name for name in said if name in head.outputs]
    if not outputs:
        outputs = [n for n in head.outputs if kind_of(head[n]) in _MAY_BE_NUMBERS]
    if not any(kind_of(head[name]) != "nothing" for name in outputs):
        return None
    names = [*head.parameters, *said, *outputs, *_of_axes(head, outputs)]
    return [name for name in dict.fromkeys(names) if name in head]


def _of_axes(head: Results, outputs: Sequence[str]) -> Iterator[str]:
    """Yield the columns that may have the places along the axes of outputs."""
    for output in outputs:
        for axis in head.dims.get(output, ()):
            place = head.coords.get(axis, axis)
            if isinstance(place, str):
                yield place
