"""How psets went: how many have ended, how long they took, and what they used."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from psyflow.messages import duration

__all__ = ["Histogram", "Progress", "Spread", "Stats"]

PERCENTILES = (50, 90, 95, 99)
BAR = 40
"""The length of the longest bar of a histogram, in characters."""


@dataclass(frozen=True)
class Progress:
    """How many psets have ended, and how.

    Attributes
    ----------
    total : int
        All of them.
    active : int
        Those that are being evaluated.
    finished : int
        Those that have ended, failures included.
    failures : int
        Those without a result that failed.
    exceptions : int
        Of these, those whose function raised an exception.
    skipped : int
        Those without a result that were skipped.

    Examples
    --------
    >>> print(Progress(total=9, active=0, finished=9, failures=2, exceptions=1))
    7 of 9 items done, 2 failed (1 with an exception)
    """

    total: int
    active: int
    finished: int
    failures: int
    exceptions: int
    skipped: int = 0

    @property
    def done(self) -> int:
        """How many have a result."""
        return self.finished - self.failures - self.skipped

    @property
    def ended(self) -> str:
        """What became of those that have ended, in words.

        Examples
        --------
        >>> Progress(total=9, active=2, finished=7, failures=2, exceptions=1, skipped=1).ended
        '4 of 9 items done, 2 failed, 1 skipped'
        """
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.done} of {self.total} items done, {self.failures} failed{skipped}"

    def __str__(self) -> str:
        why = f" ({self.exceptions} with an exception)" if self.failures else ""
        return f"{self.ended}{why}"


@dataclass(frozen=True)
class Spread:
    """The mean and percentiles of some numbers; all of them NaN if there is none.

    Attributes
    ----------
    n : int
        How many numbers there are.
    mean, p50, p90, p95, p99, max : float

    Examples
    --------
    >>> Spread.of([1.0, 2.0, 3.0])
    Spread(n=3, mean=2.0, p50=2.0, p90=2.8, p95=2.9, p99=2.98, max=3.0)
    """

    n: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, numbers: npt.ArrayLike) -> Spread:
        """Return that of some numbers; those that are NaN do not count."""
        array = np.asarray(numbers, dtype=np.float64)
        array = array[~np.isnan(array)]
        if not len(array):
            nan = float("nan")
            return cls(0, nan, nan, nan, nan, nan, nan)
        p50, p90, p95, p99 = np.percentile(array, PERCENTILES).tolist()
        mean, largest = float(array.mean()), float(array.max())
        return cls(len(array), mean, p50, p90, p95, p99, largest)


@dataclass(frozen=True)
class Histogram:
    """How many of some numbers lie where.

    Attributes
    ----------
    bounds : tuple of float
        Ascending; round numbers. If the largest number is ten times the smallest, or more, these
        are 1, 2 and 5 times powers of ten.
    counts : tuple of int
        How many numbers lie between each bound, itself included, and the next one.

    Examples
    --------
    >>> print(Histogram.of([0.11, 0.13, 0.15, 0.3, 7]))
    0.1 to 0.2  3  ########################################
    0.2 to 0.5  1  ##############
      0.5 to 1  0
        1 to 2  0
        2 to 5  0
       5 to 10  1  ##############
    >>> print(Histogram.of([2.0, 2.25, 2.5, 4.5]))
    2 to 2.5  2  ########################################
    2.5 to 3  1  ####################
    3 to 3.5  0
    3.5 to 4  0
    4 to 4.5  0
    4.5 to 5  1  ####################
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, numbers: npt.ArrayLike) -> Histogram:
        """Return that of some numbers; those that are NaN do not count, and none is below 0."""
        array = np.asarray(numbers, dtype=np.float64)
        array = np.maximum(array[np.isfinite(array)], 0.0)
        if not len(array):
            return cls((), ())
        bounds = _bounds(float(array.min()), float(array.max()))
        # Rounding may have put a number beside the bound that it is.
        places = np.searchsorted(bounds, array, side="right").clip(1, len(bounds) - 1)
        counts = np.bincount(places, minlength=len(bounds))[1 : len(bounds)]
        return cls(tuple(bounds), tuple(counts.tolist()))

    def __str__(self) -> str:
        pairs = itertools.pairwise(self.bounds)
        between = [f"{low:.4g} to {high:.4g}" for low, high in pairs]
        widths = [max(map(len, column), default=0) for column in (between, map(str, self.counts))]
        most = max(self.counts, default=0)
        return "\n".join(
            f"{where:>{widths[0]}}  {n:>{widths[1]}}  {'#' * math.ceil(BAR * n / most)}".rstrip()
            for where, n in zip(between, self.counts, strict=True)
        )


def _bounds(smallest: float, largest: float) -> list[float]:
    """Return round numbers of which the first is not above all, and the last one above all."""
    exponent = math.floor(math.log10(largest)) if largest > 0 else -3
    if largest < 10 * smallest:
        unit = 10.0 ** (exponent - 1)
        step = next(s for s in (1, 2, 5, 10) if (largest - smallest) / unit / s <= 10)
        first = math.floor(smallest / unit / step)
        last = math.floor(largest / unit / step) + 1
        return [float(f"{k * step * unit:.9g}") for k in range(first, last + 1)]
    lowest = max(math.floor(math.log10(smallest)) if smallest > 0 else exponent - 3, exponent - 9)
    scale = [m * 10.0**e for e in range(lowest, exponent + 2) for m in (1, 2, 5)]
    inside = [bound for bound in scale if smallest < bound <= largest]
    above = next(bound for bound in scale if bound > largest)
    below = max((bound for bound in scale if bound <= smallest), default=0.0)
    return [below, *inside, above]


@dataclass(frozen=True)
class Stats:
    """How long psets took, and what they used.

    Attributes
    ----------
    elapsed : float
        Seconds from the beginning of the first to the end of the last.
    rate : float
        Psets that ended with a result, per second.
    duration : Spread
        Seconds that each took.
    waiting : Spread
        Seconds that workers waited for the next psets. None are known of runs in a folder.
    memory : Spread
        The most memory, in bytes, that each worker had used each time that it had evaluated some
        psets; of runs in a folder, as `Results.bookkeeping` has it.
    histogram : Histogram
        How many took how long.
    """

    elapsed: float
    rate: float
    duration: Spread
    waiting: Spread
    memory: Spread
    histogram: Histogram

    @classmethod
    def of(
        cls,
        starts: npt.NDArray[np.float64],
        durations: npt.NDArray[np.float64],
        waiting: npt.ArrayLike = (),
        memory: npt.ArrayLike = (),
    ) -> Stats:
        """Return those of psets that have a result.

        Parameters
        ----------
        starts, durations : ndarray of float64, shape (n,)
            Seconds since 1970, and seconds.
        waiting, memory : array-like of float
        """
        n = len(starts)
        elapsed = float((starts + durations).max() - starts.min()) if n else 0.0
        rate = n / elapsed if elapsed > 0 else float("nan")
        duration, waited, used = map(Spread.of, (durations, waiting, memory))
        return cls(elapsed, rate, duration, waited, used, Histogram.of(durations))

    def __str__(self) -> str:
        lines = [f"{self.duration.n} results in {duration(self.elapsed)}, {self.rate:.3g}/s"]
        told = {"each took": self.duration, "workers waited": self.waiting}
        for what, spread in told.items():
            if spread.n:
                lines.append(
                    f"{what} {spread.mean:.3g} s on average, {spread.p50:.3g} s at the median, "
                    f"{spread.p95:.3g} s at the 95th percentile"
                )
        if self.memory.n:
            lines.append(f"workers used up to {self.memory.max / 1e6:.0f} MB")
        return "\n".join(lines)
