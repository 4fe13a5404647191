"""Evaluating elsewhere: batches go out as pickles, and their outcomes come back.

Engines need no shared files. They are called themselves, not by joblib's backends: with these, a
worker that dies leaves the caller waiting for ever (multiprocessing, Dask), or takes what others
had finished along (loky, Ray).
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import pickle
import time
from abc import abstractmethod
from collections import deque
from typing import Any

from psyflow.columns import Columns
from psyflow.exceptions import PsyflowError, UsageError
from psyflow.mapper.batches import Batch, Returned, evaluated
from psyflow.mapper.call import Call
from psyflow.mapper.engines.base import ANY_NUMBER, Engine
from psyflow.outcomes.table import Items
from psyflow.texts import exception_text
from psyflow.work.prepared import Prepared

__all__ = ["Packed", "Remote", "evaluate_packed", "module_of"]

COUNT_SECONDS = 1.0


class Packed:
    """A call as a pickle that workers can load which have not seen the function's module.

    Parameters
    ----------
    call : Call

    Raises
    ------
    UsageError
        If it cannot be pickled.
    """

    def __init__(self, call: Call) -> None:
        import cloudpickle

        try:
            self._bytes: bytes = cloudpickle.dumps(call)
        except Exception as error:
            raise UsageError(
                "The function cannot be sent to workers of this backend: "
                f'{exception_text(error)}. Use backend="processes", which sends no functions.'
            ) from error
        self._name = hashlib.blake2b(self._bytes, digest_size=16).hexdigest()

    def prepared(self) -> tuple[Call, Prepared]:
        """Return the call, and what it needs, made once in each process."""
        return _prepared(self)

    def load(self) -> Call:
        """Return the call."""
        call: Call = pickle.loads(self._bytes)
        return call

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packed) and self._name == other._name

    def __hash__(self) -> int:
        return hash(self._name)


@functools.lru_cache(maxsize=1)
def _prepared(packed: Packed) -> tuple[Call, Prepared]:
    call = packed.load()
    return call, call.prepared(0)


def evaluate_packed(packed: Packed, items: Items, columns: Columns) -> Returned:
    """Evaluate a batch, in a process of an engine's."""
    call, prepared = packed.prepared()
    return evaluated(call, prepared, Batch(items, columns))


class Remote(Engine):
    """An engine that says of a batch, as a whole, that it is done, or that its worker died.

    Parameters
    ----------
    call : Call
    """

    def __init__(self, call: Call) -> None:
        self._packed = Packed(call)
        self._batches: dict[Any, Batch] = {}
        self._again: deque[Batch] = deque()
        self._suspects: list[Batch] = []
        self._n_workers, self._counted = 1, float("-inf")

    @abstractmethod
    def send(self, packed: Packed, batch: Batch) -> Any:
        """Hand a batch over, and return a handle of it."""

    @abstractmethod
    def wait(self) -> Any:
        """Wait until a batch is done, and return its handle."""

    @abstractmethod
    def result(self, handle: Any) -> Returned:
        """Return the outcomes of a batch that is done, or raise what became of it."""

    @abstractmethod
    def is_death(self, error: Exception) -> bool:
        """Tell whether `error` says that a worker died with its batch."""

    @abstractmethod
    def count_workers(self) -> int:
        """Return how many workers there are now."""

    @property
    def n_workers(self) -> int:
        """How many workers there were a moment ago: clusters grow and shrink."""
        if time.monotonic() - self._counted > COUNT_SECONDS:
            self._n_workers, self._counted = self.count_workers(), time.monotonic()
        return self._n_workers

    @property
    def most_at_once(self) -> float:
        """How many batches it should have: where a death takes all of them along, few."""
        return 3 * self.n_workers

    @property
    def room(self) -> int:
        """Any number as long as it has few batches."""
        return ANY_NUMBER if self._has_room and not self._again else 0

    @property
    def _has_room(self) -> bool:
        return len(self._batches) < self.most_at_once

    @property
    def is_busy(self) -> bool:
        """Whether there is anything to come."""
        return bool(self._batches or self._again or self._suspects)

    def submit(self, batch: Batch) -> None:
        """Take a batch."""
        self._batches[self.send(self._packed, batch)] = batch

    def collect(self) -> list[Returned]:
        """Wait for a batch to be done; halve one with which a worker died, until it is alone."""
        while self._again and self._has_room:
            self.submit(self._again.popleft())
        if not self._batches:
            return [self._alone(self._suspects.pop())]
        handle = self.wait()
        batch = self._batches.pop(handle)
        returned = self._outcomes(handle)
        if isinstance(returned, Returned):
            returned.batch = batch
            return [returned]
        if len(batch) == 1:
            self._suspects.append(batch)
        else:
            # The engine does not say which pset its worker died with.
            self._again += batch.halves()
        return []

    def _alone(self, batch: Batch) -> Returned:
        """Evaluate a batch while there is no other: engines blame those that ran beside it."""
        self.send(self._packed, batch)
        returned = self._outcomes(self.wait())
        if not isinstance(returned, Returned):
            return batch.given_up(returned)
        returned.batch = batch
        return returned

    def _outcomes(self, handle: Any) -> Returned | Exception:
        """Return the outcomes of a batch, or what says that its worker died."""
        try:
            return self.result(handle)
        except PsyflowError:
            raise
        except Exception as error:
            if self.is_death(error):
                return error
            raise PsyflowError(
                f"The workers cannot evaluate the psets: {exception_text(error)}. "
                f"Have they the modules that the function needs, in the same versions?"
            ) from error


def module_of(name: str, engine: str, extra: str) -> Any:
    """Import what an engine needs.

    Raises
    ------
    PsyflowError
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise PsyflowError(
            f"{engine} is not installed. Type: pip install 'psyflow[{extra}]'"
        ) from None
