"""Psets that travel together to where they are evaluated, and what comes back."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np

from psyflow.columns import Columns, take
from psyflow.mapper.call import Call
from psyflow.outcomes.records import Attempt, Failure, Rows
from psyflow.outcomes.table import Items
from psyflow.pspace.table import LazyTable
from psyflow.texts import exception_text
from psyflow.work.capture import Unheard
from psyflow.work.evaluate import Evaluator, StopNow
from psyflow.work.prepared import Prepared

__all__ = ["Batch", "Ended", "Returned", "evaluate", "evaluated", "peak_memory"]

_BYTES_PER_ROW = 64


@dataclass(frozen=True)
class Batch:
    """Some psets, on their way to a worker.

    Attributes
    ----------
    items : ndarray of int64, shape (n,)
        Their numbers, ascending.
    columns : mapping from str to column of length n
    """

    items: Items
    columns: Columns

    def __len__(self) -> int:
        return len(self.items)

    def at(self, rows: Items) -> Batch:
        """Return some of its psets, by their places here, as a batch of their own."""
        return Batch(self.items[rows], {name: take(c, rows) for name, c in self.columns.items()})

    def of(self, items: Items) -> Batch:
        """Return some of its psets, by their numbers."""
        return self.at(np.searchsorted(self.items, items))

    def halves(self) -> list[Batch]:
        """Cut it in two."""
        middle, rows = len(self) // 2, np.arange(len(self))
        return [self.at(rows[:middle]), self.at(rows[middle:])]

    def singly(self) -> Iterator[Batch]:
        """Yield each of its psets as a batch of its own."""
        return (self.at(row) for row in np.arange(len(self)).reshape(-1, 1))

    def psets(self) -> Iterator[dict[str, Any]]:
        """Yield its psets."""
        rows = zip(*self.columns.values(), strict=True) if self.columns else repeat(())
        for _, values in zip(self.items, rows, strict=False):
            yield dict(zip(self.columns, values, strict=True))

    def death(
        self, kind: str, what: str, seconds: float = 0.0, attempt: int = 1, stack: str = ""
    ) -> Failure:
        """Return the failure of its only pset, with which a worker died that had `seconds`."""
        start = time.time() - seconds
        tried = Attempt(int(self.items[0]), next(self.psets()), start, seconds, attempt)
        return Failure.of_death(tried, kind, what, stack)

    def given_up(self, error: Exception) -> Returned:
        """Return the failure of its only pset, which an engine has given up for `error`."""
        what = f"The engine gave it up: {exception_text(error)}"
        return Returned(failures=[self.death("crash", what)], batch=self)


@dataclass(frozen=True)
class Ended:
    """That a worker is through with a batch, and what it was like.

    Attributes
    ----------
    n_items : int
    seconds : float
        How long it took.
    waited : float
        How long the worker had waited for it; NaN if nobody knows.
    memory : float
        The most memory that the worker has used so far, in bytes.
    is_doomed : bool
        Whether a pset has failed in a way that no other one can escape.
    """

    n_items: int
    seconds: float
    waited: float
    memory: float
    is_doomed: bool = False


@dataclass
class Returned:
    """Outcomes of psets; what an `Evaluator` writes to, where there are no files.

    Attributes
    ----------
    rows : list of Rows
    failures : list of Failure
    batch : Batch or None
        The psets, and perhaps others; None until somebody who has them says so.
    ended : Ended or None
        If there is nothing to come of the batch.
    ended_by : BaseException or None
        The exception for which there is nothing to come of it.
    """

    rows: list[Rows] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    batch: Batch | None = None
    ended: Ended | None = None
    ended_by: BaseException | None = None

    def write_rows(self, rows: Rows) -> int:
        """Keep result rows."""
        self.rows.append(rows)
        return _BYTES_PER_ROW * len(rows.items)

    def write_failures(self, failures: Sequence[Failure]) -> None:
        """Keep failures."""
        self.failures += failures

    def sync(self) -> None:
        """Do nothing: there is no disk."""


def evaluate(evaluator: Evaluator, prepared: Prepared, batch: Batch) -> None:
    """Have an evaluator evaluate a batch, but for what it writes at the end of that."""
    while len(batch) and not evaluator.stopping:
        arguments: dict[str, Iterable[Any]] = {**batch.columns}
        if prepared.streams is not None:
            space = LazyTable.of_columns(batch.columns, len(batch))
            arguments["rng"] = prepared.streams.generators(space, np.arange(len(batch)))
        batch = batch.of(evaluator.evaluate(batch.items, arguments))


def evaluated(
    call: Call,
    prepared: Prepared,
    batch: Batch,
    lets_through: tuple[type[BaseException], ...] = (),
    begun: Callable[[Evaluator], object] = lambda evaluator: None,
) -> Returned:
    """Evaluate a batch in this process, and return what became of it.

    It has not ended if the function raised an exception of those that are let through, or
    somebody stopped the evaluator, which `begun` is given.
    """
    returned, begin = Returned(), time.monotonic()
    evaluator = Evaluator(
        prepared, returned, retries=call.retries, output=Unheard(), lets_through=lets_through
    )
    begun(evaluator)
    try:
        evaluate(evaluator, prepared, batch)
    except StopNow as stop:
        returned.ended_by = stop.__cause__
        return returned
    except lets_through as error:  # between two calls
        returned.ended_by = error
        return returned
    finally:
        evaluator.flush()
    seconds = time.monotonic() - begin
    returned.ended = Ended(
        len(batch), seconds, float("nan"), peak_memory(), evaluator.prospects.are_doomed
    )
    return returned


def peak_memory() -> float:
    """Return the most memory that this process has used so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
