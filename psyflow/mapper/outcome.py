"""Outcomes one by one, as they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np

from psyflow.mapper.batches import Batch, Returned
from psyflow.outcomes.records import SKIPPED, Failure, Rows

__all__ = ["Outcome", "outcomes_in"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one pset.

    Attributes
    ----------
    item : int
        The number of the pset, from 0 in the order in which they were given.
    pset : dict
    result : dict or None
        What the function returned; None if there is a failure instead.
    failure : Failure or None
        With ``kind`` (``"error"``, ``"timeout"``, ``"crash"``, …), ``exception``, ``traceback``
        and more.
    duration : float
        Seconds.

    Examples
    --------
    >>> outcome = Outcome(0, {"x": 3}, {"y": 9}, None, 0.1)
    >>> outcome.is_done, outcome.row
    (True, {'x': 3, 'y': 9})
    """

    item: int
    pset: Mapping[str, Any]
    result: Mapping[str, Any] | None
    failure: Failure | None
    duration: float

    @property
    def is_done(self) -> bool:
        """Whether there is a result."""
        return self.result is not None

    @property
    def is_skipped(self) -> bool:
        """Whether the function raised `Skip`, so that it has neither result nor failure."""
        return self.failure is not None and self.failure.kind == SKIPPED

    @property
    def row(self) -> dict[str, Any]:
        """The pset and its result, as far as there is one, in one dict."""
        return {**self.pset, **(self.result or {})}


def outcomes_in(returned: Returned) -> Iterator[Outcome]:
    """Yield the outcomes that came back together."""
    batch = returned.batch
    assert batch is not None
    for rows in returned.rows:
        yield from _outcomes_of(rows, batch)
    for failure in returned.failures:
        (pset,) = batch.of(np.array([failure.item])).psets()
        yield Outcome(failure.item, pset, None, failure, failure.duration)


def _outcomes_of(rows: Rows, batch: Batch) -> Iterator[Outcome]:
    names = tuple(rows.columns)
    values = zip(*rows.columns.values(), strict=True) if names else repeat(())
    psets = batch.of(rows.items).psets()
    told = zip(rows.items.tolist(), psets, values, rows.duration.tolist(), strict=False)
    for item, pset, row, duration in told:
        yield Outcome(item, pset, dict(zip(names, row, strict=True)), None, duration)
