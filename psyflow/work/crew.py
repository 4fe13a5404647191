"""The processes of the workers of one job, and what these have started."""

from __future__ import annotations

import mmap
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from psyflow.outcomes.table import Items
from psyflow.system.guard import Groups, Guard
from psyflow.system.processes import flush_standard_streams, fork, signals_blocked
from psyflow.work.child import be_worker
from psyflow.work.slot import Slot

__all__ = ["Child", "Crew"]


@dataclass
class Child:
    """The process of one worker.

    Attributes
    ----------
    index : int
        Number of the worker within its job, and of its slot.
    shard : Path
    first : ndarray of int64 or None
        Items to evaluate before claiming.
    one_by_one : bool
        Whether the outcome of each of these is written at once.
    pid : int
    condemned : float or None
        When it was killed for an item that took too long (`time.monotonic`).
    """

    index: int
    shard: Path
    first: Items | None
    one_by_one: bool = False
    pid: int = 0
    condemned: float | None = None


class Crew:
    """The workers' processes, their slots, and the guard beside them.

    Parameters
    ----------
    n_slots : int
        How many workers there may be at once.
    """

    def __init__(self, n_slots: int) -> None:
        self.children: dict[int, Child] = {}
        self._memory = mmap.mmap(-1, Slot.size * n_slots)
        self._slots = range(n_slots)

    def __enter__(self) -> Crew:
        with signals_blocked():
            flush_standard_streams()
            self._guard = Guard(fork)
        self.groups = Groups(self._guard)
        return self

    def __exit__(self, *exc: object) -> None:
        """End the workers that are left, because something went wrong in the supervisor."""
        self.signal(signal.SIGKILL)
        for pid in self.children:
            os.waitpid(pid, 0)
        self._guard.dismiss()

    @property
    def is_there(self) -> bool:
        """Whether there are workers, or anything that they have started."""
        return bool(self.children or self.groups)

    def slot(self, child: Child) -> Slot:
        """Return what a worker and its supervisor tell each other by."""
        return self._slot(child.index)

    def _slot(self, index: int) -> Slot:
        start = index * Slot.size
        return Slot(memoryview(self._memory)[start : start + Slot.size])

    def running(self) -> Iterator[tuple[int, float]]:
        """Yield the items that are running, and their starts (`time.monotonic`)."""
        for child in self.children.values():
            item, start = self.slot(child).read()
            if item >= 0:
                yield item, start

    def n_failed(self) -> int:
        """Return how many items have failed, as the workers say."""
        return sum(self._slot(index).n_failed for index in self._slots)

    def start(self, child: Child, do_work: Callable[[Slot], int]) -> None:
        """Fork a worker, which does `do_work`.

        Raises
        ------
        OSError
            If there can be no further process.
        """
        slot = self.slot(child)
        slot.clear()
        flush_standard_streams()
        supervisor = os.getpid()
        with signals_blocked():
            pid = fork()
            if pid == 0:
                be_worker(supervisor, slot, lambda: self._be(slot, do_work))
            child.pid = pid
            self.children[pid] = child

    def _be(self, slot: Slot, do_work: Callable[[Slot], int]) -> int:
        self._guard.begun()
        self._guard.leave()
        return do_work(slot)

    def reap(self) -> Iterator[tuple[Child, int]]:
        """Yield the workers that have ended, with their exit codes."""
        # Only our own: whoever runs us may have other children.
        for child in list(self.children.values()):
            pid, wait_status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                del self.children[pid]
                # What a worker started must not outlive it.
                self.groups.end(child.pid, at_once=child.condemned is not None)
                yield child, os.waitstatus_to_exitcode(wait_status)

    def tell_to_stop(self, level: int) -> None:
        """Have the workers claim no more (level 1), or stop at once (2)."""
        for child in self.children.values():
            self.slot(child).tell_to_stop(level)
        self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all workers."""
        for pid in self.children:
            os.kill(pid, number)
