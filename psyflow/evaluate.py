"""One pset in, one outcome out: calling the user's function and keeping what became of it."""

from __future__ import annotations

import os
import pickle
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Columns, from_rows
from psyflow.exceptions import UnsupportedDataError
from psyflow.shard import Failure, Rows, ShardWriter, pset_repr

__all__ = ["Evaluator", "Prepared", "StopNow", "result_row"]

FLUSH_SECONDS = 1.0
FLUSH_BYTES = 8 << 20
FLUSH_ROWS = 1 << 16
_UNPICKLABLE = (pickle.PicklingError, TypeError, AttributeError)


class StopNow(BaseException):
    """Raised inside the user's function when it has to stop at once."""


@dataclass
class Prepared:
    """What a worker needs to evaluate psets.

    Attributes
    ----------
    execute : callable
        Called with the pset as keyword arguments; returns a dict.
    extra : mapping
        Further keyword arguments: what the task's ``setup`` returned.
    check : callable
        Raises UnsupportedDataError for a result row that the store cannot hold.
    """

    execute: Callable[..., Mapping[str, Any]]
    extra: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[[Mapping[str, Any]], None] = lambda row: None


def result_row(returned: Any) -> dict[str, Any]:
    """Return `returned` as a result row, or raise TypeError saying what is wrong with it.

    Examples
    --------
    >>> result_row({"y": 4})
    {'y': 4}
    >>> result_row(4)
    Traceback (most recent call last):
        ...
    TypeError: execute returned 4, of type int. It has to return a dict of names and values, such as {"y": ...}.
    """
    if not isinstance(returned, Mapping):
        text = repr(returned)
        text = text if len(text) <= 80 else f"{text[:79]}…"
        raise TypeError(
            f"execute returned {text}, of type {type(returned).__name__}. "
            f'It has to return a dict of names and values, such as {{"y": ...}}.'
        )
    for name in returned:
        if not isinstance(name, str):
            raise TypeError(
                f"execute returned a dict with the key {name!r}; keys have to be text."
            )
    return dict(returned)


def _user_traceback(error: BaseException) -> str:
    # The first frame is psyflow's own call of the function.
    tb = error.__traceback__.tb_next if error.__traceback__ else None
    return "".join(traceback.format_exception(type(error), error, tb or error.__traceback__))


class _Buffer:
    """Outcomes that are not yet in the shard, as parallel lists."""

    def __init__(self) -> None:
        self.items: list[int] = []
        self.psets: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []
        self.begins: list[float] = []
        self.durations: list[float] = []

    def add(
        self, item: int, pset: dict[str, Any], row: dict[str, Any], begin: float, duration: float
    ) -> None:
        self.items.append(item)
        self.psets.append(pset)
        self.rows.append(row)
        self.begins.append(begin)
        self.durations.append(duration)

    def singles(self) -> Iterator[_Buffer]:
        for values in zip(
            self.items, self.psets, self.rows, self.begins, self.durations, strict=True
        ):
            single = _Buffer()
            single.add(*values)
            yield single


class Evaluator:
    """Evaluates items, and appends their outcomes to a shard.

    Rows are buffered, and reach the disk at least once a second and at every `flush`.

    Parameters
    ----------
    prepared : Prepared
    writer : ShardWriter
    on_start : callable
        Told the item number and the time (seconds since 1970) before each call of the function, and
        −1 after it, so that a supervisor knows what was running.

    Attributes
    ----------
    stopping : bool
        Set it, from a signal handler for example, to end `evaluate` after the running item.
    in_call : bool
        Whether the user's function is running.
    n_failed : int
    """

    def __init__(
        self,
        prepared: Prepared,
        writer: ShardWriter,
        on_start: Callable[[int, float], None] = lambda item, start: None,
    ) -> None:
        self.stopping = False
        self.in_call = False
        self.n_failed = 0
        self._prepared = prepared
        self._writer = writer
        self._on_start = on_start
        self._host = socket.gethostname()
        # One monotonic clock: a clock that is set while an item runs must not bend durations.
        self._epoch = time.time() - time.perf_counter()
        self._last_flush = time.perf_counter()
        self._max_rows = 1
        self._checked: set[tuple[Any, ...]] = set()
        self._buffer = _Buffer()

    def evaluate(self, items: npt.NDArray[np.int64], psets: Columns) -> None:
        """Evaluate `items`, whose parameters are the rows of `psets`."""
        names = tuple(psets)
        value_rows = zip(*psets.values(), strict=True) if names else repeat(())
        for item, values in zip(items.tolist(), value_rows, strict=False):
            if self.stopping:
                return
            self._evaluate_one(item, dict(zip(names, values, strict=True)))

    def flush(self, *, sync: bool = True) -> None:
        """Append the buffered rows to the shard; with `sync`, also bring them to the disk."""
        if self._buffer.items:
            full, self._buffer = self._buffer, _Buffer()
            self._write(full)
        if sync:
            self._writer.sync()
            self._last_flush = time.perf_counter()

    def _evaluate_one(self, item: int, pset: dict[str, Any]) -> None:
        begin = time.perf_counter()
        self._on_start(item, self._epoch + begin)
        self.in_call = True
        try:
            returned = self._prepared.execute(**self._prepared.extra, **pset)
            self.in_call = False
        except StopNow:
            # The item counts as never begun.
            self._on_start(-1, 0.0)
            raise
        except BaseException as error:
            # Also SystemExit and whatever else: a bad item stops no other.
            self.in_call = False
            self._fail("error", item, pset, error, begin)
        else:
            end = time.perf_counter()
            self._keep(item, pset, returned, begin, end)
        self._on_start(-1, 0.0)
        due = time.perf_counter() - self._last_flush > FLUSH_SECONDS
        if due or len(self._buffer.items) >= self._max_rows:
            self.flush(sync=due)

    def _keep(
        self, item: int, pset: dict[str, Any], returned: Any, begin: float, end: float
    ) -> None:
        try:
            row = returned if type(returned) is dict else result_row(returned)
            signature = (*row, *map(type, row.values()))
            if signature not in self._checked:
                result_row(row)
                self._prepared.check(row)
                self._checked.add(signature)
        except (TypeError, UnsupportedDataError) as error:
            self._fail("result", item, pset, error, begin)
        else:
            self._buffer.add(item, pset, row, begin, end - begin)

    def _fail(
        self, kind: str, item: int, pset: Mapping[str, Any], error: BaseException, begin: float
    ) -> None:
        self.n_failed += 1
        text = f"{type(error).__name__}: {error}"
        trace = _user_traceback(error) if kind == "error" else ""
        print(f"Item {item} failed: {text}\n{trace}", flush=True)
        failure = Failure(
            item=item,
            kind=kind,
            exception=text,
            traceback=trace,
            pset=pset_repr(pset),
            start=self._epoch + begin,
            duration=time.perf_counter() - begin,
            host=self._host,
            pid=os.getpid(),
        )
        self._writer.write_failure(failure)

    def _write(self, buffer: _Buffer) -> None:
        try:
            length = self._writer.write_rows(self._rows(buffer))
        except _UNPICKLABLE as error:
            if len(buffer.items) == 1:
                cause = UnsupportedDataError(f"The result cannot be pickled: {error}")
                self._fail("result", buffer.items[0], buffer.psets[0], cause, buffer.begins[0])
                return
            # One of them cannot be pickled; the others must not suffer for it.
            for single in buffer.singles():
                self._write(single)
            return
        # The next frame may be as long as this one shows to be reasonable.
        fitting = FLUSH_BYTES * len(buffer.items) // max(1, length)
        self._max_rows = min(FLUSH_ROWS, max(1, fitting))

    def _rows(self, buffer: _Buffer) -> Rows:
        n = len(buffer.items)
        return Rows(
            items=np.array(buffer.items, dtype=np.int64),
            columns=from_rows(buffer.rows),
            start=self._epoch + np.array(buffer.begins),
            duration=np.array(buffer.durations),
            attempt=np.ones(n, dtype=np.int16),
            host=self._host,
            pid=os.getpid(),
        )
