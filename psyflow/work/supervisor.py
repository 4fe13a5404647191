"""The supervisor: parent of the workers of one job.

It starts them, watches them, ends those whose item takes too long, and replaces those that die. It
runs none of the user's code and carries no results, so nothing that happens in a worker can take
it along.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from psyflow.outcomes.records import Failure
from psyflow.outcomes.shard import ShardWriter
from psyflow.reprs import pset_repr
from psyflow.system.exits import (
    BROKEN,
    DISK_FULL,
    ENDED_EARLY,
    LOST,
    NOTHING_HELD,
    OUT_OF_TIME,
    RECYCLED,
    SETUP_FAILED,
    STOPPED,
    TOO_MANY_FAILURES,
)
from psyflow.system.files import identity, is_full, make_folder
from psyflow.system.guard import Groups, Guard
from psyflow.system.processes import (
    Signals,
    cause_of_death,
    flush_standard_streams,
    fork,
    oom_kills,
    signals_blocked,
)
from psyflow.work.capture import say
from psyflow.work.child import be_worker
from psyflow.work.claims import ClaimLog
from psyflow.work.failure_limit import FailuresElsewhere, settled_in
from psyflow.work.presence import Presence
from psyflow.work.slot import Slot
from psyflow.work.standstill import Standstills
from psyflow.work.worker import Items, Work, work

__all__ = ["Supervisor"]

POLL_SECONDS = 0.5
GRACE_SECONDS = 10.0
MAX_IDLE_DEATHS = 3
NOTEWORTHY_SECONDS = 3.0
"""A standstill of less may be due to a busy machine."""
_ENDED_BY_US = (-signal.SIGTERM, -signal.SIGKILL)


@dataclass
class _Child:
    index: int
    pid: int
    shard: Path
    first: Items | None
    one_by_one: bool = False
    condemned: float | None = None
    """When it was killed for an item that took too long (`time.monotonic`)."""


class Supervisor:
    """Runs the workers of one job until their claim log is exhausted.

    Parameters
    ----------
    job : Work
    pool_size : int
        Number of workers.
    """

    def __init__(self, job: Work, pool_size: int) -> None:
        # The user's code may change the folder it works in.
        self._job = replace(
            job,
            claims=job.claims.absolute(),
            out=job.out.absolute(),
            leases=job.leases.absolute() if job.leases is not None else None,
        )
        self._pool_size = min(pool_size, max(1, len(job.items)))
        self._children: dict[int, _Child] = {}
        self._memory = mmap.mmap(-1, Slot.size * self._pool_size)
        self._spawned = 0
        self._idle_deaths = 0
        self._stop_level = 0
        self._kill_time: float | None = None
        self._status = 0
        self._n_failed = 0
        self._attempts: dict[int, int] = {}
        self._oom_kills = oom_kills()
        # A scheduler may start a job a second time, and a shard has one writer.
        self._prefix = f"{job.prefix}.{os.urandom(4).hex()}"
        self._writer = ShardWriter(self._job.out / f"{self._prefix}.supervisor.rows")
        self._failures_elsewhere = FailuresElsewhere(self._job.out, self._prefix, job.retries)
        self._is_out_of_time = False
        self._standstills = Standstills()

    def run(self) -> int:
        """Run until nothing is left to claim, or told to stop.

        Returns
        -------
        int
            0 when every item this job claimed has an outcome; `STOPPED` after SIGINT or SIGTERM;
            `TOO_MANY_FAILURES` or `NOTHING_HELD` if that ended the job early; `LOST` if the run's
            folder is gone, or others go on with the job's items; otherwise the exit code of a
            worker that could not work: the task does not load, ``setup`` raised, the disk is full.
        """
        make_folder(self._job.out)
        self._job = replace(self._job, home=identity(make_folder(self._job.claims)))
        self._presence = Presence(self._job, self._prefix)
        self._presence.begin()
        try:
            self._supervise()
        finally:
            # Whoever told all to stop wants nobody to take over.
            is_settled = self._status in ENDED_EARLY or self._has_finished
            is_there = self._presence.end(is_finished=is_settled)
        if not is_there:
            return LOST
        return self._status or (STOPPED if self._stop_level else 0)

    @property
    def _has_finished(self) -> bool:
        return not (self._status or self._stop_level or self._is_out_of_time)

    def _supervise(self) -> None:
        parent = os.getppid()
        with self._writer, Signals() as signals:
            with signals_blocked():
                flush_standard_streams()
                self._guard = Guard(fork)
            self._groups = Groups(self._guard)
            try:
                for index in range(self._pool_size):
                    self._spawn(index)
                while self._children or self._groups:
                    patience = self._patience()
                    signals.wait(patience)
                    self._postpone(self._standstills.look(patience))
                    self._heed_presence()
                    self._reap()
                    self._groups.pursue()
                    self._end_overdue_items()
                    self._heed_failures()
                    self._heed(signals.stop_requests, orphaned=os.getppid() != parent)
            finally:
                self._abandon()
                self._guard.dismiss()

    def _slot(self, index: int) -> Slot:
        start = index * Slot.size
        return Slot(memoryview(self._memory)[start : start + Slot.size])

    def _spawn(self, index: int, first: Items | None = None, *, one_by_one: bool = False) -> None:
        shard = self._job.out / f"{self._prefix}.{index}-{self._spawned}.rows"
        self._spawned += 1
        child = _Child(index, 0, shard, first, one_by_one)
        slot = self._slot(index)
        slot.clear()
        flush_standard_streams()
        supervisor = os.getpid()
        with signals_blocked():
            try:
                pid = fork()
            except OSError as error:
                say(f"Cannot start worker {index}: {error}")
                self._give_up(SETUP_FAILED)
                return
            if pid == 0:
                be_worker(supervisor, slot, lambda: self._work(child, slot))
            child.pid = pid
            self._children[pid] = child

    def _work(self, child: _Child, slot: Slot) -> int:
        """Do what a worker does, in its process."""
        self._guard.begun()
        self._guard.leave()
        self._writer.leave()
        job, attempts = self._job, self._attempts
        if job.is_gone():
            return 0
        how = {"one_by_one": child.one_by_one}
        return work(job, child.index, child.shard, slot, child.first, attempts, **how)

    def _patience(self) -> float:
        patience = POLL_SECONDS
        if self._job.timeout is not None:
            patience = min(patience, max(0.01, self._job.timeout / 10))
        if self._job.max_failures is not None or self._groups:
            patience = min(patience, 0.05)
        return patience

    def _postpone(self, seconds: float) -> None:
        """Count nothing that is measured by the clock for a time in which all stood still."""
        if not seconds:
            return
        if seconds > NOTEWORTHY_SECONDS:
            say(f"This job stood still for {seconds:.0f} s, which count for no timeout.")
        if self._kill_time is not None:
            self._kill_time += seconds
        self._groups.postpone(seconds)
        starts = [self._slot(child.index).read()[1] for child in self._children.values()]
        self._standstills.forget(min(starts, default=0.0))

    def _reap(self) -> None:
        # Only our own: whoever runs us may have other children.
        for child in list(self._children.values()):
            pid, wait_status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                del self._children[pid]
                # What a worker started must not outlive it.
                self._groups.end(child.pid, at_once=child.condemned is not None)
                self._ended(child, os.waitstatus_to_exitcode(wait_status))

    def _ended(self, child: _Child, exit_code: int) -> None:
        slot = self._slot(child.index)
        item, start = slot.read()
        self._n_failed += slot.n_failed
        slot.failed(0)
        self._heed_failures()
        if item == Slot.ENDED and exit_code == RECYCLED:
            if not self._stop_level:
                self._spawn(child.index)
            return
        if item == Slot.ENDED and exit_code == BROKEN:
            self._gave_way(child, start, *slot.culprit)
            return
        if item == Slot.ENDED and exit_code != STOPPED:
            self._ended_of_itself(child, exit_code)
            return
        if self._stop_level and child.condemned is None and exit_code in _ENDED_BY_US:
            # What it was doing counts as never begun.
            return
        finished = settled_in(child.shard, self._job.retries, self._attempts)
        cause = cause_of_death(exit_code)
        if item >= 0 and item not in finished and not self._is_innocent(child, start):
            if not self._record(child, item, start, *self._kind_of_death(child, cause)):
                self._replace(child, finished, again=item)
                return
            finished = np.append(finished, item)
        if self._stop_level:
            return
        if item < 0:
            # Somebody else killed it, or told it to stop.
            say(f"Worker {child.index} {cause} between two items.")
        self._replace(child, finished)

    def _ended_of_itself(self, child: _Child, exit_code: int) -> None:
        if exit_code == OUT_OF_TIME:
            say(f"Worker {child.index} stops: the next items would not be done in time.")
            self._is_out_of_time = True
        elif exit_code == NOTHING_HELD:
            say("The store can hold none of the first results: stopping early.")
            self._give_up(exit_code)
        elif exit_code:
            # Not an item's fault: the task does not load, setup raised, the disk is full …
            say(f"Worker {child.index} gave up (exit code {exit_code}).")
            self._give_up(exit_code)

    def _gave_way(self, child: _Child, start: float, item: int, reason: str) -> None:
        """Replace a worker whose process is not fit for further items, because of one or several.

        If it had written all outcomes but one, that item did it. Else the others may be none of
        its fault: the next worker evaluates them again, and writes each outcome at once.
        """
        finished = settled_in(child.shard, self._job.retries, self._attempts)
        is_found = item >= 0 and item not in finished
        is_outcome = is_found and self._record(child, item, start, "crash", reason)
        if is_outcome:
            finished = np.append(finished, item)
        if self._stop_level:
            return
        if not is_found:
            say(f"Worker {child.index} is replaced. {reason}")
        again = item if is_found and not is_outcome else None
        self._replace(child, finished, again, one_by_one=not is_found)

    def _is_innocent(self, child: _Child, start: float) -> bool:
        """Tell whether the item that took too long ended after all, and another one had begun."""
        return child.condemned is not None and not self._is_overdue(start, child.condemned)

    def _record(self, child: _Child, item: int, start: float, kind: str, message: str) -> bool:
        """Record that an item ended its process, and return whether that is its outcome."""
        attempt = self._attempts[item] = self._attempts.get(item, 0) + 1
        is_outcome = self._stop_level > 0 or not self._job.retries.allow(kind, attempt)
        self._n_failed += is_outcome
        again = "" if is_outcome else f" (attempt {attempt}; it is tried again)"
        say(f"Item {item} failed{again}: {message}")
        duration = time.monotonic() - start
        failure = Failure(
            item=item,
            kind=kind,
            exception=message,
            # Whoever reads it has the space, and may have what its values are made with.
            pset={} if self._job.space is None else pset_repr(self._job.space[item]),
            start=time.time() - duration,
            duration=duration,
            attempt=attempt,
            host=socket.gethostname(),
            pid=child.pid,
            log=self._job.log(child.index).name if self._job.log else "",
        )
        try:
            self._writer.write_failure(failure)
            self._writer.sync()
        except OSError as error:
            say(f"Cannot record the failure of item {item}: {error}")
            self._give_up(DISK_FULL if is_full(error) else SETUP_FAILED)
        return is_outcome

    def _kind_of_death(self, child: _Child, cause: str) -> tuple[str, str]:
        if child.condemned is not None:
            return "timeout", f"It took longer than its timeout, {self._job.timeout} s."
        before, self._oom_kills = self._oom_kills, oom_kills()
        if cause.endswith("SIGKILL") and self._oom_kills > before:
            return "oom", "Its process was killed because the memory ran out."
        return "crash", f"Its process {cause}."

    def _replace(
        self,
        child: _Child,
        finished: Items,
        again: int | None = None,
        *,
        one_by_one: bool = False,
    ) -> None:
        left = self._left_behind(child, finished)
        # One that dies before its first outcome, time and again, would be replaced for ever.
        is_closer = one_by_one and not child.one_by_one and left is not None and len(left)
        has_worked = len(finished) or again is not None or is_closer
        self._idle_deaths = 0 if has_worked else self._idle_deaths + 1
        if self._idle_deaths >= MAX_IDLE_DEATHS:
            self._give_up(SETUP_FAILED)
        else:
            if again is not None and left is not None:
                # Last, so that an item that kills whoever touches it delays no other.
                left = np.append(left[left != again], again)
            self._spawn(child.index, left, one_by_one=one_by_one)

    def _left_behind(self, child: _Child, finished: Items) -> Items | None:
        """Return what a dead worker had claimed and not finished."""
        log = ClaimLog(self._job.claims, len(self._job.items))
        claim = log.latest_of(child.shard.name)
        items = child.first if claim is None else self._job.items[claim.start : claim.stop]
        return None if items is None else np.setdiff1d(items, finished)

    def _is_overdue(self, start: float, now: float) -> bool:
        timeout = self._job.timeout
        return timeout is not None and self._standstills.running(start, now) > timeout

    def _end_overdue_items(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            item, start = self._slot(child.index).read()
            if item >= 0 and child.condemned is None and self._is_overdue(start, now):
                child.condemned = now
                os.kill(child.pid, signal.SIGKILL)

    def _heed_failures(self) -> None:
        if self._job.max_failures is None or self._stop_level:
            return
        n_failed = self._n_failed + sum(self._slot(i).n_failed for i in range(self._pool_size))
        n_failed += self._failures_elsewhere.count()
        if n_failed >= self._job.max_failures:
            say(f"{n_failed} items have failed: stopping early.")
            self._give_up(TOO_MANY_FAILURES)

    def _heed_presence(self) -> None:
        if trouble := self._presence.trouble():
            say(trouble.text)
            self._give_up(LOST)
            self._raise_stop_level(2 if trouble.is_urgent else 1)

    def _give_up(self, status: int) -> None:
        self._status = self._status or status
        self._raise_stop_level(1)

    def _heed(self, stop_requests: int, orphaned: bool) -> None:
        if orphaned and self._kill_time is None:
            say("The process that started this job is gone: stopping.")
            self._raise_stop_level(1)
            self._kill_time = time.monotonic() + GRACE_SECONDS
        self._raise_stop_level(min(stop_requests, 2))
        if self._kill_time is not None and time.monotonic() > self._kill_time:
            self._signal_all(signal.SIGKILL)

    def _raise_stop_level(self, level: int) -> None:
        """Level 1: no new items. Level 2: interrupt the running ones, and soon kill them."""
        while self._stop_level < level:
            self._stop_level += 1
            for child in self._children.values():
                self._slot(child.index).tell_to_stop(self._stop_level)
            self._signal_all(signal.SIGTERM)
            if self._stop_level == 2:
                self._kill_time = time.monotonic() + GRACE_SECONDS

    def _abandon(self) -> None:
        """End the workers that are left, because something went wrong here."""
        self._signal_all(signal.SIGKILL)
        for pid in self._children:
            os.waitpid(pid, 0)

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._children:
            os.kill(pid, number)
