"""What was drawn, as a table: so that others can draw it, and check it."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.results.plot.levels import Levels
from psyflow.results.plot.picture import CODED, Marks, Picture

__all__ = ["as_columns", "as_csv"]

_ROLES_OF_PLACES = ("x", "vertical")


def as_csv(picture: Picture) -> str:
    r"""Return the marks of a picture in the form of RFC 4180, but for the ends of lines.

    Columns have the names of what they show. Numbers have all of their digits, and what is absent
    is empty.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = as_columns(picture)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()


def as_columns(picture: Picture) -> dict[str, list[Any]]:
    """Return the marks of a picture as columns, with the names of what they show."""
    parts = [
        (dict(_columns(picture, marks)), kind, len(marks["row"]))
        for marks, kind in [(picture.marks, "box"), (picture.outliers, "outlier")]
        if marks
    ]
    columns: dict[str, list[Any]] = {}
    if picture.outliers and len(picture.outliers["y"]):
        columns["mark"] = [kind for _, kind, length in parts for _ in range(length)]
    for name, _ in _columns(picture, picture.marks):
        there = (part.get(name, [None] * length) for part, _, length in parts)
        columns[name] = list(itertools.chain.from_iterable(there))
    return columns


def _columns(picture: Picture, marks: Marks) -> Iterator[tuple[str, list[Any]]]:
    """Yield the names and the values of the columns of a table of marks."""
    design = picture.design
    for role, column in marks.items():
        levels = picture.levels.get(role)
        if role in CODED:
            if levels is not None:
                yield levels.name, _values(levels, column)
        elif levels is not None and not _has_places(picture, role):
            yield levels.name, _values(levels, column)
        elif levels is not None:
            yield levels.name, _values_at(levels, column)
        elif role == "y":
            yield design.value, _plain(column)
        else:
            yield _name(picture, role), _plain(column)


def _has_places(picture: Picture, role: str) -> bool:
    return picture.design.kind != "heatmap" and not (role == "x" and picture.design.kind == "box")


def _name(picture: Picture, role: str) -> str:
    is_bin = picture.design.kind == "hist"
    return f"{picture.design.value}_{role}" if not is_bin or role != "count" else role


def _values(levels: Levels, codes: npt.NDArray[Any]) -> list[Any]:
    return [levels.values[code] for code in codes.astype(np.int64).tolist()]


def _values_at(levels: Levels, places: npt.NDArray[Any]) -> list[Any]:
    codes = np.clip(np.searchsorted(levels.places, places), 0, len(levels) - 1)
    return _values(levels, codes)


def _plain(column: npt.NDArray[Any]) -> list[Any]:
    return [None if value != value else value for value in column.tolist()]
