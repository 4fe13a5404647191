"""What `map` returns: data frames, as surveys had them."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas

from psyflow.outcomes.records import Failure
from psyflow.results import Results
from psyflow.results.performance import Progress, Stats

__all__ = ["MapResults", "Missing"]

EXCEPTION, TRACEBACK = "_exception", "_traceback"


class Missing(pandas.DataFrame):  # type: ignore[misc]
    """Psets without a result, with ``_exception`` and ``_traceback`` if there was one."""

    @property
    def _constructor(self) -> type[Missing]:
        return Missing

    def to_psets(self) -> list[dict[str, Any]]:
        """Return the psets, such as `map` takes them."""
        names = [name for name in self.columns if name not in (EXCEPTION, TRACEBACK)]
        psets: list[dict[str, Any]] = self[names].to_dict("records")
        return psets


class MapResults:
    """The results of a survey.

    Parameters
    ----------
    table : Results
    failures : mapping from int to Failure
        By the numbers of the psets.
    verbose : int

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
    >>> [row.half for row in results.itertuples()]
    [0.5, 2.0]
    >>> survey.finalize()
    """

    def __init__(self, table: Results, failures: Mapping[int, Failure], verbose: int = 1) -> None:
        self._table = table
        self._failures = failures
        self.verbose = verbose

    @functools.cached_property
    def results(self) -> pandas.DataFrame:
        """A data frame of the psets that have a result, and that."""
        return self._table.to_pandas()

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

    @property
    def stats(self) -> Stats:
        """How long psets took, and what they used."""
        return self._table.stats

    def itertuples(self) -> Iterator[Any]:
        """Yield the rows of `results` as named tuples."""
        rows: Iterator[Any] = self.results.itertuples(index=False)
        return rows

    def iterdicts(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of `results` as dicts."""
        names = list(self.results.columns)
        for row in self.results.itertuples(index=False, name=None):
            yield dict(zip(names, row, strict=True))

    def to_df(self) -> pandas.DataFrame:
        """Return `results`."""
        return self.results

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
