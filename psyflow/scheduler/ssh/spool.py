"""A queue of jobs in a folder that all hosts see, for hosts without a batch system.

Every job is one file, which appears whole. What becomes of it are further files, each linked into
place by whoever is first: who has begun a member, how it ended, and that somebody wants it killed.
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import re
import shlex
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from psyflow.exceptions import SchedulerError
from psyflow.scheduler.base import (
    CANCELLED,
    DONE,
    FAILED,
    HELD,
    QUEUED,
    RUNNING,
    JobId,
    JobStatus,
    array_of,
)
from psyflow.scheduler.ssh.hosts import Hosts, Leases
from psyflow.system.files import link_new, make_folder
from psyflow.system.reading import no_pipe, read_whole

__all__ = ["NO_HOST", "TOO_FEW", "Exit", "Marks", "Spool", "SpooledJob"]

_MARK = re.compile(r"(claim|exit|kill)-(\d+|all)(?:-(\d+))?")
WHOLE = "all"
NO_HOST, TOO_FEW = "no host is at work", "no host has"


@dataclass(frozen=True)
class SpooledJob:
    """A job or an array of jobs, with all that is needed to run it.

    Attributes
    ----------
    args : tuple of str
        In an array, ``%a`` here and in `log` stands for the member's index.
    log, name, cwd : str
    environment : dict from str to str
    depends_on : tuple of str
        Jobs that have to be over before.
    array_size : int or None
    n_cpus : int
        Slots that a member takes.
    time_limit : float or None
        Seconds after which a member is ended.
    """

    args: tuple[str, ...]
    log: str
    name: str
    cwd: str
    environment: dict[str, str] = field(repr=False)
    depends_on: tuple[JobId, ...] = ()
    array_size: int | None = None
    n_cpus: int = 1
    time_limit: float | None = None

    @property
    def indices(self) -> range:
        """The indices of the members; a single job is its own member 0."""
        return range(1 if self.array_size is None else self.array_size)


@dataclass(frozen=True)
class Exit:
    """How a member ended.

    Attributes
    ----------
    code : int
        Negative if a signal ended it.
    was_killed : bool
        Whether somebody had asked for it.
    reason : str
        As in `JobStatus`.
    """

    code: int
    was_killed: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Marks:
    """What has become of the members of a job, by one look at its folder.

    Attributes
    ----------
    claims : dict from int to int
        How often a member has been begun.
    exits : frozenset of int
    kills : frozenset of int
    all_killed : bool
    """

    claims: dict[int, int] = field(default_factory=dict)
    exits: frozenset[int] = frozenset()
    kills: frozenset[int] = frozenset()
    all_killed: bool = False

    def is_killed(self, index: int) -> bool:
        """Tell whether somebody asked to kill a member."""
        return self.all_killed or index in self.kills


class Spool:
    """The folder.

    Parameters
    ----------
    folder : Path
        It is made when the first job is added. Who can write to it can have jobs run, so it has to
        be the user's own, and closed to everybody else.
    clock : callable
        Tells the time that leases are compared with.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self.hosts = Hosts(folder / "hosts", clock)
        self._clock = clock
        self._jobs: dict[JobId, SpooledJob] = {}
        self._claimants: dict[Path, Path] = {}
        self._over: set[JobId] = set()

    def add(self, job: SpooledJob) -> JobId:
        """Put a job into the queue and return its id.

        Raises
        ------
        SchedulerError
            If anybody else could put jobs into it, or see them.
        """
        self._make()
        number = max(map(int, self.ids()), default=0) + 1
        data = json.dumps(asdict(job)).encode()
        # Jobs have environments, and those may have secrets.
        while not link_new(self._job_file(str(number)), data, mode=0o600):
            number += 1
        return str(number)

    def check_private(self) -> None:
        """Raise SchedulerError unless the folder is the user's own, with mode 0700.

        Jobs must be neither put into any other nor run from there.
        """
        status = self.folder.stat()
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid != os.geteuid():
            raise SchedulerError(
                f"{self.folder} belongs to {_user(status.st_uid)}, who could have jobs run as "
                f"{_user(os.geteuid())}. Jobs need a folder of your own: set another `workdir` of "
                f"Ssh."
            )
        if mode & 0o077:
            raise SchedulerError(
                f"{self.folder} has mode {mode:04o}, and jobs need a folder that nobody else can "
                f"get at. See that all in it is yours, and type: "
                f"chmod 700 {shlex.quote(str(self.folder))}"
            )

    def _make(self) -> None:
        make_folder(self.folder, 0o700)
        self.check_private()
        make_folder(self.folder / "jobs")
        if self.name() is None:
            name = f"{socket.gethostname()}-{os.urandom(3).hex()}"
            link_new(self.folder / "name", name.encode(), mode=0o600)

    def name(self) -> str | None:
        """Return a name that no other spool has; None if there is no spool yet.

        Two hosts may each have a folder of the same path, with jobs of the same numbers.
        """
        try:
            return read_whole(self.folder / "name").decode(errors="replace").strip() or None
        except FileNotFoundError:
            return None

    def ids(self) -> list[JobId]:
        """Return the ids of all jobs, oldest first."""
        stems = [path.stem for path in (self.folder / "jobs").glob("*.json")]
        return sorted((stem for stem in stems if stem.isdecimal()), key=int)

    def was_given_away(self, jobid: JobId) -> bool:
        """Tell whether there is, or was, a job of an id; the newest is never forgotten."""
        return int(jobid) <= max(map(int, self.ids()), default=0)

    def unfinished(self) -> list[JobId]:
        """Return the ids of the jobs that are not over, oldest first."""
        return [jobid for jobid in self.ids() if not self.is_over(jobid)]

    def job(self, jobid: JobId) -> SpooledJob | None:
        """Return what was added under an id; None if nothing was."""
        if jobid not in self._jobs:
            try:
                fields: dict[str, Any] = json.loads(_read_own(self._job_file(jobid)))
                for name in ("args", "depends_on"):
                    fields[name] = tuple(fields[name])
                self._jobs[jobid] = SpooledJob(**fields)
            except (FileNotFoundError, PermissionError, ValueError, TypeError, KeyError):
                # Forgotten, or damaged, or by somebody else who could once write here: nobody is
                # to run it, and it is as good as forgotten.
                return None
        return self._jobs[jobid]

    def marks(self, jobid: JobId) -> Marks:
        """Look at what has become of a job."""
        found: dict[str, set[int]] = {"exit": set(), "kill": set()}
        claims: dict[int, int] = {}
        all_killed = False
        for kind, index, count in self._names_of_marks(jobid):
            if index == WHOLE:
                all_killed = True
            elif kind == "claim":
                claims[int(index)] = max(claims.get(int(index), 0), int(count))
            else:
                found[kind].add(int(index))
        return Marks(claims, frozenset(found["exit"]), frozenset(found["kill"]), all_killed)

    def _names_of_marks(self, jobid: JobId) -> Iterator[tuple[str, str, str]]:
        try:
            names = [path.name for path in self._marks_folder(jobid).iterdir()]
        except FileNotFoundError:
            return
        for name in names:
            if match := _MARK.fullmatch(name):
                yield match[1], match[2], match[3] or "0"

    def claim(self, jobid: JobId, index: int, count: int, lease: Path) -> bool:
        """Begin a member for the `count`-th time; False if somebody else was first.

        Parameters
        ----------
        jobid : str
        index : int
        count : int
        lease : Path
            The lease of the runner: while it is renewed, the member is being run.
        """
        return self._put(jobid, f"claim-{index}-{count}", lease.name.encode())

    def claimant(self, jobid: JobId, index: int, count: int) -> Path:
        """Return the lease of the runner that began a member for the `count`-th time."""
        mark = self._marks_folder(jobid) / f"claim-{index}-{count}"
        if mark not in self._claimants:
            self._claimants[mark] = self.hosts.folder / read_whole(mark).decode()
        return self._claimants[mark]

    def record_exit(self, jobid: JobId, index: int, ended: Exit) -> None:
        """Say how a member ended, unless that has been said."""
        self._put(jobid, f"exit-{index}", json.dumps(asdict(ended)).encode())

    def exit_of(self, jobid: JobId, index: int) -> Exit | None:
        """Return how a member ended; None if it has not."""
        try:
            path = self._marks_folder(jobid) / f"exit-{index}"
            return Exit(**json.loads(read_whole(path)))
        except FileNotFoundError:
            return None

    def ask_to_kill(self, jobid: JobId) -> None:
        """Ask whoever runs a job, an array or a member to kill it; nobody will begin it."""
        array, _, index = jobid.partition("_")
        if self.job(array) is not None:
            self._put(array, f"kill-{index or WHOLE}", b"")

    def is_over(self, jobid: JobId) -> bool:
        """Tell whether no member of a job runs or will be run; so it is if there is none."""
        if jobid not in self._over and self._seen_over(jobid):
            self._over.add(jobid)
        return jobid in self._over

    def _seen_over(self, jobid: JobId) -> bool:
        job = self.job(jobid)
        if job is None:
            return True
        marks = self.marks(jobid)
        if len(marks.exits) == len(job.indices):
            return True
        if not (marks.all_killed or marks.kills):
            return False
        leases = Leases(self._clock())
        left = (index for index in job.indices if index not in marks.exits)
        return all(
            marks.is_killed(index) and not self._is_run(jobid, index, marks, leases)
            for index in left
        )

    def _is_run(self, jobid: JobId, index: int, marks: Marks, leases: Leases) -> bool:
        count = marks.claims.get(index)
        return count is not None and not leases.is_over(self.claimant(jobid, index, count))

    def is_ready(self, job: SpooledJob) -> bool:
        """Tell whether everything is over that a job has to wait for."""
        return all(self.is_over(array_of(jobid)) for jobid in job.depends_on)

    def statuses(self, jobid: JobId) -> list[JobStatus]:
        """Say how each member of a job is doing; nothing if there is no such job."""
        job = self.job(jobid)
        if job is None:
            return []
        marks, leases = self.marks(jobid), Leases(self._clock())
        waiting = self._waiting(job, leases)
        return [self._status(jobid, job, index, marks, leases, waiting) for index in job.indices]

    def _waiting(self, job: SpooledJob, leases: Leases) -> tuple[str, str]:
        if not self.is_ready(job):
            return HELD, "Dependency"
        most = self.hosts.most_slots()
        if most is not None and job.n_cpus > most:
            return QUEUED, f"{TOO_FEW} {job.n_cpus} slots"
        return QUEUED, "" if self.hosts.any_served(leases) else NO_HOST

    def _status(
        self,
        jobid: JobId,
        job: SpooledJob,
        index: int,
        marks: Marks,
        leases: Leases,
        waiting: tuple[str, str],
    ) -> JobStatus:
        shown = jobid if job.array_size is None else f"{jobid}_{index}"
        name = job.name if job.array_size is None else f"{job.name}:{index}"
        if index in marks.exits and (ended := self.exit_of(jobid, index)):
            return JobStatus(shown, _state_after(ended), name, ended.reason)
        if self._is_run(jobid, index, marks, leases):
            return JobStatus(shown, RUNNING, name)
        if marks.is_killed(index):
            return JobStatus(shown, CANCELLED, name)
        return JobStatus(shown, waiting[0], name, waiting[1])

    def forget_old(self, seconds: float) -> None:
        """Remove the jobs that were over `seconds` ago."""
        # Never the newest: its number tells which ones have been given away.
        for jobid in self.ids()[:-1]:
            changed = max(_changed(self._job_file(jobid)), _changed(self._marks_folder(jobid)))
            if time.time() - changed > seconds and self.is_over(jobid):
                # The job first: without its marks it would look as if nobody had run it.
                self._job_file(jobid).unlink(missing_ok=True)
                shutil.rmtree(self._marks_folder(jobid), ignore_errors=True)

    def _job_file(self, jobid: JobId) -> Path:
        return self.folder / "jobs" / f"{jobid}.json"

    def _marks_folder(self, jobid: JobId) -> Path:
        return self.folder / "jobs" / jobid

    def _put(self, jobid: JobId, mark: str, data: bytes) -> bool:
        return link_new(make_folder(self._marks_folder(jobid)) / mark, data)


def _read_own(path: Path) -> bytes:
    """Read a file; PermissionError if it is somebody else's."""
    with no_pipe(path).open("rb") as file:
        if os.fstat(file.fileno()).st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "This is another user's", str(path))
        return file.read()


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _state_after(ended: Exit) -> str:
    if ended.code == 0:
        return DONE
    return CANCELLED if ended.was_killed else FAILED


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
