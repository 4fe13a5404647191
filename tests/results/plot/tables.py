"""Tables for tests of plots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psyflow import ParameterSpace
from psyflow.results import Results
from psyflow.results.meaning import Meaning
from psyflow.results.plot import Wish, choose, work_out
from psyflow.results.plot.choose import Design
from psyflow.results.plot.picture import Picture

__all__ = ["designed", "pictured", "table"]


def table(
    space: ParameterSpace, function: Callable[..., dict[str, Any]], **meaning: Any
) -> Results:
    """Return the table of a function over a space."""
    columns: dict[str, Any] = dict(space.build())
    names = list(columns)
    rows = [
        function(**dict(zip(names, row, strict=True)))
        for row in zip(*columns.values(), strict=True)
    ]
    outputs = {name: [row[name] for row in rows] for name in rows[0]}
    return Results(columns | outputs, parameters=names, meaning=Meaning(**meaning))


def designed(results: Results, *words: str, **wish: Any) -> Design:
    return choose(results, Wish.parse(words, **wish))


def pictured(results: Results, *words: str, **wish: Any) -> Picture:
    return work_out(designed(results, *words, **wish))
