"""One pset in, one outcome out: calling the user's function and keeping what became of it."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from itertools import repeat
from time import monotonic
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.columns import from_rows, without
from psyflow.context import StopNow
from psyflow.copies import IMMUTABLE, changeable, fresh, snapshot
from psyflow.exceptions import Skip
from psyflow.flusher import FLUSH_SECONDS, Flusher
from psyflow.outcomes import SKIPPED, Failure, Rows, pset_repr, safe_repr
from psyflow.output import Output
from psyflow.prepared import NO_RETRIES, Prepared, Retries

__all__ = ["Evaluator", "StopNow", "Writer", "result_row", "say"]

WRITE_SECONDS = 0.05
FLUSH_BYTES = 8 << 20
FLUSH_ROWS = 1 << 16
_FIELDS = 6


class Writer(Protocol):
    """What outcomes are written to: a shard, as a rule."""

    def write_rows(self, rows: Rows) -> int:
        """Append result rows, and return how long they are, in bytes."""

    def write_failure(self, failure: Failure) -> None:
        """Append a failure."""

    def sync(self) -> None:
        """Return when what was appended is on the disk."""


Printed: TypeAlias = tuple[int, int] | None


def result_row(returned: Any) -> dict[str, Any]:
    """Return `returned` as a result row, or raise TypeError saying what is wrong with it.

    Examples
    --------
    >>> result_row({"y": 4})
    {'y': 4}
    >>> result_row(4)
    Traceback (most recent call last):
        ...
    TypeError: execute returned 4, of type int. It has to return a dict of names and values, \
such as {"y": ...}.
    """
    if not isinstance(returned, Mapping):
        raise TypeError(
            f"execute returned {safe_repr(returned, 80)}, of type {type(returned).__name__}. "
            f'It has to return a dict of names and values, such as {{"y": ...}}.'
        )
    for name in returned:
        if not isinstance(name, str):
            raise TypeError(
                f"execute returned a dict with the key {name!r}; keys have to be text."
            )
    return dict(returned)


def say(text: str) -> None:
    """Print `text` as far as possible, whatever became of the standard output."""
    # The user's code may have closed or replaced it; the pipe may be broken, or the disk full.
    with contextlib.suppress(Exception):
        print(text.encode(errors="backslashreplace").decode(), flush=True)


def _exception_text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception as second:
        return f"{type(error).__name__}, whose text raises {type(second).__name__}"


def _kind_of(error: BaseException) -> str:
    if isinstance(error, Skip):
        return SKIPPED
    return "oom" if isinstance(error, MemoryError) else "error"


def _user_traceback(error: BaseException) -> str:
    # The first frame is psyflow's own call of the function.
    tb = error.__traceback__.tb_next if error.__traceback__ else None
    try:
        return "".join(traceback.format_exception(type(error), error, tb or error.__traceback__))
    except Exception as second:
        return f"(no traceback: showing it raises {type(second).__name__})"


class Evaluator:
    """Evaluates items, and appends their outcomes to a shard.

    Rows are buffered. They are written at least every `WRITE_SECONDS`, so that a crash costs
    little, and at every `flush`. As a context manager it also brings them to the disk within a
    second while an item is running, however long that takes: a thread does it.

    Parameters
    ----------
    prepared : Prepared
    writer : Writer
    on_start : callable
        Told the item number and the time (of `time.monotonic`) before each call of the function,
        and −1 after its outcome is kept, so that a supervisor knows what was running.
    retries : Retries
        Which exceptions are no outcome yet.
    attempts : mapping from int to int, optional
        How often items have been tried before, by their numbers.
    output : Output, optional
        Where what items print goes.
    on_failed : callable
        Told how many items have failed, each time that one does.

    Attributes
    ----------
    stopping : bool
        Whether `stop` was called.
    n_failed : int
        Items whose outcome is a failure.
    """

    def __init__(
        self,
        prepared: Prepared,
        writer: Writer,
        on_start: Callable[[int, float], object] = lambda item, start: None,
        retries: Retries = NO_RETRIES,
        attempts: Mapping[int, int] | None = None,
        output: Output | None = None,
        on_failed: Callable[[int], object] = lambda n_items: None,
    ) -> None:
        self._on_failed = on_failed
        self._output = output
        self._retries = retries
        self._attempts = attempts or {}
        self.stopping = False
        self.n_failed = 0
        self._prepared = prepared
        self._writer = writer
        self._on_start = on_start
        self._host = socket.gethostname()
        self._pid = os.getpid()
        # One monotonic clock: a clock that is set while an item runs must not bend durations.
        self._epoch = time.time() - monotonic()
        self._last_write = self._last_sync = monotonic()
        self._max_kept = _FIELDS
        self._in_call = False
        self._interrupted = False
        self._changeable: list[str] = []
        # Per names and types of a row: whether all its values are immutable.
        self._known: dict[tuple[Any, ...], bool] = {}
        # Item, begin, end, row, attempt and output of each outcome, flat. `evaluate` only extends
        # it, and `flush`, under the lock, cuts it at the front: both are one step, so that an
        # item need not take the lock.
        self._kept: list[Any] = []
        self._lock = threading.Lock()
        self._flusher = Flusher(self.flush)

    def __enter__(self) -> Evaluator:
        self._flusher.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._flusher.end()

    def evaluate(self, items: npt.NDArray[np.int64], psets: Mapping[str, Iterable[Any]]) -> None:
        """Evaluate `items`, whose arguments are the rows of `psets`.

        Raises
        ------
        StopNow
            If `stop` said so; the item that was running counts as never begun.
        OSError
            If the disk is full, for example.
        """
        names = tuple(psets)
        value_rows = zip(*psets.values(), strict=True) if names else repeat(())
        self._changeable = changeable(psets)
        if self._retries.limit and "rng" in self._prepared.given:
            self._changeable.append("rng")
        try:
            for item, values in zip(items.tolist(), value_rows, strict=False):
                if self.stopping:
                    return
                # As many values as names, and asking for it would cost 0.15 µs per item.
                self._evaluate_one(item, dict(zip(names, values)))  # noqa: B905
        except StopNow:
            self._in_call = False
            self._on_start(-1, 0.0)
            raise

    def stop(self, *, now: bool = False) -> None:
        """Have `evaluate` end after the running item, or `now`.

        Made for signal handlers: with `now`, StopNow is raised here if an item is running.
        """
        self.stopping = True
        if now and self._in_call:
            self._interrupted = True
            raise StopNow

    def flush(self, *, sync: bool = True) -> None:
        """Append the buffered rows to the shard; with `sync`, also bring them to the disk.

        Raises
        ------
        OSError
            If that fails, or failed in the thread that does it while items are running.
        """
        self._end_if_forked()
        with self._lock:
            self._flusher.raise_error()
            if kept := self._kept.copy():
                self._write(*(kept[field::_FIELDS] for field in range(_FIELDS)))
                del self._kept[: len(kept)]
            self._last_write = monotonic()
            if sync:
                self._writer.sync()
                self._last_sync = monotonic()

    def _evaluate_one(self, item: int, pset: dict[str, Any]) -> None:
        attempt = self._attempts.get(item, 0) + 1 if self._attempts else 1
        if attempt > 1 and not self._pause(self._retries.pause(attempt - 1)):
            return
        while not self._attempt(item, pset, attempt):
            if not self._pause(self._retries.pause(attempt)):
                return
            attempt += 1
        now = monotonic()
        if now - self._last_write > WRITE_SECONDS or len(self._kept) >= self._max_kept:
            self.flush(sync=now - self._last_sync > FLUSH_SECONDS)

    def _pause(self, seconds: float) -> bool:
        """Wait, and return whether to go on after it."""
        end = monotonic() + seconds
        while not self.stopping and monotonic() < end:
            time.sleep(min(0.1, seconds))
        return not self.stopping

    def _attempt(self, item: int, pset: dict[str, Any], attempt: int) -> bool:
        """Call the function once, and return whether what became of it is the item's outcome."""
        if self._prepared.contexts is not None:
            pset["ctx"].attempt = attempt
        begin = monotonic()
        self._on_start(item, begin)
        is_outcome = True
        try:
            # Psets share values, and attempts do: none may see what another has changed.
            given = fresh(pset, self._changeable) if self._changeable else pset
            self._in_call = True
            returned = self._prepared.execute(**self._prepared.extra, **given)
            self._in_call = False
        except StopNow:
            raise
        except BaseException as error:
            # Also SystemExit and whatever else: a bad item stops no other.
            self._in_call = False
            is_outcome = self._fail(_kind_of(error), item, pset, error, begin, attempt)
        else:
            self._keep(item, pset, returned, begin, attempt)
        self._on_start(-1, 0.0)
        return is_outcome

    def _keep(
        self, item: int, pset: dict[str, Any], returned: Any, begin: float, attempt: int
    ) -> None:
        end = monotonic()
        if self._interrupted:
            # The user's code swallowed the interruption: what it returned cannot be trusted.
            raise StopNow
        try:
            row = dict(returned) if type(returned) is dict else result_row(returned)
            signature = (*row, *map(type, row.values()))
            is_immutable = self._known.get(signature)
            if is_immutable is None:
                is_immutable = self._learn(signature, row)
            if not is_immutable:
                row = snapshot(row)
        except BaseException as error:
            # Besides what is wrong with the result: whatever the classes of its values raise.
            self._fail("result", item, pset, error, begin, attempt)
        else:
            self._kept.extend((item, begin, end, row, attempt, self._printed()))

    def _learn(self, signature: tuple[Any, ...], row: dict[str, Any]) -> bool:
        """Check the first row of its kind, and return whether its values are immutable."""
        result_row(row)
        self._prepared.check(row)
        return self._known.setdefault(signature, all(type(v) in IMMUTABLE for v in row.values()))

    def _fail(
        self,
        kind: str,
        item: int,
        pset: dict[str, Any],
        error: BaseException,
        begin: float,
        attempt: int,
    ) -> bool:
        """Record a failure, or a skip, and return whether it is the item's outcome."""
        self._end_if_forked()
        if self._interrupted:
            # The user's code turned the interruption into something else.
            raise StopNow from error
        duration = monotonic() - begin
        is_outcome = self.stopping or not self._retries.allow(kind, attempt)
        self.n_failed += is_outcome and kind != SKIPPED
        self._on_failed(self.n_failed)
        text = str(error) if kind == SKIPPED else _exception_text(error)
        trace = _user_traceback(error) if kind not in ("result", SKIPPED) else ""
        failure = Failure(
            item=item,
            kind=kind,
            exception=text,
            traceback=trace,
            pset=pset_repr(without(self._prepared.given, pset)),
            start=self._epoch + begin,
            duration=duration,
            attempt=attempt,
            host=self._host,
            pid=self._pid,
            log=self._output.name if self._output else "",
            printed=self._printed(),
        )
        # What follows runs no code of the user's: if the disk is full, it is not the item's fault.
        self._on_start(-1, 0.0)
        with self._lock:
            self._writer.write_failure(failure)
        again = "" if is_outcome else f" (attempt {attempt}; it is tried again)"
        report = self._output.report if self._output else say
        what = "is skipped" if kind == SKIPPED else f"failed{again}"
        report(f"Item {item} {what}: {text}\n{trace}")
        return is_outcome

    def _printed(self) -> Printed:
        return self._output.advance() if self._output else None

    def _end_if_forked(self) -> None:
        if os.getpid() != self._pid:
            # The function forked, and a child of its own came back here instead of ending.
            os._exit(1)

    def _write(
        self,
        items: list[int],
        begins: list[float],
        ends: list[float],
        rows: list[dict[str, Any]],
        attempts: list[int],
        printed: list[Printed],
    ) -> None:
        begin = np.array(begins)
        length = self._writer.write_rows(
            Rows(
                items=np.array(items, dtype=np.int64),
                columns=from_rows(rows),
                start=self._epoch + begin,
                duration=np.array(ends) - begin,
                attempt=np.array(attempts, dtype=np.int16),
                host=self._host,
                pid=self._pid,
                log=self._output.name if self._output else "",
                printed=np.array([p or (-1, -1) for p in printed]) if any(printed) else None,
            )
        )
        # The next frame may be as long as this one shows to be reasonable.
        fitting = FLUSH_BYTES * len(rows) // max(1, length)
        self._max_kept = _FIELDS * min(FLUSH_ROWS, max(1, fitting))
