"""Batches that are with an engine, and what to do with one whose worker died.

Engines are called themselves, not by joblib's backends: with these, a worker that dies leaves the
caller waiting for ever (multiprocessing, Dask), or takes what others had finished along (loky,
Ray).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from psyflow.engines.link import Link
from psyflow.exceptions import PsyflowError
from psyflow.texts import exception_text

__all__ = ["Arrival", "Shipments"]


class Divisible(Protocol):
    """What is sent, and can be cut in two."""

    def __len__(self) -> int: ...

    def halves(self) -> Any:
        """Cut it in two."""


AnyBatch = TypeVar("AnyBatch", bound=Divisible)


@dataclass
class Arrival(Generic[AnyBatch]):
    """What has become of a batch.

    Attributes
    ----------
    batch
    returned
        What the call of it has returned; None if it was taken back, or lost with the engine.
    death : Exception or None
        What says instead that its worker died with it, though it was alone.
    """

    batch: AnyBatch
    returned: Any = None
    death: Exception | None = None


class Shipments(Generic[AnyBatch]):
    """Sends batches; halves one with which a worker died, until it is alone.

    Parameters
    ----------
    link : Link
    send : callable
        Hands a batch over to the link, and returns its handle.
    """

    def __init__(self, link: Link, send: Callable[[AnyBatch], Any]) -> None:
        self._link = link
        self._send = send
        self._under_way: dict[Any, AnyBatch] = {}
        self._again: deque[AnyBatch] = deque()
        self._suspects: list[AnyBatch] = []
        self._alone: Any = None

    @property
    def has_room(self) -> bool:
        """Whether it takes another batch now."""
        return self._fits and not self._again and self._alone is None

    @property
    def _fits(self) -> bool:
        return len(self._under_way) < self._link.most_at_once

    @property
    def is_busy(self) -> bool:
        """Whether there is anything to come."""
        return bool(self._under_way or self._again or self._suspects)

    def submit(self, batch: AnyBatch) -> None:
        """Send a batch."""
        self._under_way[self._send(batch)] = batch

    def submit_again(self, batch: AnyBatch) -> None:
        """Send a batch, or what is left of it, once more, when there is room."""
        self._again.append(batch)

    def forget_waiting(self) -> None:
        """Send nothing that waits for being sent again."""
        self._again.clear()
        self._suspects.clear()

    def collect(self, seconds: float | None = None) -> Arrival[AnyBatch] | None:
        """Wait for a batch; None if there is none yet, or one is to be sent again.

        Raises
        ------
        PsyflowError
            If the engine cannot evaluate anything, so that it would be the same with all.
        """
        while self._again and self._fits and self._alone is None:
            self.submit(self._again.popleft())
        if not self._under_way:
            if not self._fits:
                # It does not answer, and is waited for.
                self._link.wait(seconds)
                return None
            if not self._suspects:
                return None
            # While there is no other: engines blame those that ran beside it.
            batch = self._suspects.pop()
            self.submit(batch)
            (self._alone,) = self._under_way
        handle = self._link.wait(seconds)
        if handle is None:
            return None
        batch = self._under_way.pop(handle)
        was_alone, self._alone = handle == self._alone, None
        try:
            return Arrival(batch, self._link.result(handle))
        except PsyflowError:
            raise
        except Exception as error:
            if self._link.is_recalled(error):
                return Arrival(batch)
            if self._link.is_death(error):
                return self._died(batch, error, was_alone)
            raise PsyflowError(
                f"The workers cannot evaluate the psets: {exception_text(error)}. "
                f"Have they the modules that the function needs, in the same versions?"
            ) from error

    def _died(
        self, batch: AnyBatch, error: Exception, was_alone: bool
    ) -> Arrival[AnyBatch] | None:
        if was_alone:
            return Arrival(batch, death=error)
        if len(batch) == 1:
            self._suspects.append(batch)
        else:
            # The engine does not say which pset its worker died with.
            self._again += batch.halves()
        return None
