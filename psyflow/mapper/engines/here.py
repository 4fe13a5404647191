"""In this process: one pset after the other, or in threads."""

from __future__ import annotations

import threading
from queue import SimpleQueue

from psyflow.mapper.batches import Batch, Returned, evaluated
from psyflow.mapper.call import Call
from psyflow.mapper.engines.base import ANY_NUMBER, Engine
from psyflow.work.prepared import Prepared

__all__ = ["Serial", "Threads"]


class Serial(Engine):
    """Evaluates one pset after the other, in the thread that asks for it.

    Parameters
    ----------
    call : Call
    lets_through : tuple of exception types
        Of the function: those that are no outcomes, but raised here.
    """

    n_workers = 1

    def __init__(
        self, call: Call, lets_through: tuple[type[BaseException], ...] = (KeyboardInterrupt,)
    ) -> None:
        self._call = call
        self._lets_through = lets_through
        self._prepared: Prepared | None = None
        self._batch: Batch | None = None
        self._to_raise: BaseException | None = None

    @property
    def room(self) -> int:
        """Any number if it has nothing to do."""
        return 0 if self.is_busy else ANY_NUMBER

    @property
    def is_busy(self) -> bool:
        """Whether it has a batch, or something to raise."""
        return self._batch is not None or self._to_raise is not None

    def submit(self, batch: Batch) -> None:
        """Take a batch."""
        self._batch = batch

    def collect(self) -> list[Returned]:
        """Evaluate the batch.

        Raises
        ------
        BaseException
            What the function raised and is let through: after what was done until then has been
            returned.
        """
        if self._to_raise is not None:
            raise self._to_raise
        if self._prepared is None:
            self._prepared = self._call.prepared(0)
        batch, self._batch = self._batch, None
        assert batch is not None
        returned = evaluated(self._call, self._prepared, batch, self._lets_through)
        returned.batch, self._to_raise = batch, returned.ended_by
        return [returned]


class Threads(Engine):
    """Evaluates psets in threads, which nobody waits for at the end of the process.

    Parameters
    ----------
    call : Call
    n_workers : int
    """

    def __init__(self, call: Call, n_workers: int) -> None:
        self._call = call
        self._n_workers = n_workers
        self._n_started = self._n_running = 0
        self._given: SimpleQueue[Batch | None] = SimpleQueue()
        self._returned: SimpleQueue[Returned | BaseException] = SimpleQueue()

    @property
    def n_workers(self) -> int:
        """The number of threads."""
        return self._n_workers

    @property
    def room(self) -> int:
        """Any number if a thread has nothing to do."""
        return ANY_NUMBER if self._n_running < self._n_workers else 0

    @property
    def is_busy(self) -> bool:
        """Whether any thread has something to do."""
        return self._n_running > 0

    def submit(self, batch: Batch) -> None:
        """Give a batch to a thread, which is started if there is none without."""
        if self._n_running == self._n_started:
            number = self._n_started
            name = f"psyflow-map-{number}"
            threading.Thread(target=self._work, args=[number], name=name, daemon=True).start()
            self._n_started += 1
        self._n_running += 1
        self._given.put(batch)

    def _work(self, number: int) -> None:
        try:
            prepared = self._call.prepared(number)
            while (batch := self._given.get()) is not None:
                returned = evaluated(self._call, prepared, batch)
                returned.batch = batch
                self._returned.put(returned)
        except BaseException as error:
            self._returned.put(error)

    def collect(self) -> list[Returned]:
        """Wait for a batch to be done."""
        returned = self._returned.get()
        if isinstance(returned, BaseException):
            raise returned
        self._n_running -= 1
        return [returned]

    def close(self) -> None:
        """Let the threads end, each after what it is doing."""
        for _ in range(self._n_started):
            self._given.put(None)
