"""One pset in, one outcome out: calling the user's function and keeping what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import without
from psyflow.exceptions import Skip, UnsupportedDataError
from psyflow.outcomes.records import SKIPPED, Failure, Writer
from psyflow.work.acceptance import Acceptance, RefusedError
from psyflow.work.capture import Aloud, Heard
from psyflow.work.context import StopNow
from psyflow.work.copies import changeable, fresh
from psyflow.work.integrity import Integrity
from psyflow.work.kept import KEPT, QUICK_SECONDS, Here, Kept, Programs
from psyflow.work.looks import Looks
from psyflow.work.plain import argument_rows, as_pset, positions
from psyflow.work.prepared import NO_RETRIES, Prepared, Retries
from psyflow.work.prospects import Prospects
from psyflow.work.rows import result_row

__all__ = ["Evaluator", "StopNow"]

_How = Callable[[Iterator[int], Mapping[str, Iterable[Any]]], None]


class Evaluator:
    """Evaluates items, and appends their outcomes to a shard.

    Rows are buffered, and written at least every `kept.WRITE_SECONDS` and at every `flush`. As a
    context manager it also brings them to the disk while an item is running: a thread does it.

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
    output : Heard, optional
        Where what items print goes; where this process prints by default.
    on_failed : callable
        Told how many items have failed, each time that one does.
    integrity : Integrity, optional
        What the process was like. Without it, nobody looks whether items have broken that.
    lets_through : tuple of exception types
        Those that end the evaluation: they are the cause of a StopNow. `Skip` is never one.

    Attributes
    ----------
    stopping : bool
        Whether `stop` was called.
    may_count_late : bool
        Whether failures may be counted that are given up later.
    keeps_nothing : bool
        Whether it stopped because none of the first results could be kept.
    prospects : Prospects
        Of further items.
    looks : Looks
        After what items have changed. If that cannot be put back, `evaluate` stops.
    """

    def __init__(
        self,
        prepared: Prepared,
        writer: Writer,
        on_start: Callable[[int, float], object] = lambda item, start: None,
        retries: Retries = NO_RETRIES,
        attempts: Mapping[int, int] | None = None,
        output: Heard | None = None,
        on_failed: Callable[[int], object] = lambda n_items: None,
        integrity: Integrity | None = None,
        lets_through: tuple[type[BaseException], ...] = (),
    ) -> None:
        self._integrity = integrity
        self._lets_through = lets_through
        self._on_failed = on_failed
        self._output = output or Aloud()
        self._retries = retries
        self._attempts = {} if attempts is None else attempts
        self.stopping = False
        self._is_stopping = lambda: self.stopping
        self.may_count_late = True
        self.keeps_nothing = False
        self._prepared = prepared
        self._withheld = prepared.withheld
        self._given = prepared.given
        self._on_start = on_start
        self._here = Here(self._output.name)
        report = self._output.report
        self._end_if_forked = partial(self._here.end_if_forked, report)
        self._in_call = False
        self._interrupted = False
        self._changeable: list[str] = []
        self._acceptance = Acceptance(prepared.check, prepared.exclude)
        self._kept = Kept(writer, self._here, integrity, self._acceptance.plain, report)
        self.prospects = Prospects(prepared, self._kept)
        self.looks = Looks(self._kept, integrity, self._end_if_forked, self.stop, prepared)

    @property
    def n_failed(self) -> int:
        """How many items have a failure as their outcome."""
        return self._kept.n_failed

    def __enter__(self) -> Evaluator:
        self._kept.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._kept.end()

    def evaluate(
        self, items: npt.NDArray[np.int64], psets: Mapping[str, Iterable[Any]]
    ) -> npt.NDArray[np.int64]:
        """Evaluate `items`, whose arguments are the rows of `psets`.

        Returns
        -------
        ndarray of int64
            Those of `items` that are left, to be given again, with fresh arguments: some had
            begun under conditions that others had changed.

        Raises
        ------
        StopNow
            If `stop` said so, or for an exception of `lets_through`; the item that was running
            counts as never begun.
        OSError
            If the disk is full, for example.
        """
        self._changeable = changeable(psets)
        if self._retries.limit and "rng" in self._prepared.given:
            self._changeable.append("rng")
        has_contexts = self._prepared.contexts is not None
        is_plain = not (self._changeable or self._withheld or self._attempts or has_contexts)
        how = self._evaluate_plainly if is_plain else self._evaluate_each
        self.looks.begin(items.tolist(), lambda numbers: self._evaluate(how, numbers, psets))
        return np.array(self.looks.again, dtype=np.int64)

    def _evaluate(
        self, how: _How, items: Iterator[int], psets: Mapping[str, Iterable[Any]]
    ) -> None:
        try:
            how(items, psets)
        except StopNow:
            self._in_call = False
            self._on_start(-1, 0.0)
            self.looks.look()
            raise
        self.looks.look()

    def _evaluate_each(self, items: Iterator[int], psets: Mapping[str, Iterable[Any]]) -> None:
        names = tuple(psets)
        for item, values in zip(items, argument_rows(psets, names), strict=False):
            if self.stopping:
                return
            # As many values as names, and asking for it would cost 0.15 µs per item.
            self._evaluate_one(item, dict(zip(names, values)))  # noqa: B905

    def _evaluate_plainly(self, items: Iterator[int], psets: Mapping[str, Iterable[Any]]) -> None:
        """Do so in one loop, where psets ask for nothing but the call; others do all else."""
        execute, extra, on_start = self._prepared.execute, self._prepared.extra, self._on_start
        kept, plain, kinds = self._kept, self._kept.plain_rows, self._acceptance.plain
        values_of, due, most = kinds.values_of, self.looks.due, kept.most_plain
        printed_now = self._output.advance if self._output.name else None
        order = () if extra else positions(execute, tuple(psets))
        names = order or tuple(psets)
        for item, values in zip(items, argument_rows(psets, names), strict=False):
            if self.stopping:
                break
            begin = monotonic()
            on_start(item, begin)
            self._in_call = True
            try:
                if order:
                    returned = execute(*values)
                else:
                    returned = execute(**extra, **dict(zip(names, values)))  # noqa: B905
                self._in_call = False
            except StopNow:
                raise
            except BaseException as error:
                self._in_call = False
                self._fail_at_first(item, as_pset(psets, names, values), error, begin)
                due = self.looks.due
                continue
            end = monotonic()
            row = values_of(returned)
            if row is None or self._interrupted:
                self._keep(item, as_pset(psets, names, values), returned, begin, 1)
                del returned  # it may be large
                on_start(-1, 0.0)
                self._flush_if_due()
                values_of, due, most = kinds.values_of, self.looks.due, kept.most_plain
                continue
            if (printed := printed_now and printed_now()) is None:
                plain += (item, begin, end, *row)
            else:
                kept.rows.extend((item, begin, end, dict(returned), 1, printed, None))
            if printed or end > due or len(plain) >= most:
                on_start(-1, 0.0)
                self._flush_if_due()
                due, most = self.looks.due, kept.most_plain
        on_start(-1, 0.0)

    def _fail_at_first(
        self, item: int, pset: dict[str, Any], error: BaseException, begin: float
    ) -> None:
        """Record what the first attempt raised, and do all that follows from that."""
        may_wait = not (self._interrupted or self._retries.limit) and self.looks.may_wait(begin)
        if may_wait and type(error) is Skip:
            self._kept.skip(item, begin, pset, error, self._output.advance())
            return
        may_wait = may_wait and self.may_count_late and not self.prospects.may_learn(error)
        is_outcome = self._fail(item, pset, error, begin, 1, may_wait=may_wait)
        self._on_start(-1, 0.0)
        if not is_outcome:
            self._try_again(item, pset, 1)
        self._flush_if_due()

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
        self._kept.flush(sync=sync)

    def sync_every(self, seconds: float) -> None:
        """Bring rows to the disk as often as that; twice a second if this is not called."""
        self._kept.sync_pause = seconds

    def abandon(self) -> tuple[list[int], list[float]]:
        """Give up what is not written, for it may be wrong; return the items and their starts."""
        return self._kept.abandon()

    def leave_child(self) -> None:
        """Have a child that the function forks end, should it come back from there."""
        self._interrupted = True

    def _evaluate_one(self, item: int, pset: dict[str, Any]) -> None:
        attempt = self._attempts.get(item, 0) + 1 if self._attempts else 1
        if attempt > 1 and not self._retries.wait(attempt - 1, self._is_stopping):
            return
        if not self._attempt(item, pset, attempt):
            self._try_again(item, pset, attempt)
        self._flush_if_due()

    def _try_again(self, item: int, pset: dict[str, Any], attempt: int) -> None:
        """Call the function again after an attempt of which nothing became, as often as may be."""
        while self._retries.wait(attempt, self._is_stopping):
            attempt += 1
            if self._attempt(item, pset, attempt):
                return

    def _flush_if_due(self) -> None:
        """Look after items, and write, if that is due."""
        now, kept = monotonic(), self._kept
        is_to_write = kept.is_long or now > kept.due
        if is_to_write or now > self.looks.due:
            self.looks.look()
        if is_to_write:
            self.flush(sync=kept.is_sync_due)

    def _attempt(self, item: int, pset: dict[str, Any], attempt: int) -> bool:
        """Call the function once, and return whether what became of it is the item's outcome."""
        if self._prepared.contexts is not None:
            pset["ctx"].attempt, pset["ctx"].programs = attempt, None
        begin = monotonic()
        self._on_start(item, begin)
        is_outcome = True
        try:
            # Psets share values, and attempts do: none may see what another has changed.
            given = fresh(pset, self._changeable) if self._changeable else pset
            if self._withheld:
                given = without(self._withheld, given)
            self._in_call = True
            returned = self._prepared.execute(**self._prepared.extra, **given)
            self._in_call = False
        except StopNow:
            raise
        except BaseException as error:
            # Also SystemExit and whatever else: a bad item stops no other.
            self._in_call = False
            is_outcome = self._fail(item, pset, error, begin, attempt)
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
            self._fail(item, pset, error, begin, attempt, is_of_result=True)
        else:
            printed, programs = self._output.advance(), self._programs(pset)
            self._kept.rows.extend((item, begin, end, row, attempt, printed, programs))

    def _refuse(
        self, item: int, pset: dict[str, Any], refused: RefusedError, begin: float, attempt: int
    ) -> None:
        """Record the failure of a row that the store cannot hold; keep it for another store."""
        if not self.looks.look(item):
            return
        error = refused.reason
        if self._prepared.store:
            self._end_if_forked()
            self._kept.write_refused(item, refused.row, begin, attempt, self._prepared.store)
            error = UnsupportedDataError(f"{error} {KEPT}")
        self._fail(item, pset, error, begin, attempt, is_of_result=True)

    def _fail(
        self,
        item: int,
        pset: dict[str, Any],
        error: BaseException,
        begin: float,
        attempt: int,
        *,
        is_of_result: bool = False,
        may_wait: bool = False,
    ) -> bool:
        """Record a failure, or a skip, and return whether nothing is to be tried again now."""
        self._end_if_forked()
        if isinstance(error, self._lets_through) and not isinstance(error, Skip):
            raise StopNow from error
        if not (may_wait or self.looks.look(item)):
            return True  # it may be another item's doing
        is_quick = not self._retries.limit and monotonic() - begin < QUICK_SECONDS
        integrity = self._integrity
        if integrity is not None and not (is_quick and integrity.is_untouched()):
            # If others have ended since the last look, it may fail for what one of them has done.
            integrity.check(is_strict=not self._kept.is_empty)
        if self._interrupted:
            # The user's code turned the interruption into something else.
            raise StopNow from error
        told = without(self._given, pset) if self._given else pset
        tried = self._here.tried(item, told, begin, attempt)
        failure = Failure.of_exception(tried, error, is_of_result=is_of_result)
        failure.printed = self._output.advance()
        if (programs := self._programs(pset)) is not None:
            failure.programs = dict(programs)
        is_outcome = self.stopping or not self._retries.allow(failure.kind, attempt)
        self._kept.n_failed += is_outcome and failure.kind != SKIPPED
        if is_outcome and not is_of_result:
            self.prospects.learn(error, pset)
        self._on_failed(self.n_failed)
        self._on_start(-1, 0.0)  # a full disk is not the item's fault
        if is_quick and not is_of_result:
            self._kept.failures.extend((item, begin, failure))
            return True
        self._kept.write_failure(failure)
        again = "" if is_outcome else f" (attempt {attempt}; it is tried again)"
        self._output.report(failure.told(again))
        if is_of_result and is_outcome and not self.prospects.has_hope():
            self.keeps_nothing = self.stopping = True
        return is_outcome

    def _programs(self, pset: dict[str, Any]) -> Programs:
        """Return what a `Command` has noted of its programs."""
        return None if self._prepared.contexts is None else pset["ctx"].programs
