"""Statistics of groups of rows, each value of an array for itself.

Values that are absent (None or NaN) count for none of them but `n_missing`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["STATISTICS", "Groups", "t_quantile"]

Floats = npt.NDArray[np.float64]

_MANY = 10_000
_NORMAL_975 = 1.959963984540054


class Groups:
    """Rows that belong together.

    Parameters
    ----------
    codes : ndarray of int, shape (n_rows,)
        The group of each row, counted from 0; no group is empty.

    Examples
    --------
    >>> groups = Groups(np.array([0, 1, 0, 1, 1]))
    >>> values = groups.of(np.array([1.0, 5.0, 3.0, 7.0, np.nan]))
    >>> values.mean(), values.std(), values.n(), values.n_missing()
    (array([2., 6.]), array([1.41421356, 1.41421356]), array([2, 2]), array([0, 1]))
    """

    def __init__(self, codes: npt.NDArray[np.intp]) -> None:
        self.sizes = np.bincount(codes) if len(codes) else np.zeros(0, dtype=np.intp)
        # Small integers are sorted several times faster, and what is in order not at all.
        small = codes.astype(np.min_scalar_type(len(self.sizes)))
        is_in_order = bool((small[1:] >= small[:-1]).all())
        self._order = None if is_in_order else np.argsort(small, kind="stable")

    def of(self, values: npt.NDArray[np.number]) -> GroupedValues:
        """Return values of the rows, one along the first axis for each, by their groups."""
        shape = values.shape[1:]
        flat = values.reshape(len(values), math.prod(shape)).astype(np.float64, copy=False)
        return GroupedValues(flat if self._order is None else flat[self._order], self.sizes, shape)


class GroupedValues:
    """Values in the order of their groups.

    Parameters
    ----------
    values : ndarray of float, shape (n_rows, n_elements)
    sizes : ndarray of int, shape (n_groups,)
        How many rows each group has, at least 1.
    shape : tuple of int
        Of the value of one row.
    """

    def __init__(
        self, values: Floats, sizes: npt.NDArray[np.intp], shape: tuple[int, ...]
    ) -> None:
        self._values = values
        self._sizes = sizes
        self._starts = np.cumsum(sizes) - sizes
        self._shape = shape
        self._is_there = ~np.isnan(values)

    def n(self) -> npt.NDArray[np.int64]:
        """Return how many values each group has."""
        return self._shaped(self._n)

    def n_missing(self) -> npt.NDArray[np.int64]:
        """Return how many values each group lacks."""
        return self._shaped(self._sizes[:, None] - self._n)

    def mean(self) -> Floats:
        """Return the means; NaN where there is no value."""
        return self._shaped(self._mean)

    def std(self) -> Floats:
        """Return the standard deviations of samples (``ddof=1``); NaN below two values."""
        return self._shaped(self._std)

    def sem(self) -> Floats:
        """Return the standard errors of the means: ``std / sqrt(n)``."""
        return self._shaped(self._sem)

    def ci95(self) -> Floats:
        """Return half of the width of the 95 % confidence intervals of the means.

        That is ``t * sem`` with the 97.5 % quantile of Student's t distribution with ``n - 1``
        degrees of freedom (Student 1908, Biometrika 6, 1–25).
        """
        quantiles = np.full(self._n.shape, np.nan)
        for n in np.unique(self._n[self._n > 1]).tolist():
            quantiles[self._n == n] = t_quantile(n - 1)
        return self._shaped(quantiles * self._sem)

    def min(self) -> Floats:
        """Return the smallest values."""
        return self.quantile(0.0)

    def max(self) -> Floats:
        """Return the largest values."""
        return self.quantile(1.0)

    def median(self) -> Floats:
        """Return the medians."""
        return self.quantile(0.5)

    def iqr(self) -> Floats:
        """Return the distances between the upper and the lower quartiles; see `quantile`."""
        return self.quantile(0.75) - self.quantile(0.25)

    def quantile(self, q: float) -> Floats:
        """Return the values below which a fraction `q` of the others lies.

        Between two values, they are on the line from one to the other: definition 7 of R. J.
        Hyndman and Y. Fan 1996, Am. Stat. 50, 361–365, which is NumPy's.
        """
        return self._shaped(self._quantile(q))

    @functools.cached_property
    def _n(self) -> npt.NDArray[np.int64]:
        return self._sum(self._is_there.astype(np.int64))

    @functools.cached_property
    def _mean(self) -> Floats:
        total = self._sum(np.where(self._is_there, self._values, 0.0))
        return _divided(total, self._n)

    @functools.cached_property
    def _std(self) -> Floats:
        # Around the means, for the squares of large numbers would leave nothing of their spread.
        with np.errstate(invalid="ignore"):
            deviations = self._values - np.repeat(self._mean, self._sizes, axis=0)
        squares = self._sum(np.where(self._is_there, deviations**2, 0.0))
        return np.sqrt(_divided(squares, self._n - 1))

    @property
    def _sem(self) -> Floats:
        return _divided(self._std, np.sqrt(self._n))

    @functools.cached_property
    def _sorted(self) -> Floats:
        """The values in ascending order within their groups, absent ones last."""
        if len(self._sizes) and (self._sizes == self._sizes[0]).all():
            # Groups of one size are rows of a matrix, which NumPy sorts much faster.
            shape = len(self._sizes), int(self._sizes[0]), self._values.shape[1]
            return np.sort(self._values.reshape(shape), axis=1).reshape(self._values.shape)
        groups = np.repeat(np.arange(len(self._sizes)), self._sizes)
        columns = [column[np.lexsort((column, groups))] for column in self._values.T]
        return np.stack(columns, axis=1) if columns else self._values

    def _quantile(self, q: float) -> Floats:
        position = np.maximum(self._n - 1, 0) * q
        low = np.floor(position).astype(np.intp)
        high = np.minimum(low + 1, np.maximum(self._n - 1, 0))
        first = self._starts[:, None]
        lower = np.take_along_axis(self._sorted, first + low, axis=0)
        upper = np.take_along_axis(self._sorted, first + high, axis=0)
        weight = position - low
        with np.errstate(invalid="ignore"):
            # Where both are infinite, there is nothing between them.
            between = np.where(lower == upper, lower, lower + (upper - lower) * weight)
        return np.where(weight == 0, lower, between)

    def _sum(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if not len(self._sizes):
            return values[:0]
        with np.errstate(invalid="ignore"):  # inf - inf
            return np.add.reduceat(values, self._starts, axis=0)

    def _shaped(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return values.reshape(len(self._sizes), *self._shape)


STATISTICS: Mapping[str, Callable[[GroupedValues], npt.NDArray[Any]]] = {
    "mean": GroupedValues.mean,
    "median": GroupedValues.median,
    "std": GroupedValues.std,
    "sem": GroupedValues.sem,
    "ci95": GroupedValues.ci95,
    "iqr": GroupedValues.iqr,
    "min": GroupedValues.min,
    "max": GroupedValues.max,
    "n": GroupedValues.n,
    "n_missing": GroupedValues.n_missing,
}


def _divided(values: Floats, by: npt.NDArray[Any]) -> Floats:
    """Return quotients, NaN where there are too few values to divide by."""
    result = np.full(values.shape, np.nan)
    np.divide(values, by, out=result, where=by > 0)
    return result


@functools.lru_cache(maxsize=1 << 12)
def t_quantile(dof: int) -> float:
    """Return the 97.5 % quantile of Student's t distribution.

    The distribution has closed forms for whole degrees of freedom (M. Abramowitz and I. A. Stegun
    1964, Handbook of Mathematical Functions, 26.7.3 and 26.7.4), which are halved in to. Above
    10 000 degrees, it is the normal one's with two terms more (ibid., 26.7.5).

    Parameters
    ----------
    dof : int
        Degrees of freedom, at least 1.

    Examples
    --------
    >>> [round(t_quantile(dof), 3) for dof in (1, 2, 9, 30)]
    [12.706, 4.303, 2.262, 2.042]
    """
    if dof > _MANY:
        z = _NORMAL_975
        terms = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
        return z + terms[0] / dof + terms[1] / dof**2
    low, high = 0.0, math.pi / 2
    while high - low > 1e-15 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if _t_within(middle, dof) < 0.95 else (low, middle)
    return math.tan(low) * math.sqrt(dof)


def _t_within(angle: float, dof: int) -> float:
    """Return the probability that |t| is below ``tan(angle) * sqrt(dof)``."""
    sine, cosine = math.sin(angle), math.cos(angle)
    first = 2 if dof % 2 else 1
    term = cosine if dof % 2 else 1.0
    total = term if dof > 1 else 0.0
    for k in range(first, dof - 2 if dof % 2 else dof - 1, 2):
        term *= cosine**2 * k / (k + 1)
        total += term
    return 2 / math.pi * (angle + sine * total) if dof % 2 else sine * total
