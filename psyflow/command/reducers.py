"""One value of many: the first, the mean, …, taken as they come, so that none is kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from psyflow.exceptions import ParseError

__all__ = ["REDUCERS", "Reducer"]


class Reducer:
    """Takes values one by one; None and NaN for one that is missing among others.

    Attributes
    ----------
    value : Any
        What has become of them, once there was one.
    has_value : bool
    """

    value: Any = None
    has_value = False

    def add(self, value: Any) -> None:
        """Take one more."""
        if value is not None:
            self.has_value = True
            self._take(value)

    def _take(self, value: Any) -> None:
        raise NotImplementedError


class _First(Reducer):
    def _take(self, value: Any) -> None:
        if self.value is None:
            self.value = value


class _Last(Reducer):
    def _take(self, value: Any) -> None:
        self.value = value


class _All(Reducer):
    def __init__(self) -> None:
        self.value: list[Any] = []

    def add(self, value: Any) -> None:
        # Where one is missing, the others keep their places.
        self.has_value = self.has_value or value is not None
        self.value.append(math.nan if value is None else value)


class _Count(Reducer):
    # That there is none is a number as well.
    value = 0
    has_value = True

    def _take(self, value: Any) -> None:
        self.value += 1


class _OfNumbers(Reducer):
    word = ""

    def _take(self, value: Any) -> None:
        if not isinstance(value, int | float):
            raise ParseError(f"there is no {self.word} of {value!r}, which is no number")
        self._take_number(value)

    def _take_number(self, value: float) -> None:
        raise NotImplementedError


class _Extreme(_OfNumbers):
    """The least or the greatest; NaN if any is NaN, for then nobody knows."""

    sign = 1

    def _take_number(self, value: float) -> None:
        # Neither is true of a NaN, be it on the right or on the left.
        if self.value is None or math.isnan(value) or self.sign * value < self.sign * self.value:
            self.value = value


class _Min(_Extreme):
    word = "min"


class _Max(_Extreme):
    word = "max"
    sign = -1


class _Sum(_OfNumbers):
    word = "sum"

    def _take_number(self, value: float) -> None:
        self.value = value if self.value is None else self.value + value


class _Mean(_OfNumbers):
    word = "mean"

    def __init__(self) -> None:
        self._n, self._sum = 0, 0.0

    def _take_number(self, value: float) -> None:
        self._n += 1
        self._sum += value
        self.value = self._sum / self._n


class _Std(_OfNumbers):
    """Of a sample, as in `Results.summary`: NaN of a single value."""

    word = "std"
    value = math.nan

    def __init__(self) -> None:
        self._n, self._mean, self._squares = 0, 0.0, 0.0

    def _take_number(self, value: float) -> None:
        # Welford's recurrence: the squares of values that are close to each other would cancel.
        self._n += 1
        difference = value - self._mean
        self._mean += difference / self._n
        self._squares += difference * (value - self._mean)
        if self._n > 1:
            self.value = math.sqrt(self._squares / (self._n - 1))


REDUCERS: dict[str, Callable[[], Reducer]] = {
    "first": _First,
    "last": _Last,
    "all": _All,
    "min": _Min,
    "max": _Max,
    "mean": _Mean,
    "sum": _Sum,
    "count": _Count,
    "std": _Std,
}
"""Their names, as in ``("log.out", pattern, "mean")``."""
