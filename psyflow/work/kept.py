"""Outcomes between an evaluation and the shard; a thread writes them while items are running."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from os import _exit, getpid
from time import monotonic
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.columns import from_rows, pack
from psyflow.exceptions import Skip
from psyflow.outcomes.records import (
    OF_PROGRAMS,
    SKIPPED,
    UNKNOWN,
    Attempt,
    Failure,
    Rows,
    Writer,
)
from psyflow.reprs import pset_repr
from psyflow.system.memory import peak_kib
from psyflow.texts import message_of
from psyflow.work.flusher import FLUSH_SECONDS, Flusher
from psyflow.work.integrity import Integrity
from psyflow.work.plain import PlainRows

__all__ = ["KEPT", "QUICK_SECONDS", "Here", "Kept", "Printed", "Programs"]

WRITE_SECONDS = 0.05
FLUSH_BYTES = 8 << 20
FLUSH_ROWS = 1 << 16
FLUSH_FAILURES = 1 << 8
QUICK_SECONDS = 0.001
"""Failures of items that took less are written together: little is lost with them."""
KEPT = "It is kept: with another store, `psy run` only merges it."
_FIELDS, _PLAIN_FIELDS, _FAILURE_FIELDS = 7, 3, 3

Printed: TypeAlias = tuple[int, int] | None
Programs: TypeAlias = Mapping[str, Any] | None


@dataclass(frozen=True)
class Here:
    """The process in which items are evaluated, as outcomes tell of it.

    Attributes
    ----------
    log : str
        Name of the file with what items print; empty if that is not kept.
    host : str
    pid : int
    epoch : float
        What makes seconds since 1970 of `time.monotonic`.
    """

    log: str
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=getpid)
    # One monotonic clock: a clock that is set while an item runs must not bend durations.
    epoch: float = field(default_factory=lambda: time.time() - monotonic())

    def tried(self, item: int, pset: Mapping[str, Any], begin: float, number: int) -> Attempt:
        """Return an attempt here that began at `begin` (`time.monotonic`) and has just ended."""
        start, duration = self.epoch + begin, monotonic() - begin
        return Attempt(item, pset, start, duration, number, self.pid, self.log, self.host)

    def skipped(self, item: int, pset: Mapping[str, Any], begin: float, skip: Skip) -> Failure:
        """Return the record of a first attempt here that has just ended with a skip."""
        why, values, start = message_of(skip), pset_repr(pset), self.epoch + begin
        of_process = self.host, self.pid, self.log
        return Failure(item, SKIPPED, why, "", values, start, monotonic() - begin, 1, *of_process)

    def end_if_forked(self, report: Callable[[str], object]) -> None:
        """End this process if an item has forked it: the one that evaluates goes on elsewhere."""
        if getpid() != self.pid:
            report("A process that an item has forked came back from it, so it is ended.")
            _exit(1)


class _There(NamedTuple):
    """What is to be written at once, as `Kept` has it."""

    rows: list[Any]
    plain: list[Any]
    failures: list[Any]


class Kept:
    """Rows that are not written yet, failures of items that failed quickly, and skips.

    Parameters
    ----------
    writer : Writer
    here : Here
    integrity : Integrity, optional
        Without it, nobody looks whether items have broken the process before anything is written.
    plain : PlainRows
        Knows the names of the values in `plain_rows`.
    report : callable
        Says something of items whose records have been written.

    Attributes
    ----------
    rows : list
        Item, begin, end, row, attempt, output and programs of each outcome, flat. Whoever
        evaluates only extends it, and `flush`, under the lock, cuts it at the front: both are one
        step, so that an item need not take the lock.
    plain_rows : list
        Item, begin, end and values of rows of which nothing else is to be told, flat as well.
    failures : list
        Item, begin and record of items that failed or were skipped quickly, flat as well.
    most, most_plain, most_failures : int
        How long `rows`, `plain_rows` and `failures` should be at most.
    due : float
        Until when they should be written again (`time.monotonic`).
    last_sync : float
        When they were brought to the disk.
    n_failed : int
        How many items have a failure as their outcome.
    has_written : bool
        Whether there were any.
    sync_pause : float
        Seconds between two times that they are brought to the disk.
    settled : float
        What began later may be given up (`time.monotonic`). The thread writes it only if it can
        settle that itself.
    is_clean : callable
        Tells that thread whether nothing was changed of what items find.
    beside : callable
        What else that thread does each time.
    lock : lock
        Held as long as the thread looks and writes; so nothing must be put back without it.
    """

    def __init__(
        self,
        writer: Writer,
        here: Here,
        integrity: Integrity | None,
        plain: PlainRows,
        report: Callable[[str], object],
    ) -> None:
        self.rows: list[Any] = []
        self._plain = plain
        self._report = report
        self.plain_rows: list[Any] = []
        self.failures: list[Any] = []
        self.most = _FIELDS
        self.most_plain = 1
        self.most_failures = _FAILURE_FIELDS * FLUSH_FAILURES
        self.last_sync = monotonic()
        self.due = self.last_sync + WRITE_SECONDS
        self.n_failed = 0
        self.has_written = False
        self.sync_pause = FLUSH_SECONDS / 2
        self.settled = math.inf
        self.is_clean: Callable[[], bool] = lambda: True
        self.beside: Callable[[], None] = lambda: None
        self._writer = writer
        self._here = here
        self._integrity = integrity
        self.lock = threading.Lock()
        self._flusher = Flusher(self._flush_beside)

    @property
    def is_empty(self) -> bool:
        """Whether all rows are written."""
        return not (self.rows or self.plain_rows or self.failures)

    @property
    def is_long(self) -> bool:
        """Whether they had better be written."""
        return (
            len(self.plain_rows) >= self.most_plain
            or len(self.rows) >= self.most
            or len(self.failures) >= self.most_failures
        )

    @property
    def is_sync_due(self) -> bool:
        """Whether whoever writes them had better bring them to the disk as well."""
        return monotonic() - self.last_sync > max(FLUSH_SECONDS, self.sync_pause)

    @property
    def _stride(self) -> int:
        # No builtins: they may be what is broken.
        return _PLAIN_FIELDS + self._plain.names.__len__()

    def start(self) -> None:
        """Have a thread bring rows to the disk from now on."""
        # What loading the task took is no row's.
        peak_kib()
        self._flusher.start()

    def end(self) -> None:
        """End the thread."""
        self._flusher.end()

    def flush(self, *, sync: bool) -> None:
        """Write the rows; with `sync`, also bring them to the disk.

        Raises
        ------
        OSError
            If that fails, or failed in the thread.
        BrokenProcessError
            If an item since the last one has broken the process.
        """
        with self.lock:
            self._flusher.raise_error()
            there = self._there()
            if self._integrity is not None:
                self._integrity.check()
            self._append(there, sync, peak_kib() if there.rows or there.plain else UNKNOWN)

    def abandon(self) -> tuple[list[int], list[float]]:
        """Give up what is not written, for it may be wrong; return the items and their starts."""
        # No builtins here: they may be what is broken.
        with self.lock:
            kept, plain, failures = self.rows[:], self.plain_rows[:], self.failures[:]
            del self.rows[:], self.plain_rows[:], self.failures[:]
        stride = self._stride
        items = [*kept[::_FIELDS], *plain[::stride], *failures[::_FAILURE_FIELDS]]
        return items, [*kept[1::_FIELDS], *plain[1::stride], *failures[1::_FAILURE_FIELDS]]

    def give_up(self) -> tuple[int | None, list[int]]:
        """Give up what is not settled, but for the first one; return that item, and the others.

        To be called under the lock.
        """
        lists = self._with_strides(self.rows, self.plain_rows, self.failures)
        unsettled = sorted(
            (flat[place + 1], flat[place])
            for flat, stride in lists
            for place in range(_end_up_to(self.settled, flat, stride), len(flat), stride)
        )
        if len(unsettled) > 1:
            for flat, stride in lists:
                end = _end_up_to(unsettled[0][0], flat, stride)
                if flat is self.failures:
                    self.n_failed -= sum(f.kind != SKIPPED for f in flat[end + 2 :: stride])
                del flat[end:]
        items = [item for _, item in unsettled]
        return (items[0] if items else None), items[1:]

    def skip(
        self, item: int, begin: float, pset: Mapping[str, Any], skip: Skip, printed: Printed
    ) -> None:
        """Keep that the first attempt of an item has just ended with a skip."""
        record = self._here.skipped(item, pset, begin, skip)
        record.printed = printed
        self.failures.extend((item, begin, record))

    def _with_strides(
        self, rows: list[Any], plain: list[Any], failures: list[Any]
    ) -> tuple[tuple[list[Any], int], ...]:
        return (rows, _FIELDS), (plain, self._stride), (failures, _FAILURE_FIELDS)

    def write_failure(self, failure: Failure) -> None:
        """Write a failure, or a skip."""
        with self.lock:
            self._writer.write_failures([failure])

    def write_refused(
        self, item: int, row: dict[str, Any], begin: float, attempt: int, by: str
    ) -> None:
        """Write a row that the store `by` cannot hold."""
        # What it has printed is told with the failure.
        rows = self._as_rows([item], [begin], [monotonic()], [row], [attempt], [None], [None])
        with self.lock:
            self._writer.write_rows(replace(rows, refused_by=by))

    def _flush_beside(self) -> None:
        """Flush while an item is running, unless that has replaced something, if for a while."""
        self.beside()
        with self.lock:
            there = self._there()
            if self._integrity is None or self._integrity.holds():
                self._leave_unsettled(there)
                # Its memory is not theirs.
                # The thread may be a little early.
                is_due = monotonic() - self.last_sync > 0.9 * self.sync_pause
                self._append(there, sync=is_due, peak=UNKNOWN)

    def _leave_unsettled(self, there: _There) -> None:
        """Take out what may have to be given up, unless that can be told now."""
        settled, lists = self.settled, self._with_strides(*there)
        last = max((flat[1 - stride] for flat, stride in lists if flat), default=settled)
        if last > settled and self.is_clean():
            # The item that is running began later: it is the first of those to come.
            self.settled = settled = max(self.settled, last)
        for flat, stride in lists:
            del flat[_end_up_to(settled, flat, stride) :]

    def _there(self) -> _There:
        """Return what there is now; items may add to it meanwhile."""
        return _There(self.rows.copy(), self.plain_rows.copy(), self.failures.copy())

    def _append(self, there: _There, sync: bool, peak: int) -> None:
        if plain := there.plain:
            self.most_plain = self._stride * self._write(self._plain_rows(plain), peak)
            del self.plain_rows[: len(plain)]
        if kept := there.rows:
            rows = self._as_rows(*(kept[field::_FIELDS] for field in range(_FIELDS)))
            self.most = _FIELDS * self._write(rows, peak)
            del self.rows[: len(kept)]
        if there.failures:
            failures = there.failures[2::_FAILURE_FIELDS]
            self._writer.write_failures(failures)
            del self.failures[: len(there.failures)]
            self._report("\n".join(map(Failure.told, failures)))
        self.due = monotonic() + WRITE_SECONDS
        if sync:
            self._writer.sync()
            self.last_sync = monotonic()

    def _write(self, rows: Rows, peak: int) -> int:
        """Write rows, and return how many more of the kind should be in one frame at most."""
        self.has_written = True
        rows.peak_kib = peak
        length = self._writer.write_rows(rows)
        fitting = FLUSH_BYTES * len(rows.items) // max(1, length)
        return min(FLUSH_ROWS, max(1, fitting))

    def _plain_rows(self, plain: list[Any]) -> Rows:
        stride = self._stride
        begin = np.array(plain[1::stride])
        return Rows(
            items=np.array(plain[::stride], dtype=np.int64),
            columns={
                name: pack(plain[place::stride])
                for place, name in enumerate(self._plain.names, _PLAIN_FIELDS)
            },
            start=self._here.epoch + begin,
            duration=np.array(plain[2::stride]) - begin,
            attempt=np.ones(len(begin), dtype=np.int16),
            host=self._here.host,
            pid=self._here.pid,
            log=self._here.log,
        )

    def _as_rows(
        self,
        items: list[int],
        begins: list[float],
        ends: list[float],
        rows: list[dict[str, Any]],
        attempts: list[int],
        printed: list[Printed],
        programs: list[Programs],
    ) -> Rows:
        begin = np.array(begins)
        return Rows(
            items=np.array(items, dtype=np.int64),
            columns=from_rows(rows),
            start=self._here.epoch + begin,
            duration=np.array(ends) - begin,
            attempt=np.array(attempts, dtype=np.int16),
            host=self._here.host,
            pid=self._here.pid,
            log=self._here.log,
            printed=np.array([p or (-1, -1) for p in printed]) if any(printed) else None,
            programs=_columns_of(programs) if any(programs) else None,
        )


def _end_up_to(moment: float, flat: list[Any], stride: int) -> int:
    """Return where the part of a flat list ends that began at a moment or before."""
    end = len(flat)
    while end and flat[end - stride + 1] > moment:
        end -= stride
    return end


def _columns_of(programs: list[Programs]) -> dict[str, npt.NDArray[Any]]:
    return {
        name: np.array([(some or {}).get(name, unknown) for some in programs], unknown.dtype)
        for name, unknown in OF_PROGRAMS.items()
    }
