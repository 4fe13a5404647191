"""Times that a worker records while it works, and what is told of them after a survey."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, TextIO, TypeAlias

import numpy as np

from psyflow.results.performance import Histogram, Spread, Stats

__all__ = ["PerfStats", "record_iowait", "record_wallclock"]

RawStats: TypeAlias = "MutableMapping[str, list[float]]"


class PerfStats:
    """How long psets took, and what they used; and times that were recorded under names.

    The attributes of `psyflow.map`'s `stats` are there, too: ``elapsed``, ``rate``, ``duration``,
    ``waiting``, ``memory`` and ``histogram``.

    Parameters
    ----------
    raw_stats : mapping from str to list of float, optional
        Times in seconds, by their names.

    Examples
    --------
    >>> from psyflow.survey.stats import PerfStats
    >>> stats = PerfStats({"read": [0.1, 0.3]})
    >>> stats.read_stats("read")[:2]
    (2, 0.2)
    >>> stats.print_percentiles()
    counter read, total 0.4 s, mean 0.2 s, counts 2
    counter read, 50%tile: 0.2 s
    counter read, 90%tile: 0.28 s
    counter read, 95%tile: 0.29 s
    counter read, 99%tile: 0.298 s
    """

    def __init__(self, raw_stats: Mapping[str, Iterable[float]] | None = None) -> None:
        self._of_map = Stats.of(np.empty(0), np.empty(0))
        self._times: dict[str, list[float]] = {}
        self.combine_stats(raw_stats or {})

    @classmethod
    def of(cls, of_map: Stats, raw_stats: Mapping[str, Iterable[float]]) -> PerfStats:
        """Return those of a map, and what its workers have recorded."""
        made = cls(raw_stats)
        made._of_map = of_map
        return made

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._of_map, name)

    def combine_stats(self, raw_stats: Mapping[str, Iterable[float]]) -> None:
        """Add times."""
        for name, seconds in raw_stats.items():
            self._times.setdefault(name, []).extend(seconds)

    def all_stat_names(self) -> Collection[str]:
        """Return the names of what was recorded."""
        return self._times.keys()

    def read_stats(self, name: str) -> tuple[int, float, Histogram] | None:
        """Return how many times were recorded under a name, their mean, and their histogram."""
        seconds = self._times.get(name)
        if not seconds:
            return None
        return len(seconds), sum(seconds) / len(seconds), Histogram.of(seconds)

    def print_percentiles(self, name: str | None = None, file: TextIO | None = None) -> None:
        """Print mean and percentiles of what was recorded under a name; of all, without one."""
        for chosen in self._names(name):
            seconds = self._times[chosen]
            spread, total = Spread.of(seconds), sum(seconds)
            head = f"counter {chosen}, total {total:.4g} s, mean {spread.mean:.4g} s"
            print(f"{head}, counts {spread.n}", file=file or sys.stdout)
            for percent in (50, 90, 95, 99):
                value = getattr(spread, f"p{percent}")
                print(f"counter {chosen}, {percent}%tile: {value:.4g} s", file=file or sys.stdout)

    def print_histograms(self, name: str | None = None, file: TextIO | None = None) -> None:
        """Print the histogram of what was recorded under a name, of all without one."""
        for chosen in self._names(name):
            seconds = self._times[chosen]
            print(f"counter {chosen}, counts {len(seconds)}", file=file or sys.stdout)
            print(Histogram.of(seconds), file=file or sys.stdout)

    print_percentile = print_percentiles
    print_histogram = print_histograms

    def _names(self, name: str | None) -> list[str]:
        return sorted(self._times) if name is None else [name] if name in self._times else []

    def __str__(self) -> str:
        return str(self._of_map)


@contextlib.contextmanager
def record_wallclock(
    name: str, raw_stats: RawStats | None = None, obj: PerfStats | None = None
) -> Iterator[None]:
    """Record how long a block takes.

    Parameters
    ----------
    name : str
        What the time is called.
    raw_stats : dict, optional
        Where it goes; in a worker, ``system_kwargs["raw_stats"]``.
    obj : PerfStats, optional
        Where it goes otherwise.

    Examples
    --------
    >>> from psyflow.survey.stats import record_wallclock
    >>> raw_stats = {}
    >>> with record_wallclock("sums", raw_stats):
    ...     _ = sum(range(1000))
    >>> raw_stats["sums"][0] < 1
    True
    """
    begin = time.perf_counter()
    try:
        yield
    finally:
        _record(name, time.perf_counter() - begin, raw_stats, obj)


@contextlib.contextmanager
def record_iowait(
    name: str, raw_stats: RawStats | None = None, obj: PerfStats | None = None
) -> Iterator[None]:
    """Record how long a block takes in which its process does not compute, but waits.

    Parameters
    ----------
    name, raw_stats, obj
        As of `record_wallclock`.

    Examples
    --------
    >>> import time
    >>> from psyflow.survey.stats import PerfStats, record_iowait
    >>> stats = PerfStats()
    >>> with record_iowait("pause", obj=stats):
    ...     time.sleep(0.01)
    >>> stats.read_stats("pause")[1] > 0.005
    True
    """
    begin, begin_cpu = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        waited = time.perf_counter() - begin - (time.process_time() - begin_cpu)
        _record(name, max(0.0, waited), raw_stats, obj)


def _record(name: str, seconds: float, raw_stats: RawStats | None, obj: PerfStats | None) -> None:
    if raw_stats is not None:
        raw_stats.setdefault(name, []).append(seconds)
    if obj is not None:
        obj.combine_stats({name: [seconds]})
