"""How psets went: how many have ended, how long they took, and what they used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from psyflow.messages import duration

__all__ = ["Progress", "Spread", "Stats"]

PERCENTILES = (50, 90, 95, 99)


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

    Examples
    --------
    >>> print(Progress(total=9, active=0, finished=9, failures=2, exceptions=1))
    9 of 9 finished, 2 failed (1 with an exception)
    """

    total: int
    active: int
    finished: int
    failures: int
    exceptions: int

    def __str__(self) -> str:
        failed = f"{self.failures} failed"
        why = f" ({self.exceptions} with an exception)" if self.failures else ""
        return f"{self.finished} of {self.total} finished, {failed}{why}"


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
    """

    elapsed: float
    rate: float
    duration: Spread
    waiting: Spread
    memory: Spread

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
        spreads = (Spread.of(numbers) for numbers in (durations, waiting, memory))
        return cls(elapsed, rate, *spreads)

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
