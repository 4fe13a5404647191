"""The processes of the workers of one job, and what these have started."""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeAlias, TypeVar

from psyflow.outcomes.table import Items
from psyflow.system.guard import Groups, Guard, signal_group
from psyflow.system.processes import (
    adopt_orphans,
    bury_orphans,
    flush_standard_streams,
    fork,
    signals_blocked,
)
from psyflow.work.child import be_worker
from psyflow.work.loader import Loader, News
from psyflow.work.slot import Slot
from psyflow.work.stacks import StackFile

__all__ = ["Child", "Claimant", "Crew"]

DoTold: TypeAlias = "Callable[[Slot, Any], int]"
Loaded: TypeAlias = "tuple[DoTold, str]"


@dataclass
class Child:
    """The process of one worker.

    Attributes
    ----------
    index : int
        Number of the worker within its job, and of its slot.
    pid : int
    condemned : float or None
        When it was killed for an item that took too long (`time.monotonic`).
    stack : str
        Where it was then.
    """

    index: int
    pid: int = field(default=0, kw_only=True)
    condemned: float | None = field(default=None, kw_only=True)
    stack: str = field(default="", kw_only=True)


@dataclass
class Claimant(Child):
    """One that claims items, and appends their outcomes to a shard.

    Attributes
    ----------
    shard : Path
    first : ndarray of int64 or None
        Items to evaluate before claiming.
    one_by_one : bool
        Whether the outcome of each of these is written at once.
    """

    shard: Path
    first: Items | None
    one_by_one: bool = False


AnyChild = TypeVar("AnyChild", bound=Child)


class Crew(Generic[AnyChild]):
    """The workers' processes, their slots, and the guard beside them.

    Parameters
    ----------
    n_slots : int
        How many workers there may be at once.
    """

    def __init__(self, n_slots: int) -> None:
        self.children: dict[int, AnyChild] = {}
        # The last one is the loader's.
        self._memory = mmap.mmap(-1, Slot.size * (n_slots + 1))
        self._slots = range(n_slots)
        self._stacks: list[StackFile] = []
        self._loader: Loader | None = None
        self._loader_pid = 0
        self._adopts = False
        self.is_loading = False

    def __enter__(self) -> Crew[AnyChild]:
        self._stacks = [StackFile() for _ in range(len(self._slots) + 1)]
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
        self.end_loader()
        self._guard.dismiss()
        for stack in self._stacks:
            stack.close()

    @property
    def is_there(self) -> bool:
        """Whether there are workers, or will be some, or anything that they have started."""
        return bool(self.children or self.groups or self.is_loading)

    def slot(self, child: AnyChild) -> Slot:
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

    def stack(self, item: int) -> str | None:
        """Return where an item is; empty if nobody can tell, None if it is not running."""
        for child in self.children.values():
            if self.slot(child).read()[0] == item:
                return self._stacks[child.index].ask(child.pid)
        return None

    def condemn(self, child: AnyChild) -> None:
        """Kill a worker whose item takes too long, and note where that was."""
        child.condemned = time.monotonic()
        child.stack = self._stacks[child.index].ask_for_the_last_time(child.pid)
        os.kill(child.pid, signal.SIGKILL)

    def last_stack(self, child: AnyChild) -> str:
        """Return where a worker was that was condemned, or that has crashed; empty if unknown."""
        is_condemned = child.condemned is not None
        return child.stack if is_condemned else self._stacks[child.index].of_crash()

    def n_failed(self) -> int:
        """Return how many items have failed, as the workers say."""
        return sum(self._slot(index).n_failed for index in self._slots)

    def is_doomed(self) -> bool:
        """Tell whether an item has failed, as a worker says, as all others would."""
        return any(self._slot(index).is_doomed for index in self._slots)

    def load(self, load: Callable[[], Loaded]) -> bool:
        """Fork a process that loads the user's code, and then forks the workers.

        Parameters
        ----------
        load : callable
            Returns what a worker does, and what keeps it from being forked from here; empty if
            nothing does.

        Returns
        -------
        bool
            Whether there can be such a process here.
        """
        self._adopts = adopt_orphans()
        if not self._adopts:
            return False
        self._loader = loader = Loader()
        slot = self._slot(len(self._slots))
        slot.clear()
        flush_standard_streams()
        supervisor = os.getpid()
        with signals_blocked():
            pid = fork()
            if pid == 0:
                stack = self._stacks[-1]
                be_worker(
                    supervisor, slot, stack, lambda: self._be_loader(supervisor, loader, load)
                )
        loader.begun(pid)
        self._loader_pid, self.is_loading = pid, True
        return True

    def _be_loader(self, supervisor: int, loader: Loader, load: Callable[[], Loaded]) -> int:
        self._guard.begun()
        loaded: list[DoTold] = []

        def obstacle() -> str:
            do_work, what = load()
            loaded.append(do_work)
            return what

        def start(told: tuple[int, Any]) -> NoReturn:
            index, how = told
            slot = self._slot(index)
            stack = self._stacks[index]
            be_worker(supervisor, slot, stack, lambda: self._be(slot, lambda s: loaded[0](s, how)))

        return loader.serve(supervisor, obstacle, start)

    def news_of_loader(self) -> News | None:
        """Return what has become of loading; None as long as that goes on."""
        news = self._loader.news() if self._loader is not None else News.GONE
        self.is_loading = news is None
        return news

    def end_loader(self) -> int:
        """End the loader, if there is one, and return with what it gave up; 0 if it did not."""
        if self._loader is None:
            return 0
        has_ended = self._slot(len(self._slots)).read()[0] == Slot.ENDED
        self._loader.end()
        if not has_ended:
            os.kill(self._loader_pid, signal.SIGKILL)
        exit_code = os.waitstatus_to_exitcode(os.waitpid(self._loader_pid, 0)[1])
        self.groups.end(self._loader_pid, at_once=False)
        self._loader, self._loader_pid, self.is_loading = None, 0, False
        return exit_code if has_ended else 0

    def start(self, child: AnyChild, do_work: Callable[[Slot], int], how: Any = None) -> None:
        """Start a worker.

        Parameters
        ----------
        child : AnyChild
        do_work : callable
            What it does, if it is a fork of this process.
        how
            What it is told, if it is one of the loader.

        Raises
        ------
        OSError
            If there can be no further process.
        """
        self.slot(child).clear()
        self._stacks[child.index].clear()
        flush_standard_streams()
        with signals_blocked():
            child.pid = self._forked_by_loader(child, how) or self._forked(child, do_work)
            self.children[child.pid] = child

    def _forked_by_loader(self, child: AnyChild, how: Any) -> int | None:
        if self._loader is None or not self._loader.is_ready:
            return None
        try:
            return self._loader.fork((child.index, how))
        except ConnectionError:
            return None  # somebody has ended it

    def _forked(self, child: AnyChild, do_work: Callable[[Slot], int]) -> int:
        slot, supervisor = self.slot(child), os.getpid()
        pid = fork()
        if pid == 0:
            stack = self._stacks[child.index]
            be_worker(supervisor, slot, stack, lambda: self._be(slot, do_work))
        return pid

    def _be(self, slot: Slot, do_work: Callable[[Slot], int]) -> int:
        self._guard.begun()
        self._guard.leave()
        if self._loader is not None:
            self._loader.leave()
        return do_work(slot)

    def has_ended(self) -> bool:
        """Tell whether any worker has ended, which `reap` then waits for."""
        # Not any child: one that nobody waits for, such as a guard that was killed, has always.
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return any(os.waitid(os.P_PID, pid, options) for pid in self.children)

    def reap(self) -> Iterator[tuple[AnyChild, int]]:
        """Yield the workers that have ended, with their exit codes."""
        # Only our own: whoever runs us may have other children.
        for child in list(self.children.values()):
            pid, wait_status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                del self.children[pid]
                # What a worker started must not outlive it.
                self.groups.end(child.pid, at_once=child.condemned is not None)
                yield child, os.waitstatus_to_exitcode(wait_status)
        self._guard.bury()
        if self._adopts:
            bury_orphans({*self.children, self._loader_pid, self._guard.pid})

    def tell_to_stop(self, level: int) -> None:
        """Have the workers claim no more (level 1), or stop at once (2)."""
        for child in self.children.values():
            self.slot(child).tell_to_stop(level)
        self.signal(signal.SIGTERM)

    def pause(self) -> None:
        """Stand still with all workers, and with what they run, until somebody says go on."""
        workers = [*self.children, *([self._loader_pid] if self._loader_pid else [])]
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for pid in workers:
                # Its process group, which is its own, and of which a terminal knows nothing.
                signal_group(pid, number)
            if number == signal.SIGSTOP:
                os.kill(os.getpid(), signal.SIGSTOP)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all workers."""
        for pid in [*self.children, *([self._loader_pid] if self.is_loading else [])]:
            os.kill(pid, number)
