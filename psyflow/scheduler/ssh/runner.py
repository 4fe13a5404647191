"""What runs on each host of the scheduler `Ssh`: it takes jobs from the spool and runs them.

Start it with ``python -m psyflow.scheduler.ssh.runner SPOOL HOST``. It goes on in the background,
and ends when the spool has been empty for a while. It needs nobody who stays connected.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from psyflow.exceptions import SchedulerError
from psyflow.scheduler.base import TIMEOUT, JobId
from psyflow.scheduler.ssh.hosts import Leases
from psyflow.scheduler.ssh.spool import Exit, Marks, Spool, SpooledJob
from psyflow.system.allotted import usable_cpus
from psyflow.system.ends import forked
from psyflow.system.guard import Guard
from psyflow.system.lease import LEASE_SECONDS, Lease, server_time

__all__ = ["Runner", "main"]

PAUSE = 0.3
IDLE_SECONDS = 20.0
GRACE = 30.0
"""Seconds from asking a job to end to ending it."""
KEPT_SECONDS = 30 * 86400.0
_CANNOT_START = 127
_BEGUN = b"1"


@dataclass
class Running:
    """A member that this runner runs.

    Attributes
    ----------
    jobid : str
    index : int
    count : int
        How often it has been begun.
    job : SpooledJob
    process : Popen
    begun : float
        On the clock `time.monotonic`.
    asked : float or None
        When it was asked to end.
    was_killed : bool
        Whether it was asked because somebody wanted so.
    reason : str
        Why it was asked otherwise.
    """

    jobid: JobId
    index: int
    count: int
    job: SpooledJob
    process: subprocess.Popen[bytes]
    begun: float
    asked: float | None = None
    was_killed: bool = False
    reason: str = ""

    def end(self, *, was_killed: bool = False, reason: str = "") -> None:
        """Ask the member to end; end it if it was asked long ago."""
        if self.asked is None:
            self.asked = time.monotonic()
            self.was_killed, self.reason = was_killed, reason
            self.signal(signal.SIGTERM)
        elif time.monotonic() - self.asked > GRACE:
            self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes of the member."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def has_ended(self) -> bool:
        """Tell whether it has, and if so, end what it left behind."""
        if self.process.returncode is not None:
            return True
        look = os.WEXITED | os.WNOHANG | os.WNOWAIT
        if os.waitid(os.P_PID, self.process.pid, look) is None:
            return False
        # As long as nobody has asked for its exit code, no other process can have its number.
        self.signal(signal.SIGKILL)
        self.process.wait()
        return True


class Runner:
    """Runs jobs of a spool on this host, as many at once as there are slots.

    Parameters
    ----------
    spool : Spool
    host : str
        What the users call this host.
    lease : Path
        Its lease, which it has taken.
    """

    def __init__(self, spool: Spool, host: str, lease: Path) -> None:
        self._spool = spool
        self._host = host
        self._lease = Lease(lease)
        self._running: list[Running] = []
        # Kept until they are on the disk: a member without one would look as if it ran for ever.
        self._exits: list[tuple[JobId, int, Exit]] = []
        self._stopped = False
        self._last_good = time.monotonic()
        self._last_busy = time.monotonic()

    def run(self) -> bool:
        """Run jobs until there have been none for a while, or SIGTERM says to stop.

        Returns
        -------
        bool
            Whether it ended of itself.
        """
        signal.signal(signal.SIGTERM, self._stop)
        # Jobs must not outlive a runner that is killed: they begin anew on another host.
        self._guard = Guard(os.fork)
        try:
            while self._running or self._exits or not (self._stopped or self._is_idle()):
                self._look()
                time.sleep(PAUSE)
        finally:
            # Ends what still runs, if something went wrong: it is begun anew elsewhere.
            self._guard.dismiss()
            self._lease.give_up()
        return not self._stopped

    def _look(self) -> None:
        try:
            if not self._is_ours():
                self._stopped = True
            self._reap()
            self._end_what_has_to()
            if not self._stopped:
                self._begin_what_fits()
            self._record_exits()
            if self._running or self._spool.unfinished():
                self._last_busy = time.monotonic()
            self._last_good = time.monotonic()
        except OSError as error:
            # A full disk, a file server that is away: it may be better the next time. When the
            # lease has run out, others begin the jobs anew.
            self._last_busy = time.monotonic()
            print(f"{type(error).__name__}: {error}", flush=True)
            if time.monotonic() - self._last_good > LEASE_SECONDS:
                raise

    def _is_ours(self) -> bool:
        """Renew the lease, and tell whether this is still the runner of its host."""
        newest = self._spool.hosts.is_newest(self._host, self._lease.path)
        if self._lease.renew() and newest:
            return True
        if not self._stopped:
            print("somebody has taken this runner for dead: ending", flush=True)
        return False

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True

    def _is_idle(self) -> bool:
        return time.monotonic() - self._last_busy > IDLE_SECONDS

    def _reap(self) -> None:
        for member in [member for member in self._running if member.has_ended()]:
            self._guard.ended(member.process.pid)
            code = member.process.returncode
            # One that was asked to end because the runner ends has done nothing wrong.
            is_told = code == 0 or not (self._stopped and member.asked)
            if self._is_still_ours(member) and is_told:
                ended = Exit(code, member.was_killed, member.reason if code else "")
                self._exits.append((member.jobid, member.index, ended))
            self._running.remove(member)

    def _record_exits(self) -> None:
        while self._exits:
            self._spool.record_exit(*self._exits[0])
            del self._exits[0]

    def _is_still_ours(self, member: Running) -> bool:
        """Tell whether nobody has taken this runner for dead and begun the member anew."""
        return self._spool.marks(member.jobid).claims.get(member.index) == member.count

    def _end_what_has_to(self) -> None:
        marks = {member.jobid: self._spool.marks(member.jobid) for member in self._running}
        for member in self._running:
            its = marks[member.jobid]
            limit = member.job.time_limit
            if its.is_killed(member.index):
                member.end(was_killed=True)
            elif limit is not None and time.monotonic() - member.begun > limit:
                member.end(reason=TIMEOUT)
            elif self._stopped or its.claims.get(member.index) != member.count:
                member.end()

    def _begin_what_fits(self) -> None:
        leases = Leases(server_time(self._spool.hosts.folder))
        free = self._n_slots() - sum(member.job.n_cpus for member in self._running)
        for jobid in self._spool.unfinished() if free > 0 else ():
            job = self._spool.job(jobid)
            if job is None or job.n_cpus > self._n_slots() or not self._spool.is_ready(job):
                continue
            for index, count in self._to_begin(jobid, job, leases):
                if job.n_cpus > free:
                    return  # nobody overtakes it, or it would wait for ever
                if self._spool.claim(jobid, index, count, self._lease.path):
                    free -= job.n_cpus
                    self._begin(jobid, job, index, count)

    def _n_slots(self) -> int:
        slots = self._spool.hosts.slots(self._host)
        return usable_cpus() if slots is None else slots

    def _to_begin(
        self, jobid: JobId, job: SpooledJob, leases: Leases
    ) -> Iterator[tuple[int, int]]:
        """Yield the members that nobody runs, each with how often it will have been begun."""
        marks: Marks = self._spool.marks(jobid)
        for index in job.indices:
            if index in marks.exits or marks.is_killed(index):
                continue
            count = marks.claims.get(index, 0)
            if not count or leases.is_over(self._spool.claimant(jobid, index, count)):
                yield index, count + 1

    def _begin(self, jobid: JobId, job: SpooledJob, index: int, count: int) -> None:
        number = None if job.array_size is None else str(index)
        words = [*job.args, job.log]
        *args, log = [w if number is None else w.replace("%a", number) for w in words]
        try:
            process = self._start(args, log, job)
        except OSError as error:
            print(f"job {jobid}, member {index}, cannot be started: {error}", flush=True)
            self._exits.append((jobid, index, Exit(_CANNOT_START, reason=str(error))))
        else:
            begun = time.monotonic()
            self._running.append(Running(jobid, index, count, job, process, begun))

    def _start(self, args: list[str], log: str, job: SpooledJob) -> subprocess.Popen[bytes]:
        """Start a program that is guarded from its first instruction on."""
        reads, writes = os.pipe()
        os.set_blocking(reads, False)
        with os.fdopen(reads, "rb", 0) as numbers, os.fdopen(writes, "wb", 0) as tell:

            def guard() -> None:
                tell.write(b"%d" % os.getpid())
                # By now SIGPIPE is what it will be for the program: a guard that is gone, its end.
                signal.signal(signal.SIGPIPE, signal.SIG_IGN)
                self._guard.begun()
                signal.signal(signal.SIGPIPE, signal.SIG_DFL)

            try:
                with Path(log).open("ab") as output:
                    # Our end of the guard's pipe is the child's, too, until it is the program.
                    return forked(
                        lambda: subprocess.Popen(
                            args,
                            stdin=subprocess.DEVNULL,
                            stdout=output,
                            stderr=subprocess.STDOUT,
                            # That of the submission may be gone, or be of its host alone.
                            cwd=job.cwd if os.access(job.cwd, os.X_OK) else "/",
                            env={**os.environ, **job.environment},
                            start_new_session=True,
                            preexec_fn=guard,
                        )
                    )
            except OSError:
                # There is no such program, but there was a process: its number is free again.
                if number := numbers.read():
                    self._guard.ended(int(number))
                raise


def serve(spool: Spool, host: str) -> bool:
    """Be the runner of a host in the background, unless there is one.

    Returns
    -------
    bool
        In the calling process, when the runner has begun: whether the host has one.
    """
    hears, tells = os.pipe()
    if os.fork():
        os.close(tells)
        return os.read(hears, 1) == _BEGUN
    try:
        os.setsid()
        os.chdir("/")
        _log_to(spool.hosts.log(host))
        lease = spool.hosts.take_lease(host)
        os.write(tells, _BEGUN)
        os.close(tells)
        while lease is not None:
            spool.forget_old(KEPT_SECONDS)
            if not Runner(spool, host, lease).run():
                break
            # Who added a job while this runner was about to end thinks that it is at work.
            lease = spool.hosts.take_lease(host) if spool.unfinished() else None
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)


def _log_to(path: Path) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)


def main(folder: str, host: str) -> int:
    """Start the runner of `host` for the spool in `folder`, unless it is at work."""
    path = Path(folder)
    if not (path / "hosts").is_dir():
        print(f"{path} is not there: `workdir` has to be the same on all hosts", file=sys.stderr)
        return 1
    spool = Spool(path, clock=lambda: server_time(path / "hosts"))
    try:
        spool.check_private()
    except SchedulerError as error:
        print(error, file=sys.stderr)
        return 1
    if not serve(spool, host):
        print(f"the runner cannot begin; see {spool.hosts.log(host)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
