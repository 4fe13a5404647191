"""What `map` returns: data frames, as surveys had them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas

from psyflow.outcomes.records import Failure
from psyflow.results import Results
from psyflow.results.performance import Progress
from psyflow.survey.stats import PerfStats
from psyflow.survey.worker import IOWAIT, RAW_STATS

__all__ = ["MapResults", "Missing"]

EXCEPTION, TRACEBACK = "_exception", "_traceback"


class _Frame(pandas.DataFrame):  # type: ignore[misc]
    """A data frame with the words of surveys for its rows."""

    def itertuples(self, index: bool = False, name: str | None = "Row") -> Iterator[Any]:
        """Yield the rows as named tuples."""
        rows: Iterator[Any] = super().itertuples(index=index, name=name)
        return rows

    def iterdicts(self) -> Iterator[dict[str, Any]]:
        """Yield the rows as dicts."""
        names = list(self.columns)
        for row in self.itertuples(name=None):
            yield dict(zip(names, row, strict=True))

    def to_df(self) -> pandas.DataFrame:
        """Return the rows as a data frame that is nothing else."""
        return pandas.DataFrame(self)


class Missing(_Frame):
    """Psets without a result, with ``_exception`` and ``_traceback`` if there was one."""

    @property
    def _constructor(self) -> type[Missing]:
        return Missing

    def to_psets(self) -> list[dict[str, Any]]:
        """Return the psets, such as `map` takes them."""
        names = [name for name in self.columns if name not in (EXCEPTION, TRACEBACK)]
        psets: list[dict[str, Any]] = self[names].to_dict("records")
        return psets


class MapResults(_Frame):
    """The results of a survey: a data frame, and what else is known.

    Parameters
    ----------
    table : Results
    failures : mapping from int to Failure
        By the numbers of the psets.
    verbose : int
    name : str
        What the map was called.

    Attributes
    ----------
    verbose : int

    Examples
    --------
    >>> from psyflow import survey
    >>> survey.init(verbose=0, pslogger_fd=2)
    >>> def worker(pset, system_kwargs, user_kwargs):
    ...     return {"half": pset["x"] / 2}
    >>> results = survey.map(worker, [{"x": 1}, {"x": 4}])
    >>> [row.half for row in results.itertuples()], float(results["half"].sum())
    ([0.5, 2.0], 2.5)
    >>> survey.finalize()
    """

    _metadata = ("_table", "_failures", "_name", "verbose")

    def __init__(
        self, table: Results, failures: Mapping[int, Failure], verbose: int = 1, name: str = "map"
    ) -> None:
        super().__init__(table.to_pandas().drop(columns=[IOWAIT, RAW_STATS], errors="ignore"))
        self._table = table
        self._failures = failures
        self._name = name
        self.verbose = verbose

    @property
    def _constructor(self) -> type[pandas.DataFrame]:
        return pandas.DataFrame  # type: ignore[no-any-return]

    @functools.cached_property
    def results(self) -> pandas.DataFrame:
        """A data frame of the psets that have a result, and that."""
        return self.to_df()

    @functools.cached_property
    def missing(self) -> Missing:
        """A data frame of the psets that have none; ``to_psets()`` gives what to map again."""
        told = self._table.bookkeeping["item"]
        items = np.setdiff1d(np.arange(self._table.n_items), np.asarray(told)).tolist()
        failures = [self._failures.get(item) for item in items]
        frame = Missing(self._table.missing.to_pandas())
        frame[EXCEPTION] = [None if found is None else found.exception for found in failures]
        frame[TRACEBACK] = [None if found is None else found.traceback for found in failures]
        return frame

    @property
    def progress(self) -> Progress:
        """With ``total``, ``active``, ``finished``, ``failures`` and ``exceptions``."""
        return self._table.progress

    @functools.cached_property
    def stats(self) -> PerfStats:
        """How long psets took, what they used, and what workers have recorded."""
        table, name = self._table, self._name
        wallclock = np.asarray(table.bookkeeping["duration"]).tolist()
        told = PerfStats.of(table.stats, {f"{name}_wallclock": wallclock} if wallclock else {})
        if IOWAIT in table:
            told.combine_stats({f"{name}_iowait": np.asarray(table[IOWAIT]).tolist()})
        for raw_stats in table.get(RAW_STATS, ()):
            if isinstance(raw_stats, dict):  # not all have recorded something
                told.combine_stats(raw_stats)
        return told

    def to_dict(self, orient: str = "records") -> list[dict[str, Any]]:
        """Return the rows of `results` as a list of dicts.

        Parameters
        ----------
        orient : {"records"}

        Raises
        ------
        ValueError
            If it is another.
        """
        if orient != "records":
            raise ValueError(f'Only to_dict("records") is there, not {orient!r}.')
        return list(self.iterdicts())
