"""Columns in as many digits as make sense: what differs stays apart, and noise is left out."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column
from psyflow.reprs import safe_repr
from psyflow.texts import printable

__all__ = ["Texts", "one_line", "texts_of", "texts_with_spread"]

_DIGITS = 5
"""Significant digits of measured numbers."""
_MORE_DIGITS = (5, 9, 17)
_LARGEST, _SMALLEST = 9, -5
"""Powers of ten outside of which numbers are written with one."""
_APART = 4
"""So many powers of ten apart, numbers have no common number of decimals."""
_FEW = 4
"""So many numbers of an array are shown."""
_LONGEST = 200
_SHORT_AS_TEXT = (np.datetime64, np.timedelta64, datetime.date, datetime.time, Decimal, UUID)


class Texts(NamedTuple):
    """A column as it is shown.

    Attributes
    ----------
    cells : list of str
        One for each row, in one line each, and harmless for a terminal.
    are_numbers : bool
        Whether they belong to the right, under each other.
    """

    cells: list[str]
    are_numbers: bool


def texts_of(column: Column, *, is_exact: bool = False) -> Texts:
    r"""Return a column as it is shown.

    Parameters
    ----------
    column : list or ndarray
    is_exact : bool
        Whether values that differ have to be told apart, as those of parameters.

    Examples
    --------
    >>> texts_of([0.5, 0.123456789, 2.0]).cells
    ['0.5000', '0.1235', '2.0000']
    >>> texts_of([1e-9, 1.0]).cells
    ['1e-09', '1e+00']
    >>> texts_of([0.1234567, 0.1234568], is_exact=True).cells
    ['0.1234567', '0.1234568']
    >>> texts_of(["two\nlines", None, 3]).cells
    ['two\\nlines', 'None', '3']
    """
    numbers = _numbers(column)
    if numbers is None:
        return Texts([_cell(value) for value in column], are_numbers=_are_integers(column))
    for digits in _MORE_DIGITS if is_exact else (_DIGITS,):
        cells = _aligned(numbers, digits, is_exact=is_exact)
        if len(set(cells)) == len(np.unique(numbers)):
            break
    return Texts(cells, are_numbers=True)


def texts_with_spread(mean: Column, spread: Column, sign: str = "±") -> Texts:
    """Return means with their spread, which has two or three digits, with as many decimals.

    Examples
    --------
    >>> texts_with_spread(np.array([1.23456, 20.5]), np.array([0.0456, 0.0213])).cells
    ['1.235 ± 0.046', '20.500 ± 0.021']
    >>> texts_with_spread(np.array([1.25]), np.array([np.nan])).cells
    ['1.25']
    """
    means, spreads = _numbers(mean), _numbers(spread)
    if means is None or spreads is None:
        return texts_of(mean)
    known = spreads[np.isfinite(spreads) & (spreads > 0)]
    if not len(known):
        cells = texts_of(mean).cells
        return Texts(
            [m if math.isnan(s) else f"{m} {sign} 0" for m, s in zip(cells, spreads, strict=True)],
            are_numbers=True,
        )
    power = max(_power(float(known.min())), _power(float(np.median(known))) - 1)
    largest = max((_power(m) for m in means if m and math.isfinite(m)), default=0)
    if power < _SMALLEST or largest > _LARGEST:
        form: Callable[[float], str] = lambda value: f"{value:.{_DIGITS}g}"  # noqa: E731
    else:
        decimals = max(0, 1 - power)
        form = lambda value: f"{value:.{decimals}f}"  # noqa: E731
    pairs = zip(means.tolist(), spreads.tolist(), strict=True)
    return Texts(
        [form(m) if math.isnan(s) else f"{form(m)} {sign} {form(s)}" for m, s in pairs],
        are_numbers=True,
    )


def one_line(text: str) -> str:
    r"""Return a text without what would begin a line, or command a terminal.

    Examples
    --------
    >>> print(one_line("a\tb\n\x1b[2J"))
    a\tb\n\x1b[2J
    """
    plain = text.replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t")
    return printable(plain.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _numbers(column: Column) -> npt.NDArray[np.float64] | None:
    """Return a column as an array if it has real numbers, and not only whole ones."""
    if isinstance(column, np.ndarray) and column.dtype.kind == "f" and column.ndim == 1:
        return column.astype(np.float64)
    if isinstance(column, np.ndarray) and column.dtype.kind != "O":
        return None
    kinds = set(map(type, column))
    is_real = all(issubclass(kind, float | np.floating) for kind in kinds)
    is_some = any(issubclass(kind, float | np.floating) for kind in kinds)
    are_numbers = is_real or all(
        issubclass(kind, int | float | np.integer | np.floating) and not issubclass(kind, bool)
        for kind in kinds
    )
    if not (is_some and are_numbers):
        return None
    try:
        return np.array([float(value) for value in column])
    except OverflowError:
        return None  # a whole number that is larger than any float


def _are_integers(column: Column) -> bool:
    if isinstance(column, np.ndarray) and column.dtype.kind != "O":
        return column.ndim == 1 and column.dtype.kind in "iu"
    kinds = set(map(type, column)) - {bool}
    return bool(kinds) and all(issubclass(kind, int | np.integer | Decimal) for kind in kinds)


def _power(value: float) -> int:
    return int(f"{abs(value):.{_DIGITS - 1}e}".partition("e")[2])


def _aligned(numbers: npt.NDArray[np.float64], digits: int, *, is_exact: bool) -> list[str]:
    values = numbers.tolist()
    measured = [value for value in values if value and math.isfinite(value)]
    powers = [_power(value) for value in measured]
    lowest, highest = min(powers, default=0), max(powers, default=0)
    if highest > _LARGEST or lowest < _SMALLEST:
        return _in_powers(values, digits)
    if highest - lowest > _APART:
        return _by_their_points([_short(value, digits) for value in values])
    decimals = max((_decimals(_short(value, digits)) for value in measured), default=0)
    if not is_exact:
        # Of the smallest, three digits tell enough beside numbers that are much larger.
        decimals = min(decimals, max(0, digits - 1 - highest, digits - 3 - lowest))
    if not decimals and all(value.is_integer() for value in measured):
        decimals = 1  # so that they are not taken for whole numbers
    return [f"{value:.{decimals}f}" for value in values]


def _in_powers(values: Sequence[float], digits: int) -> list[str]:
    mantissas = [f"{value:.{digits - 1}e}".partition("e")[0] for value in values]
    decimals = max((_decimals(mantissa.rstrip("0")) for mantissa in mantissas), default=0)
    return [f"{value:.{decimals}e}" for value in values]


def _short(value: float, digits: int) -> str:
    """Return a number with so many significant digits, without a power of ten or zeros behind."""
    if not value or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, digits - 1 - int(f"{abs(value):.{digits - 1}e}".partition("e")[2]))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])


def _by_their_points(texts: Sequence[str]) -> list[str]:
    behind = [len(text) - len(text.partition(".")[0]) for text in texts]
    return [text + " " * (max(behind) - n) for text, n in zip(texts, behind, strict=True)]


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return one_line(value[:_LONGEST])
    if isinstance(value, np.ndarray):
        # One without axes is a number to whoever returned it.
        return _array_text(value) if value.ndim else _cell(value[()])
    is_plain = isinstance(value, np.generic) and value.dtype.kind in "biufcS"
    plain = value.item() if is_plain else value
    if isinstance(plain, float):
        return f"{plain:.{_DIGITS}g}"
    if isinstance(value, _SHORT_AS_TEXT):
        return str(value)
    return one_line(safe_repr(plain, _LONGEST))


def _array_text(array: npt.NDArray[Any]) -> str:
    """Return the first numbers of an array, and how many there are; or only of which shape it is.

    Examples
    --------
    >>> _array_text(np.arange(3)), _array_text(np.arange(9) / 3), _array_text(np.zeros((2, 3)))
    ('[0 1 2]', '[0 0.33333 0.66667 …] (9)', 'float64 (2 × 3)')
    """
    if array.ndim != 1:
        return f"{array.dtype} ({' × '.join(map(str, array.shape))})"
    is_cut = len(array) > _FEW
    shown = " ".join(map(_cell, array[: _FEW - 1] if is_cut else array))
    return f"[{shown} …] ({len(array)})" if is_cut else f"[{shown}]"
