"""The supervisor: parent of the workers of one job.

It starts them, watches them, ends those whose item takes too long, and replaces those that die. It
runs none of the user's code and carries no results, so nothing that happens in a worker can take
it along.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import mmap
import os
import secrets
import select
import signal
import socket
import sys
import time
import traceback
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

import numpy as np

from psyflow.claims import ClaimLog
from psyflow.evaluate import say
from psyflow.shard import Failure, ShardReader, ShardWriter, pset_repr
from psyflow.worker import STOPPED, Items, Slot, Work, work

__all__ = ["SETUP_FAILED", "Supervisor"]

SETUP_FAILED = 3
POLL_SECONDS = 0.5
GRACE_SECONDS = 10.0
MAX_IDLE_DEATHS = 3
_PR_SET_PDEATHSIG = 1
_ENDED_BY_US = (-signal.SIGTERM, -signal.SIGKILL)
_HANDLED = (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM)


@dataclass
class _Child:
    index: int
    pid: int
    shard: Path
    first: Items | None
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
        self._job = replace(job, claims=job.claims.absolute(), out=job.out.absolute())
        self._pool_size = min(pool_size, max(1, len(job.items)))
        self._children: dict[int, _Child] = {}
        self._memory = mmap.mmap(-1, Slot.size * self._pool_size)
        self._spawned = 0
        self._idle_deaths = 0
        self._stop_level = 0
        self._kill_time: float | None = None
        self._status = 0
        # A scheduler may start a job a second time, and a shard has one writer.
        self._prefix = f"{job.prefix}.{secrets.token_hex(4)}"
        self._writer = ShardWriter(self._job.out / f"{self._prefix}.supervisor.rows")

    def run(self) -> int:
        """Run until nothing is left to claim, or told to stop.

        Returns
        -------
        int
            0 when every item this job claimed has an outcome; `STOPPED` after SIGINT or SIGTERM;
            otherwise the exit code of a worker that could not work: the task does not load,
            ``setup`` raised, the disk is full.
        """
        parent = os.getppid()
        with self._writer, _Signals() as signals:
            try:
                for index in range(self._pool_size):
                    self._spawn(index)
                while self._children:
                    signals.wait(self._patience())
                    self._reap()
                    self._end_overdue_items()
                    self._heed(signals.stop_requests, orphaned=os.getppid() != parent)
            finally:
                self._abandon()
        return self._status or (STOPPED if self._stop_level else 0)

    def _slot(self, index: int) -> Slot:
        start = index * Slot.size
        return Slot(memoryview(self._memory)[start : start + Slot.size])

    def _spawn(self, index: int, first: Items | None = None) -> None:
        shard = self._job.out / f"{self._prefix}.{index}-{self._spawned}.rows"
        self._spawned += 1
        slot = self._slot(index)
        slot.clear()
        _flush_standard_streams()
        supervisor = os.getpid()
        # A signal between the fork and the child's own handlers would run ours in the child.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        try:
            pid = _fork()
            if pid == 0:
                _be_worker(supervisor, self._job, index, shard, slot, first)
            self._children[pid] = _Child(index, pid, shard, first)
        except OSError as error:
            say(f"Cannot start worker {index}: {error}")
            self._give_up(SETUP_FAILED)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _patience(self) -> float:
        if self._job.timeout is None:
            return POLL_SECONDS
        return min(POLL_SECONDS, max(0.01, self._job.timeout / 10))

    def _reap(self) -> None:
        # Only our own: whoever runs us may have other children.
        for child in list(self._children.values()):
            pid, wait_status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                del self._children[pid]
                # What it started must not outlive it. While any of that is left, nobody else gets
                # the number of its group.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGTERM)
                self._ended(child, os.waitstatus_to_exitcode(wait_status))

    def _ended(self, child: _Child, exit_code: int) -> None:
        item, start = self._slot(child.index).read()
        if item == Slot.ENDED:
            if exit_code not in (0, STOPPED):
                # Not an item's fault: the task does not load, setup raised, the disk is full …
                say(f"Worker {child.index} gave up (exit code {exit_code}).")
                self._give_up(exit_code)
            return
        if self._stop_level and child.condemned is None and exit_code in _ENDED_BY_US:
            # What it was doing counts as never begun.
            return
        if child.condemned is not None and not self._is_overdue(start, child.condemned):
            # The item that took too long came to its end after all, and the next one is innocent.
            item = Slot.IDLE
        cause = _cause_of_death(exit_code)
        if item >= 0:
            self._record(child, item, start, cause)
        else:
            say(f"Worker {child.index} {cause} between two items.")
        self._replace(child, item)

    def _record(self, child: _Child, item: int, start: float, cause: str) -> None:
        if child.condemned is not None:
            kind, message = "timeout", f"It took longer than its timeout, {self._job.timeout} s."
        else:
            kind, message = "crash", f"Its process {cause}."
        say(f"Item {item} failed: {message}")
        duration = time.monotonic() - start
        failure = Failure(
            item=item,
            kind=kind,
            exception=message,
            pset=pset_repr(self._job.space[item]),
            start=time.time() - duration,
            duration=duration,
            host=socket.gethostname(),
            pid=child.pid,
        )
        try:
            self._writer.write_failure(failure)
            self._writer.sync()
        except OSError as error:
            say(f"Cannot record the failure of item {item}: {error}")
            self._give_up(SETUP_FAILED)

    def _replace(self, child: _Child, crashed: int) -> None:
        # One that dies before its first outcome, time and again, would be replaced for ever.
        has_worked = crashed >= 0 or child.shard.exists()
        self._idle_deaths = 0 if has_worked else self._idle_deaths + 1
        if self._idle_deaths >= MAX_IDLE_DEATHS:
            self._give_up(SETUP_FAILED)
        elif not self._stop_level:
            self._spawn(child.index, self._left_behind(child, crashed))

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

    def _is_overdue(self, start: float, now: float) -> bool:
        return self._job.timeout is not None and now - start > self._job.timeout

    def _end_overdue_items(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            item, start = self._slot(child.index).read()
            if item >= 0 and child.condemned is None and self._is_overdue(start, now):
                child.condemned = now
                os.kill(child.pid, signal.SIGKILL)

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
                self._slot(child.index).tell_to_stop()
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


def _flush_standard_streams() -> None:
    # What is buffered would be written by the child, too. A stream that is closed has nothing.
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()


def _fork() -> int:
    with warnings.catch_warnings():
        # BLAS libraries keep threads of their own, and handle a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _take_process_group() -> None:
    """Let neither a terminal's Ctrl-C, nor its input, reach what the user's function starts."""
    os.setpgid(0, 0)
    # Reading from the terminal would now stop the process for ever.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _be_random() -> None:
    """Undo what a fork does to NumPy's global generator: all workers would draw the same."""
    if "numpy.random" in sys.modules:
        np.random.seed()


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
        _take_process_group()
        signal.set_wakeup_fd(-1)
        for number in _HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        _die_with_parent(supervisor)
        _be_random()
        # Where the standard error is no file, as in a notebook, there is nothing to print to.
        with contextlib.suppress(OSError, ValueError, RuntimeError, AttributeError):
            faulthandler.enable()
        status = work(job, index, shard, slot, first)
    except BaseException:
        traceback.print_exc()
    finally:
        _flush_standard_streams()
        slot.end()
        # Not sys.exit: what the parent registered to happen at its end is not ours to do.
        os._exit(status)
