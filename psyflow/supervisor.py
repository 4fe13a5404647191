"""The supervisor: parent of the workers of one job.

It starts them, watches them, ends those whose item takes too long, and replaces those that die. It runs
none of the user's code and carries no results, so nothing that happens in a worker can take it along.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import mmap
import os
import select
import signal
import socket
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import numpy as np

from psyflow.claims import ClaimLog
from psyflow.shard import Failure, ShardReader, ShardWriter, pset_repr
from psyflow.worker import STOPPED, Items, Slot, Work, work

__all__ = ["SETUP_FAILED", "Supervisor"]

SETUP_FAILED = 3
POLL_SECONDS = 0.5
GRACE_SECONDS = 10.0
MAX_IDLE_DEATHS = 3
_PR_SET_PDEATHSIG = 1
_HANDLED = (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM)


@dataclass
class _Child:
    index: int
    pid: int
    shard: Path
    first: Items | None
    is_overdue: bool = False


class Supervisor:
    """Runs the workers of one job until their claim log is exhausted.

    Parameters
    ----------
    job : Work
    pool_size : int
        Number of workers.
    """

    def __init__(self, job: Work, pool_size: int) -> None:
        self._job = job
        self._pool_size = min(pool_size, max(1, len(job.items)))
        self._children: dict[int, _Child] = {}
        self._memory = mmap.mmap(-1, Slot.size * self._pool_size)
        self._spawned = 0
        self._idle_deaths = 0
        self._stop_level = 0
        self._kill_time: float | None = None
        self._status = 0
        self._writer = ShardWriter(job.out / f"{job.prefix}.supervisor.rows")

    def run(self) -> int:
        """Run until nothing is left to claim, or told to stop.

        Returns
        -------
        int
            0 when every item this job claimed has an outcome; `STOPPED` after SIGINT or SIGTERM;
            otherwise the exit code of a worker that could not work: the task does not load, ``setup``
            raised, the disk is full.
        """
        parent = os.getppid()
        with self._writer, _Signals() as signals:
            for index in range(self._pool_size):
                self._spawn(index)
            while self._children:
                signals.wait(self._patience())
                self._reap()
                self._end_overdue_items()
                self._heed(signals.stop_requests, orphaned=os.getppid() != parent)
        return self._status or (STOPPED if self._stop_level else 0)

    def _slot(self, index: int) -> Slot:
        start = index * Slot.size
        return Slot(memoryview(self._memory)[start : start + Slot.size])

    def _spawn(self, index: int, first: Items | None = None) -> None:
        shard = self._job.out / f"{self._job.prefix}.{index}-{self._spawned}.rows"
        self._spawned += 1
        slot = self._slot(index)
        slot.running(-1, 0.0)
        sys.stdout.flush()
        sys.stderr.flush()
        supervisor = os.getpid()
        # A signal between the fork and the child's own handlers would run ours in the child.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        with warnings.catch_warnings():
            # BLAS libraries keep threads of their own, and handle a fork.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            _be_worker(supervisor, self._job, index, shard, slot, first)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        self._children[pid] = _Child(index, pid, shard, first)

    def _patience(self) -> float:
        if self._job.timeout is None:
            return POLL_SECONDS
        return min(POLL_SECONDS, max(0.01, self._job.timeout / 10))

    def _reap(self) -> None:
        while self._children:
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is not None:
                self._ended(child, os.waitstatus_to_exitcode(wait_status))

    def _ended(self, child: _Child, exit_code: int) -> None:
        item, start = self._slot(child.index).read()
        if item < 0 and exit_code >= 0:
            if exit_code not in (0, STOPPED):
                # Not an item's fault: the task does not load, setup raised, the disk is full …
                print(f"Worker {child.index} gave up (exit code {exit_code}).", flush=True)
                self._give_up(exit_code)
            return
        cause = _cause_of_death(exit_code)
        if item >= 0:
            self._idle_deaths = 0
            self._record_crash(child, item, start, cause)
        else:
            self._idle_deaths += 1
            print(f"Worker {child.index} {cause} between two items.", flush=True)
        if self._idle_deaths >= MAX_IDLE_DEATHS:
            self._give_up(SETUP_FAILED)
        elif not self._stop_level:
            self._spawn(child.index, self._left_behind(child, item))

    def _record_crash(self, child: _Child, item: int, start: float, cause: str) -> None:
        if child.is_overdue:
            kind, message = "timeout", f"It took longer than its timeout, {self._job.timeout} s."
        else:
            kind, message = "crash", f"Its process {cause}."
        print(f"Item {item} failed: {message}", flush=True)
        failure = Failure(
            item=item,
            kind=kind,
            exception=message,
            pset=pset_repr(self._job.space[item]),
            start=start,
            duration=time.time() - start,
            host=socket.gethostname(),
            pid=child.pid,
        )
        self._writer.write_failure(failure)
        self._writer.sync()

    def _left_behind(self, child: _Child, crashed: int) -> Items | None:
        """Return what a dead worker had claimed and neither finished nor died of."""
        log = ClaimLog(self._job.claims, len(self._job.items))
        claim = log.latest_of(child.shard.name)
        items = child.first if claim is None else self._job.items[claim.start : claim.stop]
        if items is None:
            return None
        seen = [np.array([crashed], dtype=np.int64)]
        if child.shard.exists():
            seen += [frame.items for frame in ShardReader(child.shard).new_frames()]
        return np.setdiff1d(items, np.concatenate(seen))

    def _end_overdue_items(self) -> None:
        if self._job.timeout is None:
            return
        now = time.time()
        for child in self._children.values():
            item, start = self._slot(child.index).read()
            if item >= 0 and now - start > self._job.timeout:
                child.is_overdue = True
                os.kill(child.pid, signal.SIGKILL)

    def _give_up(self, status: int) -> None:
        self._status = self._status or status
        self._raise_stop_level(1)

    def _heed(self, stop_requests: int, orphaned: bool) -> None:
        if orphaned and self._kill_time is None:
            print("The process that started this job is gone: stopping.", flush=True)
            self._raise_stop_level(1)
            self._kill_time = time.monotonic() + GRACE_SECONDS
        self._raise_stop_level(min(stop_requests, 2))
        if self._kill_time is not None and time.monotonic() > self._kill_time:
            self._signal_all(signal.SIGKILL)

    def _raise_stop_level(self, level: int) -> None:
        """Level 1: no new items. Level 2: interrupt the running ones, and soon kill them."""
        while self._stop_level < level:
            self._stop_level += 1
            self._signal_all(signal.SIGTERM)
            if self._stop_level == 2:
                self._kill_time = time.monotonic() + GRACE_SECONDS

    def _signal_all(self, number: signal.Signals) -> None:
        for pid in self._children:
            os.kill(pid, number)


class _Signals:
    """Counts requests to stop, and ends a wait when a child ends or a request comes."""

    def __init__(self) -> None:
        self.stop_requests = 0

    def __enter__(self) -> _Signals:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._old = {number: signal.signal(number, self._handle) for number in _HANDLED}
        self._old_fd = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(self, *exc: object) -> None:
        signal.set_wakeup_fd(self._old_fd)
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self._receiver.close()
        self._sender.close()

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or when something happened."""
        if select.select([self._receiver], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                self._receiver.recv(4096)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            self.stop_requests += 1


def _cause_of_death(exit_code: int) -> str:
    """Say what an exit code, negative for a signal, tells of the end of a process.

    Examples
    --------
    >>> _cause_of_death(-11), _cause_of_death(5)
    ('was killed by SIGSEGV', 'exited with code 5')
    """
    if exit_code >= 0:
        return f"exited with code {exit_code}"
    try:
        return f"was killed by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"was killed by signal {-exit_code}"


def _die_with_parent(parent: int) -> None:
    """Have the kernel, where it can, kill this process when its supervisor is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(SETUP_FAILED)


def _be_worker(
    supervisor: int, job: Work, index: int, shard: Path, slot: Slot, first: Items | None
) -> NoReturn:
    status = SETUP_FAILED
    try:
        signal.set_wakeup_fd(-1)
        for number in _HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        _die_with_parent(supervisor)
        faulthandler.enable()
        # Else all workers would draw the same numbers; Python's own generator sees to it itself.
        np.random.seed()
        status = work(job, index, shard, slot, first)
    except BaseException:
        traceback.print_exc()
    finally:
        # Not sys.exit: what the parent registered to happen at its end is not ours to do.
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
