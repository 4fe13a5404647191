"""No cluster at all: a job runs on this machine, at once, until it has ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Any, ClassVar, Protocol, TypeAlias

from psyflow.exceptions import SchedulerError, UsageError
from psyflow.scheduler.base import (
    CANCELLED,
    DONE,
    FAILED,
    OVER,
    RUNNING,
    JobId,
    JobStatus,
    Scheduler,
    Words,
    array_of,
    combine,
)
from psyflow.scheduler.logs import checked_log

__all__ = ["ImmediateRun", "Process", "start_program"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE = 10.0
OWN_JOB = "psyflow.job"
"""The module of psyflow's own jobs, for which SIGUSR1 is a request to stop, but not to hurry."""
# What a shell says, for want of a better convention.
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


class Process(Protocol):
    """What is asked of a process; `subprocess.Popen` has it."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, minus the signal that ended it, when it has ended."""

    def send_signal(self, signum: int, /) -> None:
        """Send a signal, unless it has ended."""

    def terminate(self) -> None:
        """Send SIGTERM."""

    def kill(self) -> None:
        """Send SIGKILL."""


Starter: TypeAlias = Callable[[list[str], IO[bytes]], Process]


def start_program(args: list[str], output: IO[bytes]) -> Process:
    """Start a program that prints to `output`; raises OSError if it cannot be started."""
    return subprocess.Popen(
        args, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
    )


class ImmediateRun(Scheduler):
    r"""Runs each job at its submission and returns when it has ended.

    A job that depends on one that failed is not run: it is cancelled. Scheduler arguments are for
    clusters and are ignored, so that a task file can be tried out here.

    Ctrl-C reaches the job as well as psyflow: `submit` waits until the job has ended in its own
    way, and only then raises KeyboardInterrupt. A second Ctrl-C terminates the job, a third kills
    it. SIGTERM and SIGHUP are passed on to the job, and obeyed when it has ended; so is SIGINT to
    jobs of psyflow's own, since it may have come to this process alone.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> scheduler = ImmediateRun()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     job = scheduler.submit(["echo", "hello"], f"{folder}/log", name="greet")
    ...     Path(folder, "log").read_text(), scheduler.get_status(job).status
    ('hello\n', 'D')
    """

    runs_here: ClassVar[bool] = True

    hears_terminal: ClassVar[bool] = True
    """Whether a job gets what is typed at the terminal, so that Ctrl-C need not be passed on."""

    start: Starter = staticmethod(start_program)
    """Starts a command; `psy run` has something quicker for the jobs of psyflow."""

    def __init__(self) -> None:
        self._statuses: dict[JobId, JobStatus] = {}
        self._exit_codes: dict[JobId, int] = {}
        self._children: dict[JobId, _Child] = {}
        self._killed: set[JobId] = set()
        self._n_submitted = 0
        self._prefix = ""

    def submit(
        self,
        args: Words,
        output_filename: str | os.PathLike[str],
        name: str | None = None,
        depends_on: Iterable[JobId] | None = None,
        scheduler_args: Mapping[str, object] | None = None,
    ) -> JobId:
        """Run one job; see `Scheduler.submit`. A job that fails has an id like any other."""
        log, name, jobid = checked_log(output_filename), name or "psyflow", self._new_id()
        if self._can_start(depends_on):
            self._run(jobid, name, [os.fspath(arg) for arg in args], log)
        else:
            self._statuses[jobid] = JobStatus(jobid, CANCELLED, name)
        return jobid

    def submit_array(
        self,
        n: int,
        args: Words,
        output_filename: str | os.PathLike[str],
        name: str | None = None,
        depends_on: Iterable[JobId] | None = None,
        scheduler_args: Mapping[str, object] | None = None,
    ) -> JobId:
        """Run `n` jobs, one after the other; see `Scheduler.submit_array`."""
        if n < 1:
            raise UsageError(f"A job array needs at least one member, not {n}.")
        log, name, array = checked_log(output_filename), name or "psyflow", self._new_id()
        members = [(f"{array}_{i}", f"{name}:{i}") for i in range(n)]
        # Whatever interrupts the array, the members that did not run are on record.
        self._statuses |= {m: JobStatus(m, CANCELLED, member_name) for m, member_name in members}
        if self._can_start(depends_on):
            for i, (member, member_name) in enumerate(members):
                words = [os.fspath(arg).replace("%a", str(i)) for arg in args]
                self._run(member, member_name, words, log.replace("%a", str(i)))
        return array

    def kill(self, jobid: JobId) -> None:
        """Kill a job that another thread is waiting for; all others are over."""
        self._killed.add(jobid)
        for running, child in list(self._children.items()):
            if self._is_killed(running):
                child.send(signal.SIGTERM)

    def _is_killed(self, jobid: JobId) -> bool:
        return not self._killed.isdisjoint((jobid, array_of(jobid)))

    def get_status(self, jobid: JobId) -> JobStatus | None:
        """Say what became of a job; None if it was not submitted through this object."""
        if jobid in self._statuses:
            return self._statuses[jobid]
        members = [s for s in list(self._statuses.values()) if array_of(s.id) == jobid]
        return combine(jobid, members) if members else None

    def get_jobs(self) -> Sequence[JobId]:
        """Return the jobs that other threads are waiting for."""
        return [s.id for s in list(self._statuses.values()) if s.status not in OVER]

    def exit_code(self, jobid: JobId) -> int | None:
        """Return the exit code of a job: minus the signal that ended it, None if it never ran."""
        return self._exit_codes.get(jobid)

    def _new_id(self) -> JobId:
        # Ids of other processes are recorded in the same files, so theirs must differ.
        self._prefix = self._prefix or f"local-{os.getpid()}-{os.urandom(3).hex()}"
        self._n_submitted += 1
        return f"{self._prefix}-{self._n_submitted}"

    def _can_start(self, depends_on: Iterable[JobId] | None) -> bool:
        jobids = [depends_on] if isinstance(depends_on, str) else depends_on or ()
        # A job of another process was over before its id was known to anybody.
        statuses = filter(None, map(self.get_status, jobids))
        return all(status.status == DONE for status in statuses)

    def _run(self, jobid: JobId, name: str, args: list[str], log: str) -> None:
        if self._is_killed(jobid):
            return
        child = self._children[jobid] = _Child(self.start, self.hears_terminal)
        state = CANCELLED
        self._statuses[jobid] = JobStatus(jobid, RUNNING, name)
        try:
            with child.guarded():
                code = self._exit_codes[jobid] = child.run(args, log)
                if not self._is_killed(jobid):
                    state = FAILED if code else DONE
        finally:
            del self._children[jobid]
            self._statuses[jobid] = JobStatus(jobid, state, name)


class _Child:
    """A command, and the signals that arrive while it runs."""

    def __init__(self, start: Starter, hears_terminal: bool) -> None:
        self._start = start
        self._hears_terminal = hears_terminal
        self._process: Process | None = None
        self._heeds_warnings = False
        self._received: list[int] = []
        self._too_early: list[int] = []

    def run(self, args: list[str], log: str) -> int:
        try:
            return self._run(args, log)
        except BaseException:  # a signal handler of the user's raised it, at any moment
            if self._process is not None:
                _end(self._process)
            raise

    def _run(self, args: list[str], log: str) -> int:
        # Nobody else's program is told twice, and perhaps while it cleans up.
        self._heeds_warnings = OWN_JOB in args
        output = _open_log(log)
        try:
            self._process = self._start(args, output)
        except OSError as error:
            with contextlib.suppress(OSError):
                output.write(f"{args[0]} cannot be started: {error.strerror}\n".encode())
            found = not isinstance(error, FileNotFoundError)
            return _NOT_EXECUTABLE if found else _NOT_FOUND
        finally:
            # The process has it, and is waited for whatever becomes of this.
            with contextlib.suppress(OSError):
                output.close()
        for signum in self._too_early:
            self.send(signum)
        return self._process.wait()

    def send(self, signum: int) -> None:
        if self._process is None:
            self._too_early.append(signum)
        else:
            self._process.send_signal(signum)

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Keep this process waiting when it is told to stop; let it obey on leaving."""
        previous: dict[signal.Signals, Any] = {}
        try:
            for signum in _SIGNALS:
                handler = signal.getsignal(signum)
                if handler not in (signal.SIG_IGN, None):
                    # Only the main thread may do this, and only it is interrupted.
                    with contextlib.suppress(ValueError):
                        previous[signum] = signal.signal(signum, self._on_signal)
            yield
        finally:
            for signum, handler in previous.items():
                signal.signal(signum, handler)
            if self._received:
                signal.raise_signal(self._received[0])

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        self._received.append(signum)
        n_interrupts = self._received.count(signal.SIGINT)
        if signum != signal.SIGINT or self._process is None:
            self.send(signum)
        elif n_interrupts == 1 and self._hears_terminal:
            # A terminal has sent it to the child as well; an IDE, or another supervisor, has not.
            if self._heeds_warnings:
                self.send(signal.SIGUSR1)
        elif n_interrupts <= 2:
            self.send(signal.SIGTERM)
        elif n_interrupts > 2:
            self.send(signal.SIGKILL)


def _end(process: Process) -> None:
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _open_log(log: str) -> Any:
    try:
        return Path(log).open("ab", buffering=0)
    except OSError as error:
        raise SchedulerError(f"The log {log} cannot be written: {error.strerror}.") from None
