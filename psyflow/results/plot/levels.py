"""The levels of a column: its distinct values, and which of them each row has."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, take
from psyflow.pspace.keys import column_keys
from psyflow.reprs import safe_repr
from psyflow.results.plot.kinds import Floats, Ints, as_numbers, kind_of
from psyflow.texts import printable

__all__ = ["Levels", "levels_of", "number_texts", "scale_for"]

_MOST_CATEGORIES = 30
_SHOWN_TEXT = 24
_MOST_UNEVEN_STEPS = 1.7
_LEAST_SPAN = 3.0


@dataclass(frozen=True)
class Levels:
    """The levels of a column.

    Parameters
    ----------
    name : str
        Of the column.
    kind : str
        ``"number"``, ``"date"``, or ``"category"`` for all that has no place of its own.
    places : ndarray of float, shape (n_levels,)
        Where they lie on an axis: the numbers, days since 1970, or 0, 1, 2, ….
    values : sequence
        The distinct values, in the order of the places.
    codes : ndarray of int, shape (n_rows,)
        Which level each row has; −1: none.
    """

    name: str
    kind: str
    places: Floats
    values: Sequence[Any]
    codes: Ints

    def __len__(self) -> int:
        return len(self.places)

    @property
    def is_ordered(self) -> bool:
        """Whether the levels have places of their own."""
        return self.kind != "category"

    @property
    def scale(self) -> str:
        """``"log"`` if the levels are geometric, ``"symlog"`` with 0, else ``"linear"``."""
        return scale_for(self.places) if self.kind == "number" else "linear"

    def texts(self) -> list[str]:
        """Return the levels in words, each its own."""
        if self.kind == "number":
            return number_texts(self.places)
        texts = [_text(value) for value in self.values]
        twice = {text for text in texts if texts.count(text) > 1} if len(texts) < 1000 else set()
        return [f"{t} #{number}" if t in twice else t for number, t in enumerate(texts)]

    def at(self, rows: Ints) -> Levels:
        """Return the same levels for other rows."""
        return replace(self, codes=self.codes[rows])


def levels_of(name: str, column: Column) -> Levels:
    """Return the levels of a column: numbers and dates in ascending order.

    Numbers among which is an infinite one are categories if they are few, since no axis has a
    place for it.

    Examples
    --------
    >>> levels_of("a", [4, 1, 2, 1, None]).places, levels_of("a", [4, 1, 2, 1, None]).scale
    (array([1., 2., 4.]), 'log')
    >>> levels_of("mode", ["slow", "fast", "slow"]).codes
    array([0, 1, 0])
    """
    kind = kind_of(column)
    if kind == "nothing":
        return Levels(name, "category", np.zeros(0), [], np.full(len(column), -1))
    if kind not in ("number", "date"):
        return _categories(name, column, is_sorted=kind == "bool")
    numbers = as_numbers(column)
    places, codes = np.unique(numbers, return_inverse=True)
    places = places[~np.isnan(places)]
    if np.isinf(places).any():
        if len(places) <= _MOST_CATEGORIES:
            return Levels(
                name, "category", _counted(len(places)), places.tolist(), _cut(codes, places)
            )
        finite = np.isfinite(numbers)
        return levels_of(name, np.where(finite, numbers, np.nan))
    values: Sequence[Any] = places.tolist()
    if kind == "date":
        values = [_date(place) for place in places]
    elif _is_whole(column):
        values = list(map(int, values))
    return Levels(name, kind, places, values, _cut(codes, places))


def scale_for(places: Floats) -> str:
    """Return the scale on which some places are even.

    Steps need not be exactly alike on a logarithmic one: 1, 2, 5, 10 and 1, 3, 10 are meant so.

    Parameters
    ----------
    places : ndarray of float
        In ascending order.

    Examples
    --------
    >>> levels = ([1, 2, 4], [1, 2, 3], [0, 1, 10, 100], [1, 3, 10])
    >>> [scale_for(np.array(places, float)) for places in levels]
    ['log', 'linear', 'symlog', 'log']
    """
    above = places[places > 0]
    if len(places) - len(above) > 1 or (places < 0).any() or len(above) < 3:
        return "linear"
    if above[-1] < _LEAST_SPAN * above[0]:
        return "linear"
    if not _unevenness(np.log(above)) <= min(_MOST_UNEVEN_STEPS, _unevenness(above)):
        return "linear"
    return "log" if len(above) == len(places) else "symlog"


def number_texts(numbers: Floats) -> list[str]:
    """Return numbers in words, with as many digits as tell them apart.

    Examples
    --------
    >>> number_texts(np.array([0.1, 1e6, 3.0])), number_texts(np.array([1.00001, 1.00002]))
    (['0.1', '1e+06', '3'], ['1.00001', '1.00002'])
    """
    for digits in (4, 6, 9, 17):
        texts = [f"{number:.{digits}g}" for number in numbers.tolist()]
        if len(set(texts)) == len(texts):
            break
    return texts if len(numbers) else []


def _unevenness(places: Floats) -> float:
    steps = np.diff(places)
    return float(steps.max() / steps.min())


def _cut(codes: npt.NDArray[np.intp], places: Floats) -> Ints:
    """Return codes with −1 in place of those of NaN, which comes last."""
    flat = codes.reshape(-1).astype(np.int64)
    return np.where(flat < len(places), flat, -1)


def _is_whole(column: Column) -> bool:
    if isinstance(column, np.ndarray) and column.dtype.kind != "O":
        return column.dtype.kind in "iu"
    return all(issubclass(kind, int | np.integer) for kind in set(map(type, column)))


def _counted(n: int) -> Floats:
    return np.arange(n, dtype=np.float64)


def _categories(name: str, column: Column, *, is_sorted: bool) -> Levels:
    keys = np.ascontiguousarray(column_keys({name: column}, len(column)))
    whole = keys.view([("low", np.uint64), ("high", np.uint64)]).reshape(-1)
    _, first, codes = np.unique(whole, return_index=True, return_inverse=True)
    values = list(take(column, first))
    # In the order in which they come, not in that of their keys.
    order = (
        sorted(range(len(first)), key=lambda i: str(values[i])) if is_sorted else np.argsort(first)
    )
    place = np.empty(len(first), dtype=np.int64)
    place[order] = np.arange(len(first))
    shown = [values[i] for i in order]
    return Levels(name, "category", _counted(len(shown)), shown, place[codes.reshape(-1)])


def _date(place: float) -> str:
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(days=place)
    return moment.date().isoformat() if place == round(place) else moment.isoformat(" ")


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{float(value):.6g}"
    plain = value.item() if isinstance(value, np.generic) else value
    text = plain if isinstance(plain, str) else safe_repr(plain, 200)
    text = printable(" ".join(text.split())) or "''"
    return text if len(text) <= _SHOWN_TEXT else f"{text[: _SHOWN_TEXT - 1]}…"
