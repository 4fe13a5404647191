"""What evaluates psets, wherever that is."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod

from psyflow.mapper.batches import Batch, Returned

__all__ = ["ANY_NUMBER", "Engine"]

ANY_NUMBER = sys.maxsize


class Engine(ABC):
    """Takes batches of psets, and gives back what became of them."""

    @property
    @abstractmethod
    def n_workers(self) -> int:
        """How many batches it evaluates at once."""

    @property
    @abstractmethod
    def room(self) -> int:
        """How many psets it takes now in one batch; 0 if it has enough to do."""

    @property
    @abstractmethod
    def is_busy(self) -> bool:
        """Whether there is anything to come of what it was given."""

    @abstractmethod
    def submit(self, batch: Batch) -> None:
        """Take a batch."""

    @abstractmethod
    def collect(self) -> list[Returned]:
        """Wait for outcomes, and return them.

        Raises
        ------
        PsyflowError
            If it cannot evaluate psets at all, so that it would be the same with all.
        """

    def close(self) -> None:  # noqa: B027
        """End what was started for it, whatever that is doing."""
