"""One pset in, one outcome out: calling the user's function and keeping what became of it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import repeat
from os import _exit, getpid
from time import monotonic
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.columns import from_rows, without
from psyflow.exceptions import Skip, UnsupportedDataError
from psyflow.outcomes.records import SKIPPED, Failure, Rows, Writer
from psyflow.reprs import pset_repr
from psyflow.texts import exception_text, message_of, traceback_text
from psyflow.work.acceptance import Acceptance, RefusedError
from psyflow.work.capture import Output, say
from psyflow.work.context import StopNow
from psyflow.work.copies import changeable, fresh
from psyflow.work.flusher import FLUSH_SECONDS, Flusher
from psyflow.work.integrity import Integrity
from psyflow.work.prepared import NO_RETRIES, Prepared, Retries
from psyflow.work.rows import result_row

__all__ = ["Evaluator", "StopNow"]

WRITE_SECONDS = 0.05
FLUSH_BYTES = 8 << 20
FLUSH_ROWS = 1 << 16
REFUSED_AT_FIRST = 3
"""If this many rows come first that the store cannot hold, it will hold none."""
_FIELDS = 6

_KEPT = "It is kept: with another store, `psy run` only merges it."

Printed: TypeAlias = tuple[int, int] | None


def _kind_of(error: BaseException) -> str:
    if isinstance(error, Skip):
        return SKIPPED
    return "oom" if isinstance(error, MemoryError) else "error"


def _user_traceback(error: BaseException) -> str:
    # The first frame is psyflow's own call of the function.
    frames = error.__traceback__
    return traceback_text(error, (frames and frames.tb_next) or frames)


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
    integrity : Integrity, optional
        What the process was like. Without it, nobody looks whether items have broken that.

    Attributes
    ----------
    stopping : bool
        Whether `stop` was called.
    n_failed : int
        Items whose outcome is a failure.
    holds_nothing : bool
        Whether it stopped because the store could hold none of the first rows.
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
        integrity: Integrity | None = None,
    ) -> None:
        self._integrity = integrity
        self._on_failed = on_failed
        self._output = output
        self._retries = retries
        self._attempts = attempts or {}
        self.stopping = False
        self.n_failed = 0
        self.holds_nothing = False
        self._n_refused = 0
        self._has_rows = False
        self._prepared = prepared
        self._writer = writer
        self._on_start = on_start
        self._host = socket.gethostname()
        self._pid = getpid()
        # One monotonic clock: a clock that is set while an item runs must not bend durations.
        self._epoch = time.time() - monotonic()
        self._last_write = self._last_sync = monotonic()
        self._max_kept = _FIELDS
        self._in_call = False
        self._interrupted = False
        self._changeable: list[str] = []
        self._acceptance = Acceptance(prepared.check, prepared.exclude)
        # Item, begin, end, row, attempt and output of each outcome, flat. `evaluate` only extends
        # it, and `flush`, under the lock, cuts it at the front: both are one step, so that an
        # item need not take the lock.
        self._kept: list[Any] = []
        self._lock = threading.Lock()
        self._flusher = Flusher(self._flush_beside)

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
        BrokenProcessError
            If an item since the last one has broken the process.
        """
        self._end_if_forked()
        with self._lock:
            self._flusher.raise_error()
            kept = self._kept.copy()
            if self._integrity is not None:
                self._integrity.check()
            self._append(kept, sync)

    def abandon(self) -> tuple[list[int], list[float]]:
        """Give up what is not written, for it may be wrong; return the items and their starts."""
        # No builtins here: they may be what is broken.
        with self._lock:
            kept, self._kept = self._kept, []
        return kept[::_FIELDS], kept[1::_FIELDS]

    def leave_child(self) -> None:
        """Have a child that the function forks end, should it come back from there."""
        self._interrupted = True

    def _flush_beside(self) -> None:
        """Flush while an item is running, unless that has replaced something, if for a while."""
        with self._lock:
            kept = self._kept.copy()
            if self._integrity is None or self._integrity.holds():
                self._append(kept, sync=True)

    def _append(self, kept: list[Any], sync: bool) -> None:
        if kept:
            self._has_rows = True
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
            if self._prepared.withheld:
                given = without(self._prepared.withheld, given)
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
            self._end_if_forked()
            raise StopNow
        try:
            row = dict(returned) if type(returned) is dict else result_row(returned)
            kind = (*row, *map(type, row.values()))
            if kind not in self._acceptance.simple:
                row = self._acceptance.taken(kind, row, pset)
        except RefusedError as refused:
            self._refuse(item, pset, refused, begin, attempt)
        except BaseException as error:
            # Besides what is wrong with the result: whatever the classes of its values raise.
            self._fail("result", item, pset, error, begin, attempt)
        else:
            self._kept.extend((item, begin, end, row, attempt, self._printed()))

    def _refuse(
        self, item: int, pset: dict[str, Any], refused: RefusedError, begin: float, attempt: int
    ) -> None:
        """Record the failure of a row that the store cannot hold; keep it for another store."""
        error = refused.reason
        if self._prepared.store:
            self._write_refused(item, refused.row, begin, attempt)
            error = UnsupportedDataError(f"{error} {_KEPT}")
        self._fail("result", item, pset, error, begin, attempt)
        self._n_refused += 1
        is_all = not self._has_rows and not self._kept and self._n_refused == REFUSED_AT_FIRST
        if is_all and not self._prepared.has_rows():
            self.holds_nothing = self.stopping = True

    def _write_refused(self, item: int, row: dict[str, Any], begin: float, attempt: int) -> None:
        # What it has printed is told with the failure.
        rows = self._rows([item], [begin], [monotonic()], [row], [attempt], [None])
        self._end_if_forked()
        with self._lock:
            self._writer.write_rows(replace(rows, refused_by=self._prepared.store))

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
        if self._integrity is not None:
            # If others have ended since the last look, it may fail for what one of them has done.
            self._integrity.check(is_strict=self._kept != [])
        if self._interrupted:
            # The user's code turned the interruption into something else.
            raise StopNow from error
        duration = monotonic() - begin
        is_outcome = self.stopping or not self._retries.allow(kind, attempt)
        self.n_failed += is_outcome and kind != SKIPPED
        self._on_failed(self.n_failed)
        text = message_of(error) if kind == SKIPPED else exception_text(error)
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
        what = "is skipped" if kind == SKIPPED else f"failed{again}"
        self._report(f"Item {item} {what}: {text}\n{trace}")
        return is_outcome

    def _report(self, text: str) -> None:
        report = self._output.report if self._output else say
        report(text)

    def _printed(self) -> Printed:
        return self._output.advance() if self._output else None

    def _end_if_forked(self) -> None:
        if getpid() != self._pid:
            self._report("A process that an item has forked came back from it, so it is ended.")
            _exit(1)

    def _write(
        self,
        items: list[int],
        begins: list[float],
        ends: list[float],
        rows: list[dict[str, Any]],
        attempts: list[int],
        printed: list[Printed],
    ) -> None:
        length = self._writer.write_rows(self._rows(items, begins, ends, rows, attempts, printed))
        # The next frame may be as long as this one shows to be reasonable.
        fitting = FLUSH_BYTES * len(rows) // max(1, length)
        self._max_kept = _FIELDS * min(FLUSH_ROWS, max(1, fitting))

    def _rows(
        self,
        items: list[int],
        begins: list[float],
        ends: list[float],
        rows: list[dict[str, Any]],
        attempts: list[int],
        printed: list[Printed],
    ) -> Rows:
        begin = np.array(begins)
        return Rows(
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
