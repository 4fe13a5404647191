"""Workers of this process's own: its forks, supervised as those of task files are."""

from __future__ import annotations

import select
import signal
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from typing import NoReturn

import numpy as np

from psyflow.exceptions import PsyflowError
from psyflow.mapper.batches import Batch, Ended, Returned
from psyflow.mapper.call import Call
from psyflow.mapper.engines.base import ANY_NUMBER, Engine
from psyflow.mapper.engines.fork import Machine, Message, Task, be_fork, messages_in, packed
from psyflow.outcomes.records import Failure
from psyflow.outcomes.table import Items
from psyflow.system.ends import close_end, let_go, noting
from psyflow.system.guard import signal_group
from psyflow.system.processes import cause_of_death, oom_kills
from psyflow.work.crew import Child, Crew
from psyflow.work.endings import Ending, ending_of
from psyflow.work.slot import Slot
from psyflow.work.standstill import Standstills

__all__ = ["Workers"]

POLL_SECONDS = 0.5
MAX_IDLE_DEATHS = 3
FAREWELL_SECONDS = 1.0
"""How long workers that have nothing to do may take to end."""


@dataclass
class _Fork(Child):
    """A worker, and what it is doing.

    Attributes
    ----------
    link : Connection
        Our end of the pipe between us.
    batch : Batch or None
        What it evaluates.
    settled : list of ndarray of int64
        Items of that which have an outcome.
    n_given : int
        How many psets it has been given.
    is_silent : bool
        Whether its end of the pipe is closed.
    """

    link: Connection
    batch: Batch | None = None
    settled: list[Items] = field(default_factory=list)
    n_given: int = 0
    is_silent: bool = False

    def hang_up(self) -> None:
        """Close our end of the pipe."""
        if not self.link.closed:
            close_end(self.link.fileno(), self.link.close)

    def left(self) -> Batch | None:
        """Return the psets of its batch without an outcome; None if there are none."""
        if self.batch is None:
            return None
        left = np.setdiff1d(
            self.batch.items, np.concatenate([*self.settled, self.batch.items[:0]])
        )
        return self.batch.of(left) if len(left) else None


class Workers(Engine):
    """Forks of this process, which replace each other when they die.

    Parameters
    ----------
    call : Call
    n_workers : int
    timeout : float, optional
        Seconds that a pset may take.
    max_tasks_per_child : int, optional
        After how many psets a worker is replaced.
    """

    def __init__(
        self,
        call: Call,
        n_workers: int,
        *,
        timeout: float | None = None,
        max_tasks_per_child: int | None = None,
    ) -> None:
        self._call = call
        self._n_workers = n_workers
        self._timeout = timeout
        self._quota = max_tasks_per_child or ANY_NUMBER
        self._crew: Crew[_Fork] | None = None
        self._machine: Machine | None = None
        self._again: deque[Batch] = deque()
        self._attempts: dict[int, int] = {}
        self._oom_kills = oom_kills()
        self._idle_deaths = 0
        self._standstills = Standstills()

    @property
    def n_workers(self) -> int:
        """How many workers there may be."""
        return self._n_workers

    @property
    def _forks(self) -> list[_Fork]:
        return list(self._crew.children.values()) if self._crew is not None else []

    @property
    def room(self) -> int:
        """As many as a worker may have that has nothing to do."""
        if self._again:
            return 0
        idle = self._idle()
        if idle is not None:
            return self._quota - idle.n_given
        return self._quota if len(self._forks) < self._n_workers else 0

    def _idle(self) -> _Fork | None:
        idle = (fork for fork in self._forks if fork.batch is None and not self._is_leaving(fork))
        return next(idle, None)

    def _is_leaving(self, fork: _Fork) -> bool:
        return fork.is_silent or fork.n_given >= self._quota

    @property
    def is_busy(self) -> bool:
        """Whether any worker has a batch, or will, or makes way for another."""
        return bool(self._again) or any(
            fork.batch is not None or self._is_leaving(fork) for fork in self._forks
        )

    # -- giving -----------------------------------------------------------------------------------

    def submit(self, batch: Batch) -> None:
        """Give a batch to a worker that has nothing to do."""
        attempts = {}
        if self._attempts:
            items = batch.items.tolist()
            attempts = {item: self._attempts[item] for item in items if item in self._attempts}
        message = packed(Task(batch.items, batch.columns, attempts))
        fork = self._idle() or self._started()
        fork.batch, fork.settled = batch, []
        fork.n_given += len(batch)
        try:
            fork.link.send_bytes(message)
        except OSError:
            # It has died; that is found where workers end.
            fork.is_silent = True

    def _started(self) -> _Fork:
        if self._crew is None or self._machine is None:
            self._machine = Machine.of(self._n_workers)
            self._crew = Crew(self._n_workers)
            self._crew.__enter__()
        taken = {fork.index for fork in self._forks}
        index = next(i for i in range(self._n_workers) if i not in taken)
        with noting() as note:
            ours, theirs = Pipe()
            for link in (ours, theirs):
                note(link.fileno())
        fork = _Fork(index, ours)
        crew, machine = self._crew, self._machine

        def work(slot: Slot) -> int:
            let_go(but=[theirs.fileno()])
            return be_fork(self._call, index, machine, theirs, slot)

        try:
            crew.start(fork, work)
        finally:
            close_end(theirs.fileno(), theirs.close)
        return fork

    # -- taking -----------------------------------------------------------------------------------

    def collect(self) -> list[Returned]:
        """Wait for outcomes, or for a worker to make way; replace workers that die."""
        crew = self._crew
        assert crew is not None
        found: list[Returned] = []
        has_made_way = False
        while self.is_busy and not (found or has_made_way):
            patience = POLL_SECONDS if self._timeout is None else min(0.05, self._timeout / 10)
            talking = [fork for fork in self._forks if not fork.is_silent]
            # A worker whose end of the pipe is closed is about to end.
            patience = patience if len(talking) == len(self._forks) else 0.001
            for fork in _who_speaks(talking, patience):
                found += self._heard(fork)
            crew.groups.postpone(self._standstills.look(patience))
            for fork, exit_code in crew.reap():
                has_made_way = True
                found += self._ended(fork, exit_code)
            crew.groups.pursue()
            self._end_overdue()
            self._send_again()
        return found

    def _heard(self, fork: _Fork) -> Iterator[Returned]:
        """Yield what a worker says that speaks."""
        try:
            for message in messages_in(fork.link.recv_bytes()):
                yield from self._understood(fork, message)
        except (EOFError, OSError):
            fork.is_silent = True

    def _understood(self, fork: _Fork, message: Message) -> Iterator[Returned]:
        batch = fork.batch
        if isinstance(message, str):
            raise PsyflowError(message)
        assert batch is not None
        if isinstance(message, Ended):
            fork.batch = None
            self._idle_deaths = 0
            if fork.n_given >= self._quota:
                fork.hang_up()
                fork.is_silent = True
            yield Returned(batch=batch, ended=message)
        elif not isinstance(message, Failure):
            fork.settled.append(message.items)
            yield Returned(rows=[message], batch=batch)
        elif self._call.retries.allow(message.kind, message.attempt):
            self._attempts[message.item] = message.attempt
        else:
            fork.settled.append(np.array([message.item]))
            yield Returned(failures=[message], batch=batch)

    def _send_again(self) -> None:
        while self._again and (self._idle() or len(self._forks) < self._n_workers):
            self.submit(self._again.popleft())

    def _end_overdue(self) -> None:
        now = time.monotonic()
        for fork in self._forks:
            if fork.condemned is None and self._is_overdue(fork, now):
                assert self._crew is not None
                self._crew.condemn(fork)

    def _is_overdue(self, fork: _Fork, now: float) -> bool:
        if self._timeout is None or self._crew is None:
            return False
        item, start = self._crew.slot(fork).read()
        return item >= 0 and self._standstills.running(start, now) > self._timeout

    # -- deaths -----------------------------------------------------------------------------------

    def _ended(self, fork: _Fork, exit_code: int) -> Iterator[Returned]:
        """Yield what is to be said of the psets of a worker that has ended."""
        assert self._crew is not None
        if not fork.link.closed:
            while not fork.is_silent and fork.link.poll():
                yield from self._heard(fork)
            fork.hang_up()
        slot = self._crew.slot(fork)
        ending = ending_of(
            exit_code,
            has_ended=slot.read()[0] == Slot.ENDED,
            is_stopping=False,
            is_condemned=fork.condemned is not None,
        )
        if ending is Ending.FINISHED:
            self._again.extendleft([left] if (left := fork.left()) else [])
        elif ending is Ending.GAVE_WAY:
            yield from self._gave_way(fork, slot)
        elif ending is Ending.DIED:
            item, start = slot.read()
            yield from self._lost(fork, item, start, *self._kind(fork, exit_code))
        else:
            _give_up(f"its last words are above, and its exit code was {exit_code}")

    def _kind(self, fork: _Fork, exit_code: int) -> tuple[str, str]:
        """Return the kind of the failure of which a worker died, and say what happened."""
        if fork.condemned is not None:
            return "timeout", f"It took longer than its timeout, {self._timeout} s."
        cause = cause_of_death(exit_code)
        before, self._oom_kills = self._oom_kills, oom_kills()
        if cause.endswith("SIGKILL") and self._oom_kills > before:
            return "oom", "Its process was killed because the memory ran out."
        return "crash", f"Its process {cause}."

    def _gave_way(self, fork: _Fork, slot: Slot) -> Iterator[Returned]:
        """Tell which pset has left a process unfit for others, or have each evaluated alone."""
        item, reason = slot.culprit
        left = fork.left()
        if left is None:
            return
        if item >= 0 or len(left) == 1:
            item = item if item >= 0 else int(left.items[0])
            yield from self._lost(fork, item, slot.read()[1], "crash", reason)
        else:
            self._again.extend(left.singly())

    def _lost(
        self, fork: _Fork, item: int, start: float, kind: str, what: str
    ) -> Iterator[Returned]:
        """Tell of the pset with which a worker died; have the others evaluated by the next one."""
        left = fork.left()
        is_of_item = left is not None and item in left.items
        self._idle_deaths = 0 if is_of_item or fork.settled else self._idle_deaths + 1
        if self._idle_deaths >= MAX_IDLE_DEATHS:
            _give_up(what)
        if left is None:
            return
        others = left.items
        if is_of_item:
            others = others[others != item]
            assert self._crew is not None
            stack = self._crew.last_stack(fork)
            yield from self._died_of(left.of(np.array([item])), start, kind, what, stack)
        if len(others):
            # Before the others: they have waited long enough.
            self._again.appendleft(left.of(others))

    def _died_of(
        self, alone: Batch, start: float, kind: str, what: str, stack: str
    ) -> Iterator[Returned]:
        item = int(alone.items[0])
        attempt = self._attempts[item] = self._attempts.get(item, 0) + 1
        if self._call.retries.allow(kind, attempt):
            self._again.append(alone)
            return
        failure = alone.death(kind, what, time.monotonic() - start, attempt, stack)
        yield Returned(failures=[failure], batch=alone)

    # -- the end ----------------------------------------------------------------------------------

    def close(self) -> None:
        """End the workers, and all that they have started."""
        crew, self._crew = self._crew, None
        if crew is None:
            return
        forks = crew.children
        deadline = time.monotonic() + FAREWELL_SECONDS
        is_idle = all(fork.batch is None for fork in forks.values())
        for fork in forks.values() if is_idle else ():
            fork.hang_up()
        while is_idle and forks and time.monotonic() < deadline:
            for _ in crew.reap():
                pass
            time.sleep(0.001)
        for fork in forks.values():
            # What it has started, too, and at once: whoever interrupts a map waits for this.
            signal_group(fork.pid, signal.SIGKILL)
            # Not before, or it would say on its way out that nobody listens.
            fork.hang_up()
        crew.__exit__()


def _who_speaks(forks: list[_Fork], seconds: float) -> list[_Fork]:
    """Return the workers that have something to say; wait so long for that at the most."""
    by_fd = {fork.link.fileno(): fork for fork in forks}
    poll = select.poll()
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    return [by_fd[fd] for fd, _ in poll.poll(seconds * 1e3)]


def _give_up(why: str) -> NoReturn:
    raise PsyflowError(f"The workers cannot work: {why.rstrip('.')}.")
