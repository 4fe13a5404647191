"""The supervisor: parent of the workers of one job.

It starts them, watches them, ends those whose item takes too long, and replaces those that die. It
runs none of the user's code and carries no results, so nothing that happens in a worker can take
it along.
"""

from __future__ import annotations

import functools
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from psyflow.outcomes.shard import ShardWriter
from psyflow.system.exits import (
    DISK_FULL,
    GIVES_UP,
    LOST,
    SETUP_FAILED,
    STOPPED,
)
from psyflow.system.files import make_folder
from psyflow.system.identity import identity
from psyflow.system.oserrors import is_full
from psyflow.system.processes import Signals, cause_of_death
from psyflow.work.asked import Questions
from psyflow.work.capture import say
from psyflow.work.crew import Claimant, Crew, Loaded
from psyflow.work.dealing import Dealer
from psyflow.work.deaths import Deaths
from psyflow.work.endings import Ending, ending_of
from psyflow.work.failure_limit import FailureLimit
from psyflow.work.fitness import Before
from psyflow.work.loader import News
from psyflow.work.longrunning import LongRunning
from psyflow.work.presence import Presence
from psyflow.work.slot import Slot
from psyflow.work.standstill import Standstills
from psyflow.work.worker import Items, Work, work

__all__ = ["Supervisor"]

Attempts: TypeAlias = "Mapping[int, int]"

POLL_SECONDS = 0.5
UNHEARD_SECONDS = 0.02
"""How often to look at what workers wish where no signal tells of it."""
GRACE_SECONDS = 10.0
MAX_IDLE_DEATHS = 3
NOTEWORTHY_SECONDS = 3.0
"""A standstill of less may be due to a busy machine."""


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
        self._crew: Crew[Claimant] = Crew(self._pool_size)
        self._spawned = 0
        self._idle_deaths = 0
        self._stop_level = 0
        self._kill_time: float | None = None
        self._status = 0
        # A scheduler may start a job a second time, and a shard has one writer.
        self._prefix = f"{job.prefix}.{os.urandom(4).hex()}"
        self._writer = ShardWriter(self._job.out / f"{self._prefix}.supervisor.rows")
        self._deaths = Deaths(self._job, self._writer)
        self._failure_limit = FailureLimit(self._job, self._prefix)
        self._long_running = LongRunning(self._job.leases, self._prefix, job.n_jobs)
        self._questions = Questions(self._job.leases, self._prefix, job.n_jobs)
        self._is_out_of_time = False
        self._standstills = Standstills()

    def run(self) -> int:
        """Run until nothing is left to claim, or told to stop.

        Returns
        -------
        int
            0 when every item this job claimed has an outcome; `STOPPED` after SIGINT or SIGTERM;
            `TOO_MANY_FAILURES`, `NOTHING_KEPT` or `ALL_WOULD_FAIL` if that ended it early; `LOST`
            if the run's folder is gone, or others go on with the job's items; otherwise the exit
            code of a worker that could not work: the task does not load, ``setup`` raised, the
            disk is full.
        """
        make_folder(self._job.out)
        self._job = replace(self._job, home=identity(make_folder(self._job.claims)))
        self._dealer = Dealer(self._job, self._writer.path.name, self._pool_size, self._crew.slot)
        self._presence = Presence(self._job, self._prefix)
        self._presence.begin()
        try:
            self._supervise()
        finally:
            self._long_running.end()
            # Whoever told all to stop wants nobody to take over.
            is_settled = self._status in GIVES_UP or self._has_finished
            is_there = self._presence.end(is_finished=is_settled)
        if not is_there:
            return LOST
        return self._status or (STOPPED if self._stop_level else 0)

    @property
    def _has_finished(self) -> bool:
        is_early = self._status or self._stop_level or self._is_out_of_time
        return not (is_early or self._dealer.has_items)

    def _supervise(self) -> None:
        parent = os.getppid()
        with self._writer, Signals() as signals, self._crew as crew:
            if not (self._loads_once() and crew.load(self._load)):
                self._spawn_all()
            while crew.is_there:
                patience = self._patience()
                self._wait(signals, patience)
                if signals.is_to_pause:
                    signals.is_to_pause = False
                    crew.pause()
                self._postpone(self._standstills.look(patience))
                self._heed_presence()
                if crew.is_loading:
                    self._heed_loader()
                for child, exit_code in crew.reap():
                    self._ended(child, exit_code)
                if not (crew.children or crew.is_loading):
                    crew.end_loader()
                crew.groups.pursue()
                self._end_overdue_items()
                self._long_running.tell(crew.running())
                oldest = min((start for _, start in crew.running()), default=float("inf"))
                self._questions.heed(oldest, crew.stack)
                self._heed_failures()
                self._heed(signals.stop_requests, orphaned=os.getppid() != parent)

    def _wait(self, signals: Signals, seconds: float) -> None:
        """Wait until something happens; dealing items out meanwhile is nothing of that kind."""
        end = time.monotonic() + seconds
        if not signals.are_heard:
            end = min(end, time.monotonic() + UNHEARD_SECONDS)
        # The end of a worker, too, may be what others have been waiting for.
        self._dealer.heed(self._crew.children.values())
        while True:
            signals.wait(max(0.0, end - time.monotonic()))
            n_answered = self._dealer.heed(self._crew.children.values())
            is_asked = signals.stop_requests > self._stop_level or signals.is_to_pause
            if not n_answered or is_asked or self._crew.has_ended() or time.monotonic() >= end:
                return

    def _loads_once(self) -> bool:
        """Tell whether it is worth a process of its own to load the code for all workers."""
        is_shared = self._pool_size > 1 or self._job.max_tasks_per_child is not None
        return self._job.load is not None and is_shared

    def _load(self) -> Loaded:
        """Load the user's code, in the loader, and say what workers do that are forked there."""
        self._writer.leave()
        before = Before()
        assert self._job.load is not None
        job = replace(self._job, prepare=self._job.load())

        def be(slot: Slot, how: tuple[Claimant, Attempts]) -> int:
            child, attempts = how
            return self._work(child, slot, job, attempts)

        return be, before.obstacle()

    def _heed_loader(self) -> None:
        news = self._crew.news_of_loader()
        if news is None:
            return
        exit_code = 0 if news is News.READY else self._crew.end_loader()
        if exit_code:
            say(f"Worker 0 gave up (exit code {exit_code}).")
            self._give_up(exit_code)
        elif not self._stop_level:
            # If loading has killed the loader, it kills workers, too, which then is told of them.
            self._spawn_all()

    def _spawn_all(self) -> None:
        for index in range(self._pool_size):
            self._spawn(index)
            # The first one need not wait for the last one.
            self._dealer.heed(self._crew.children.values())

    def _spawn(self, index: int, first: Items | None = None, *, one_by_one: bool = False) -> None:
        shard = self._job.out / f"{self._prefix}.{index}-{self._spawned}.rows"
        self._spawned += 1
        child = Claimant(index, shard, first, one_by_one)
        try:
            attempts = self._deaths.attempts
            work = functools.partial(self._work, child, job=self._job, attempts=attempts)
            self._crew.start(child, work, (child, attempts))
        except OSError as error:
            say(f"Cannot start worker {index}: {error}")
            self._give_up(SETUP_FAILED)

    def _work(self, child: Claimant, slot: Slot, job: Work, attempts: Attempts) -> int:
        """Do what a worker does, in its process."""
        self._writer.leave()
        if job.is_gone():
            return 0
        how = {"one_by_one": child.one_by_one}
        return work(job, child.index, child.shard, slot, child.first, attempts, asks=True, **how)

    def _patience(self) -> float:
        patience = POLL_SECONDS
        if self._job.timeout is not None:
            patience = min(patience, max(0.01, self._job.timeout / 10))
        has_failed = self._deaths.n_failed or self._crew.n_failed()
        is_curious = bool(has_failed) and self._failure_limit.is_curious
        if self._job.max_failures is not None or self._crew.groups or is_curious:
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
        self._crew.groups.postpone(seconds)
        starts = [self._crew.slot(child).read()[1] for child in self._crew.children.values()]
        self._standstills.forget(min(starts, default=0.0))

    def _ended(self, child: Claimant, exit_code: int) -> None:
        slot = self._crew.slot(child)
        self._dealer.take_back(child)
        self._deaths.n_failed += slot.n_failed
        slot.failed(0)
        self._heed_failures()
        ending = ending_of(
            exit_code,
            has_ended=slot.read()[0] == Slot.ENDED,
            is_stopping=self._stop_level > 0,
            is_condemned=child.condemned is not None,
        )
        match ending:
            case Ending.FINISHED | Ending.STOPPED:
                pass
            case Ending.RECYCLED:
                if not self._stop_level:
                    # It is dealt no more than it may evaluate, but others may have left more.
                    left = None
                    if self._dealer.may_have_left(child):
                        left = self._dealer.left_by(child, self._deaths.settled(child))
                    self._spawn(child.index, left)
            case Ending.GAVE_WAY:
                self._gave_way(child, slot)
            case Ending.DIED:
                self._died(child, slot, exit_code)
            case Ending.OUT_OF_TIME:
                say(f"Worker {child.index} stops: the next items would not be done in time.")
                self._is_out_of_time = True
            case Ending.NOTHING_KEPT:
                say("None of the first results can be kept: stopping early.")
                self._give_up(exit_code)
            case Ending.GAVE_UP:
                say(f"Worker {child.index} gave up (exit code {exit_code}).")
                self._give_up(exit_code)

    def _died(self, child: Claimant, slot: Slot, exit_code: int) -> None:
        item, start = slot.read()
        finished = self._deaths.settled(child)
        cause = cause_of_death(exit_code)
        if item >= 0 and item not in finished and not self._is_innocent(child, start):
            kind, what = self._deaths.kind(child, cause)
            if not self._record(child, item, start, kind, what + self._job.last_words(item)):
                self._replace(child, finished, again=item)
                return
            finished = np.append(finished, item)
        if self._stop_level:
            return
        if item < 0:
            # Somebody else killed it, or told it to stop.
            say(f"Worker {child.index} {cause} between two items.")
        self._replace(child, finished)

    def _gave_way(self, child: Claimant, slot: Slot) -> None:
        """Replace a worker whose process is not fit for further items, because of one or several.

        If it had written all outcomes but one, that item did it. Else the others may be none of
        its fault: the next worker evaluates them again, and writes each outcome at once.
        """
        start, (item, reason) = slot.read()[1], slot.culprit
        finished = self._deaths.settled(child)
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

    def _is_innocent(self, child: Claimant, start: float) -> bool:
        """Tell whether the item that took too long ended after all, and another one had begun."""
        return child.condemned is not None and not self._is_overdue(start, child.condemned)

    def _record(self, child: Claimant, item: int, start: float, kind: str, what: str) -> bool:
        """Record that an item ended its process, and return whether that is its outcome."""
        is_outcome = self._deaths.count(item, kind, what, is_last=self._stop_level > 0)
        try:
            stack = self._crew.last_stack(child)
            self._deaths.write(child, item, start, kind, what, stack)
        except OSError as error:
            say(f"Cannot record the failure of item {item}: {error}")
            self._give_up(DISK_FULL if is_full(error) else SETUP_FAILED)
        return is_outcome

    def _replace(
        self,
        child: Claimant,
        finished: Items,
        again: int | None = None,
        *,
        one_by_one: bool = False,
    ) -> None:
        left = self._dealer.left_by(child, finished)
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

    def _is_overdue(self, start: float, now: float) -> bool:
        timeout = self._job.timeout
        return timeout is not None and self._standstills.running(start, now) > timeout

    def _end_overdue_items(self) -> None:
        now = time.monotonic()
        for child in self._crew.children.values():
            item, start = self._crew.slot(child).read()
            if item >= 0 and child.condemned is None and self._is_overdue(start, now):
                self._crew.condemn(child)

    def _heed_failures(self) -> None:
        if self._stop_level:
            return
        n_failed = self._deaths.n_failed + self._crew.n_failed()
        status = self._failure_limit.verdict(n_failed, is_doomed=self._crew.is_doomed())
        if status:
            self._give_up(status)

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
            self._crew.signal(signal.SIGKILL)

    def _raise_stop_level(self, level: int) -> None:
        """Level 1: no new items. Level 2: interrupt the running ones, and soon kill them."""
        while self._stop_level < level:
            self._stop_level += 1
            self._crew.tell_to_stop(self._stop_level)
            if self._stop_level == 2:
                self._kill_time = time.monotonic() + GRACE_SECONDS
