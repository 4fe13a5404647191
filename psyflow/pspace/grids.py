"""Evenly spaced numbers that are just the decimals one would type.

NumPy's differ from those in the last digit here and there, and from those of a finer or coarser
grid. A different number is a different pset, which would be computed again.
"""

from __future__ import annotations

import decimal
import math
from fractions import Fraction
from numbers import Integral
from typing import Any

__all__ = ["arange", "linspace", "logspace"]

_DIGITS = decimal.Context(prec=60)


def linspace(first: float, last: float, n: int) -> list[float]:
    """Return `n` evenly spaced numbers from `first` to `last`, both included.

    Each is the float nearest to the exact result in decimals, so that a finer grid has every point
    of a coarser one. A single number is `first`.

    Parameters
    ----------
    first, last : float
    n : int

    Raises
    ------
    ValueError
        If an end is infinite or NaN, or `n` is less than 1.

    Examples
    --------
    >>> linspace(0, 1, 11)[3], linspace(0, 1, 101)[30]
    (0.3, 0.3)
    >>> linspace(2, 1, 3)
    [2.0, 1.5, 1.0]
    """
    return [float(number) for number in _evenly(first, last, n)]


def arange(start: float, stop: float | None = None, step: float = 1) -> list[Any]:
    """Return the numbers `start`, ``start + step``, … below `stop` (above, if `step` is negative).

    They are integers if all three are, else floats, each the one nearest to the exact result in
    decimals. A single argument is `stop`, and 0 is where to start.

    Parameters
    ----------
    start, stop, step : int or float

    Raises
    ------
    ValueError
        If a number is infinite or NaN, or `step` is 0.

    Examples
    --------
    >>> arange(0, 0.5, 0.1)
    [0.0, 0.1, 0.2, 0.3, 0.4]
    >>> arange(3), arange(3, 0, -2)
    ([0, 1, 2], [3, 1])
    """
    if stop is None:
        start, stop = 0, start
    begin, end, by = _exact(start), _exact(stop), _exact(step)
    if by == 0:
        raise ValueError("The step must not be 0.")
    kind = int if all(isinstance(given, Integral) for given in (start, stop, step)) else float
    return [kind(begin + i * by) for i in range(math.ceil((end - begin) / by))]


def logspace(first: float, last: float, n: int, base: float = 10) -> list[float]:
    """Return `base` to the power of `n` evenly spaced numbers from `first` to `last`.

    Each is the float nearest to the exact result in decimals, the same on every machine. Use
    `geom` to give the ends themselves rather than their exponents.

    Parameters
    ----------
    first, last : float
        Exponents.
    n : int
    base : float

    Raises
    ------
    ValueError
        If an end is infinite or NaN, `n` is less than 1, or `base` is not positive.

    Examples
    --------
    >>> logspace(-3, 0, 4)
    [0.001, 0.01, 0.1, 1.0]
    >>> logspace(0, 3, 4, base=2)
    [1.0, 2.0, 4.0, 8.0]
    """
    exact_base = _exact(base)
    if exact_base <= 0:
        raise ValueError(f"The base must be positive, not {base}.")
    return [_power(exact_base, exponent) for exponent in _evenly(first, last, n)]


def _evenly(first: float, last: float, n: int) -> list[Fraction]:
    if n < 1:
        raise ValueError(f"There must be at least one number, not {n}.")
    begin, end = _exact(first), _exact(last)
    return [begin + (end - begin) * Fraction(i, max(1, n - 1)) for i in range(n)]


def _exact(number: Any) -> Fraction:
    if not math.isfinite(number):
        raise ValueError(f"There are no evenly spaced numbers to or from {number}.")
    # The shortest text of a float is the decimal that was typed for it.
    return Fraction(number) if isinstance(number, Fraction) else Fraction(str(number))


def _power(base: Fraction, exponent: Fraction) -> float:
    return float(_DIGITS.power(_decimal(base), _decimal(exponent)))


def _decimal(exact: Fraction) -> decimal.Decimal:
    return _DIGITS.divide(decimal.Decimal(exact.numerator), decimal.Decimal(exact.denominator))
