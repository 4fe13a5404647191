"""Hosts that are reached by SSH and see the same files, without a batch system."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import subprocess
import sys
import time
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

from psyflow.exceptions import HostWarning, SchedulerError, UsageError
from psyflow.scheduler.base import OVER, QUEUED, UNKNOWN, JobId, JobStatus, array_of, combine
from psyflow.scheduler.checked import CheckedScheduler
from psyflow.scheduler.extras import DEPENDENCY
from psyflow.scheduler.facts import Partition, SiteFacts
from psyflow.scheduler.names import marked
from psyflow.scheduler.remedies import Remedy
from psyflow.scheduler.request import SubmitRequest
from psyflow.scheduler.ssh.spool import NO_HOST, TOO_FEW, Spool, SpooledJob
from psyflow.system.lease import server_time

__all__ = ["Ssh"]

SPOOL = "~/.psyflow/ssh"
_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 60
MOST_LINES = 3
# What belongs to the place of the submission and means nothing, or something else, elsewhere.
_OF_THIS_HOST = ("DBUS_", "DISPLAY", "HOSTNAME", "SSH_", "TMPDIR", "XAUTHORITY", "XDG_")


class Ssh(CheckedScheduler):
    """Runs jobs on hosts of one's own, which need an SSH server and a shared file system.

    On each host a *runner* takes jobs from a folder that all hosts see. It is started over SSH and
    goes on by itself; it ends when there are no jobs. A host that does not answer is left out. The
    jobs of one that dies are begun anew on another.

    The scheduler arguments are ``n_cpus``, the slots that a job takes (1 if not given),
    ``timelimit``, and ``dependency``, jobs in the same folder that a run waits for.

    Parameters
    ----------
    hosts : mapping from str to int, or sequence of str, optional
        The hosts, as ``ssh`` knows them, and the number of slots of each; a host without a number
        has as many as processors. ``localhost`` if not given.
    workdir : str or path
        The folder of the jobs, which all hosts see under this name. It is made if it is not there,
        and is to be nobody else's: your own, with mode 0700.
    ssh : str or sequence of str
        How ``ssh`` is called. Keys, agent and configuration are those of whoever calls it.
    python : str, optional
        The interpreter, with psyflow, that runs the runners; this one if not given.

    Raises
    ------
    UsageError
        If there is no host, or a number of slots is not above 0.

    Examples
    --------
    >>> ssh = Ssh({"node1": 8, "node2": 16})
    >>> print(*ssh.start_command("node1")[:6])
    ssh -o BatchMode=yes -o ConnectTimeout=10 node1
    """

    USER_DEFAULT_ARGS: ClassVar[Mapping[str, object]] = {"n_cpus": 1}
    ARGS = frozenset({DEPENDENCY, "n_cpus", "timelimit"})
    JOB_ID = r"\d+(_\d+)?"
    TIME_LIMIT = "timelimit"
    HAS_ARRAYS = True
    tells_names = True

    def __init__(
        self,
        hosts: Mapping[str, int | None] | Sequence[str] | None = None,
        workdir: str | os.PathLike[str] = SPOOL,
        ssh: str | Sequence[str] = "ssh",
        python: str | None = None,
    ) -> None:
        self.hosts = _checked(("localhost",) if hosts is None else hosts)
        self._names_hosts = hosts is not None
        self.workdir = workdir
        self.ssh = shlex.split(ssh) if isinstance(ssh, str) else list(ssh)
        self.python = python
        self._dropped: dict[str, str] = {}
        self._submitted: list[JobId] = []

    def check_value(self, option: str, value: object) -> None:
        """Raise `UsageError` if `value` is nothing for `option`."""
        if option == "n_cpus":
            self._check_n_cpus(value)

    def _check_n_cpus(self, value: object) -> None:
        if not (isinstance(value, int) and value > 0):
            raise UsageError(f'Ssh argument "n_cpus" is a whole number above 0, not {value!r}.')
        slots = [n for n in self.hosts.values() if n is not None]
        if len(slots) == len(self.hosts) and value > max(slots):
            raise UsageError(
                f'Ssh argument "n_cpus" is {value}, but no host has more than {max(slots)} slots. '
                f"Lower it, or give a host more slots in the scheduler's `hosts`."
            )

    def submit_request(self, request: SubmitRequest) -> JobId:
        """Put a job where the runners find it, and see to it that they are at work."""
        spool = self._spool()
        awaited = tuple(jobid for after in self.awaited(request) for jobid in after.jobids)
        # It would be taken for one that is over and forgotten, and nothing would wait.
        if unknown := [jobid for jobid in awaited if not spool.was_given_away(array_of(jobid))]:
            raise SchedulerError(
                f"Ssh knows no job {', '.join(unknown)} to wait for in {spool.folder}. "
                f"The ids of a task's jobs are shown by: psy status NAME"
            )
        jobid = spool.add(self._job(request, awaited))
        try:
            # After that, or a runner that is about to end might not see the job.
            self._start_runners(spool)
        except BaseException:
            # Also Ctrl-C: nobody would know of the job.
            with contextlib.suppress(OSError):
                spool.ask_to_kill(jobid)
            raise
        self._submitted.append(jobid)
        return jobid

    def _spool(self) -> Spool:
        folder = Path(self.workdir).expanduser().absolute()
        return Spool(folder, clock=lambda: _time(folder / "hosts"))

    def _job(self, request: SubmitRequest, awaited: tuple[JobId, ...]) -> SpooledJob:
        limit = self.seconds_of(request.options.get("timelimit", 0))
        n_cpus = request.options.get("n_cpus", 1)
        assert isinstance(n_cpus, int)
        return SpooledJob(
            args=request.args,
            log=request.output_filename,
            name=request.name,
            cwd=str(Path.cwd()),
            environment={
                name: value
                for name, value in os.environ.items()
                if not name.startswith(_OF_THIS_HOST)
            },
            depends_on=awaited,
            array_size=request.array_size,
            n_cpus=n_cpus,
            time_limit=None if math.isinf(limit) else limit,
        )

    def _start_runners(self, spool: Spool) -> None:
        for host, slots in self.hosts.items():
            spool.hosts.set_slots(host, slots)
        served = {host for host in self.hosts if spool.hosts.is_served(host)}
        missing = [host for host in self.hosts if host not in served | self._dropped.keys()]
        with ThreadPoolExecutor(max(1, len(missing))) as pool:
            answers = dict(zip(missing, pool.map(self._start_runner, missing), strict=True))
        failed = {host: answer for host, answer in answers.items() if answer is not None}
        self._dropped |= failed
        if not served and self._dropped.keys() == self.hosts.keys():
            told = "\n".join(f"  {host}: {answer}" for host, answer in self._dropped.items())
            raise SchedulerError(
                f"No host takes jobs. See for yourself: "
                f"{shlex.join([*self.ssh, next(iter(self._dropped)), 'true'])}\n{told}"
            )
        for host, answer in failed.items():
            warnings.warn(
                f"{host} takes no jobs, the other hosts do its work: {answer}",
                HostWarning,
                stacklevel=2,
            )

    def site(self) -> SiteFacts | None:
        """See whether the hosts answer; None if none are given."""
        if not self._names_hosts:
            return None
        psyflow = [self.python or sys.executable, "-P", "-c", "import psyflow"]
        commands = [self._remote(host, psyflow) for host in self.hosts]
        with ThreadPoolExecutor(len(commands)) as pool:
            answers = dict(zip(self.hosts, pool.map(self._ask, commands), strict=True))
        slots = {host: "" if n is None else str(n) for host, n in self.hosts.items()}
        return SiteFacts(
            partitions=tuple(Partition(host, n_cpus=n) for host, n in slots.items()),
            problems=tuple(f"{host}: {what}" for host, what in answers.items() if what),
        )

    def start_command(self, host: str) -> list[str]:
        """Return the command that starts the runner of a host, unless it is at work."""
        python, folder = self.python or sys.executable, str(self._spool().folder)
        return self._remote(
            host, [python, "-P", "-m", "psyflow.scheduler.ssh.runner", folder, host]
        )

    def _remote(self, host: str, command: Sequence[str]) -> list[str]:
        options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={_CONNECT_SECONDS}"]
        return [*self.ssh, *options, host, shlex.join(command)]

    def _start_runner(self, host: str) -> str | None:
        """Start the runner of a host; return what went wrong."""
        return self._ask(self.start_command(host))

    def _ask(self, command: Sequence[str]) -> str | None:
        """Have a host do something; return what went wrong."""
        try:
            answer = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=_ANSWER_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"it did not answer within {_ANSWER_SECONDS} s"
        except OSError as error:
            return f"{self.ssh[0]}: {error.strerror}"
        if answer.returncode:
            # Hosts may greet before that.
            said = answer.stderr.strip().splitlines()[-MOST_LINES:]
            return "; ".join(said) or f"exit code {answer.returncode}"
        return None

    def kill(self, jobid: JobId) -> None:
        """Kill a job, a whole array or a member; one that is over is no error."""
        self._spool().ask_to_kill(jobid)

    def get_status(self, jobid: JobId) -> JobStatus | None:
        """Say what became of a job; None if it is not known (any more)."""
        status = self.get_statuses([jobid])[jobid]
        return None if status.status == UNKNOWN else status

    def get_statuses(self, jobids: Iterable[JobId]) -> dict[JobId, JobStatus]:
        """Say what became of `jobids`; ``?`` for one that is not known."""
        spool = self._spool()
        wanted = list(dict.fromkeys(jobids))
        members = {array: spool.statuses(array) for array in dict.fromkeys(map(array_of, wanted))}
        by_id = {status.id: status for some in members.values() for status in some}
        return {
            jobid: by_id[jobid] if jobid in by_id else combine(jobid, members.get(jobid, []))
            for jobid in wanted
        }

    def find_marked(self, marks: Collection[str]) -> dict[str, JobId]:
        """Look for marks in the names of the jobs in the spool that are not over."""
        spool = self._spool()
        jobs = {jobid: spool.job(jobid) for jobid in spool.unfinished()}
        return {
            mark: jobid
            for jobid, job in jobs.items()
            for mark in marks
            if job is not None and marked("", mark) in job.name
        }

    def remedy(self, status: JobStatus) -> Remedy | None:
        """Return what somebody has to do so that a job goes on; None if nothing."""
        if status.status != QUEUED:
            return None
        if status.reason == NO_HOST:
            # As after a restart of all of them.
            start = shlex.join(self.start_command(next(iter(self.hosts))))
            return Remedy("needs a host that takes jobs, and none does any more", start)
        if status.reason.startswith(TOO_FEW):
            return Remedy(f"asks for too much: {status.reason}")
        return None

    def cluster_name(self) -> str | None:
        """Return the name of the spool; None before its first job."""
        return self._spool().name()

    def get_jobs(self) -> Sequence[JobId]:
        """Return the jobs submitted through this object that are not over."""
        statuses = self.get_statuses(self._submitted)
        return [jobid for jobid, status in statuses.items() if status.status not in OVER]

    def exit_code(self, jobid: JobId) -> int | None:
        """Return the exit code of a job that ended; None if it is not known."""
        array, _, index = jobid.partition("_")
        ended = self._spool().exit_of(array, int(index or 0))
        return None if ended is None else ended.code


def _time(folder: Path) -> float:
    """Return the time of the clock that leases are stamped with, if it can be asked."""
    try:
        return server_time(folder)
    except OSError:
        return time.time()


def _checked(hosts: Mapping[str, int | None] | Sequence[str]) -> dict[str, int | None]:
    """Return the slots of the hosts.

    Raises
    ------
    UsageError
        If there are none, or one is no host.
    """
    if isinstance(hosts, str):
        hosts = [hosts]
    slots = dict(hosts) if isinstance(hosts, Mapping) else dict.fromkeys(hosts)
    if not slots:
        raise UsageError('Ssh needs at least one host, such as Ssh({"node1": 8}).')
    for host, n_slots in slots.items():
        if not host or host.startswith("-"):
            raise UsageError(f"Ssh: {host!r} is no host.")
        if not (n_slots is None or (isinstance(n_slots, int) and n_slots > 0)):
            raise UsageError(f'Ssh: the slots of "{host}" are a number above 0, not {n_slots!r}.')
    return slots
