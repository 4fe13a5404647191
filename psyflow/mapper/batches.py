"""Psets that travel together to where they are evaluated, and what comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from psyflow.outcomes.records import Attempt, Failure, Rows
from psyflow.pspace import ParameterSpace
from psyflow.texts import exception_text
from psyflow.work.evaluate import Evaluator
from psyflow.work.prepared import Prepared

__all__ = ["Batch", "Returned", "accept", "batch_size"]

BATCHES_PER_WORKER = 16
_BYTES_PER_ROW = 64


@dataclass
class Returned:
    """The outcomes of one batch; what an `Evaluator` writes to, where there are no files.

    Attributes
    ----------
    rows : list of Rows
    failures : list of Failure
    """

    rows: list[Rows] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def write_rows(self, rows: Rows) -> int:
        """Keep result rows."""
        self.rows.append(rows)
        return _BYTES_PER_ROW * len(rows.items)

    def write_failure(self, failure: Failure) -> None:
        """Keep a failure."""
        self.failures.append(failure)

    def sync(self) -> None:
        """Do nothing: there is no disk."""


@dataclass(frozen=True)
class Batch:
    """Some psets, on their way to a worker."""

    function: Callable[..., Mapping[str, Any]]
    check: Callable[[Mapping[str, Any]], None]
    psets: ParameterSpace
    first: int

    def part(self, start: int, stop: int) -> Batch:
        """Return the psets from `start` to `stop` as a batch of their own."""
        return Batch(self.function, self.check, self.psets[start:stop], self.first + start)

    def split(self, size: int) -> list[Batch]:
        """Cut it into batches of at most `size` psets."""
        n = len(self.psets)
        return [self.part(start, min(start + size, n)) for start in range(0, n, size)]

    def evaluate(self) -> Returned:
        """Evaluate all of its psets."""
        returned = Returned()
        evaluator = Evaluator(Prepared(self.function, check=self.check), returned)
        n = len(self.psets)
        evaluator.evaluate(np.arange(self.first, self.first + n), self.psets.columns(0, n))
        evaluator.flush()
        return returned

    def crash(self, error: Exception) -> Returned:
        """Return the failure of the only pset of this batch, with which its worker died."""
        attempt = Attempt(self.first, self.psets[0], start=time.time(), duration=0.0)
        what = f"The engine gave it up: {exception_text(error)}"
        return Returned(failures=[Failure.of_death(attempt, "crash", what)])


def accept(row: Mapping[str, Any]) -> None:
    """Take any row; a function by name, since not every engine pickles others."""


def batch_size(n_items: int, n_workers: int) -> int:
    """Return how many psets to send at once, so that every worker gets several batches."""
    return max(1, -(-n_items // (BATCHES_PER_WORKER * n_workers)))
