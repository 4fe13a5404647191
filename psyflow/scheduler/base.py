"""What every scheduler does: it submits jobs, says what became of them, and kills them.

`Scheduler` is the whole interface. Schedulers that are driven by command line programs derive from
`psyflow.scheduler.batch.BatchScheduler`, which leaves five small functions to write.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple, TypeAlias

from psyflow.scheduler.facts import SiteFacts
from psyflow.scheduler.limits import Limit
from psyflow.scheduler.remedies import Remedy

__all__ = [
    "CANCELLED",
    "DONE",
    "FAILED",
    "HELD",
    "NODE_FAILURE",
    "OOM",
    "OVER",
    "PREEMPTED",
    "QUEUED",
    "REASONS",
    "RUNNING",
    "TIMEOUT",
    "UNKNOWN",
    "ZOMBIE",
    "JobId",
    "JobStatus",
    "Scheduler",
    "Words",
    "array_of",
    "combine",
]

JobId: TypeAlias = str
"""What a scheduler calls a job. Member 3 of the job array ``"12"`` is ``"12_3"``."""

Words: TypeAlias = "Sequence[str | os.PathLike[str]]"

QUEUED, HELD, RUNNING, ZOMBIE = "Q", "*Q", "R", "Z"
DONE, FAILED, CANCELLED, UNKNOWN = "D", "F", "C", "?"
OVER = frozenset({DONE, FAILED, CANCELLED})

OOM, TIMEOUT, NODE_FAILURE, PREEMPTED = "oom", "timeout", "node failure", "preempted"
REASONS = frozenset({OOM, TIMEOUT, NODE_FAILURE, PREEMPTED})
"""Why a job ended that did not fail by itself: too little memory or time, its node died, or it had
to make room for others."""

# The state of an array is the first of these that one of its members is in.
_STATES_OF_ARRAYS = (RUNNING, ZOMBIE, QUEUED, HELD, UNKNOWN, FAILED, CANCELLED, DONE)


class _JobStatus(NamedTuple):
    id: JobId
    status: str
    name: str


class JobStatus(_JobStatus):
    """What a scheduler says about a job: a tuple of three, and the reason beside it.

    Attributes
    ----------
    id : str
    status : str
        ``Q`` queued, ``*Q`` held (for another job, or by somebody), ``R`` running, ``Z`` zombie,
        ``D`` done, ``F`` failed, ``C`` cancelled, ``?`` unknown, which never means dead.
    name : str
        As the scheduler knows it; it may have cut it.
    reason : str
        Why it is queued, held, failed or cancelled, in one of `REASONS` where one of them is
        meant, otherwise in the scheduler's words; empty if that is not known.

    Examples
    --------
    >>> status = JobStatus("7", "F", "circle:merge", "oom")
    >>> status.reason, tuple(status)
    ('oom', ('7', 'F', 'circle:merge'))
    """

    reason: str = ""

    def __new__(cls, id: JobId, status: str, name: str, reason: str = "") -> JobStatus:
        """Return a new status."""
        made = super().__new__(cls, id, status, name)
        if reason:
            made.reason = reason
        return made


def array_of(jobid: JobId) -> JobId:
    """Return the id of the array that a member belongs to; other ids are returned as they are.

    Examples
    --------
    >>> array_of("12_3"), array_of("12")
    ('12', '12')
    """
    return jobid.partition("_")[0]


def combine(jobid: JobId, members: Iterable[JobStatus]) -> JobStatus:
    """Say in one state how a whole array is doing: running if a member is, done if all are.

    Examples
    --------
    >>> combine("7", [JobStatus("7_0", "D", "t:0"), JobStatus("7_1", "F", "t:1")])
    JobStatus(id='7', status='F', name='t')
    """
    members = list(members)
    by_state = {member.status: member for member in reversed(members)}
    status = next((state for state in _STATES_OF_ARRAYS if state in by_state), UNKNOWN)
    if not members:
        return JobStatus(jobid, status, "")
    return JobStatus(jobid, status, members[0].name.rpartition(":")[0], by_state[status].reason)


class Scheduler(ABC):
    """Submits jobs, asks about them, kills them.

    Constructors take what is the same for all jobs and contact nothing. What differs from task to
    task are the `scheduler_args` of a submission. `psyflow.testing.SchedulerTests` tests one.

    Examples
    --------
    >>> import os, subprocess
    >>> from psyflow.scheduler import JobStatus
    >>> class AtOnce(Scheduler):
    ...     runs_here = True
    ...     def __init__(self):
    ...         self.codes = {}
    ...     def submit(self, args, output_filename, name=None, depends_on=(), scheduler_args=None):
    ...         jobid = str(len(self.codes))
    ...         with open(output_filename, "ab") as log:
    ...             self.codes[jobid] = subprocess.call(args, stdout=log, stderr=log)
    ...         return jobid
    ...     def kill(self, jobid): ...
    ...     def get_status(self, jobid):
    ...         code = self.codes.get(jobid)
    ...         return None if code is None else JobStatus(jobid, "F" if code else "D", "")
    ...     def get_jobs(self):
    ...         return []
    >>> scheduler = AtOnce()
    >>> scheduler.get_status(scheduler.submit(["false"], os.devnull)).status
    'F'
    """

    USER_DEFAULT_ARGS: ClassVar[Mapping[str, object]] = {}
    """Arguments that `psy new-task` writes into a new task file."""

    UNVERIFIED: ClassVar[str] = ""
    """What was never tried on a real one, for `psy doctor`; empty if it was."""

    runs_here: ClassVar[bool] = False
    """Whether a job runs on this machine inside `submit`, which returns when it has ended."""

    counts_members: ClassVar[bool] = True
    """Whether each member of an array counts where the cluster limits how many jobs there are."""

    tells_names: ClassVar[bool] = False
    """Whether the statuses of jobs tell the names that these were submitted with, of long ones at
    least the end. Jobs then get names that are nobody else's, and an id whose job has another name
    is known to be somebody else's."""

    @abstractmethod
    def submit(
        self,
        args: Words,
        output_filename: str | os.PathLike[str],
        name: str | None = None,
        depends_on: Iterable[JobId] | None = None,
        scheduler_args: Mapping[str, object] | None = None,
    ) -> JobId:
        """Submit one job.

        Parameters
        ----------
        args : sequence of str or path
            The program and its arguments. They reach it exactly as they are.
        output_filename : str or path
            Log file to which stdout and stderr go.
        name : str, optional
            The job's name.
        depends_on : iterable of str, optional
            Ids of the jobs that have to be over before this one starts.
        scheduler_args : mapping, optional
            Arguments of the scheduler. A value may be a function of the job's name, or of
            ``(job, attempt, reason)``; an argument that is None counts as not given.

        Returns
        -------
        str
            The job's id.

        Raises
        ------
        UsageError
            If the arguments are not the scheduler's. Nothing was submitted then.
        SchedulerError
            If the scheduler refuses or cannot be reached.
        """

    def submit_array(
        self,
        n: int,
        args: Words,
        output_filename: str | os.PathLike[str],
        name: str | None = None,
        depends_on: Iterable[JobId] | None = None,
        scheduler_args: Mapping[str, object] | None = None,
    ) -> JobId:
        """Submit `n` jobs that differ only in their index, 0 to `n` - 1, as one.

        ``%a`` in `args` and in `output_filename` stands for the index. Member 3 of array ``"12"``
        has the id ``"12_3"``; the array's own id stands for all members.

        Parameters
        ----------
        n : int
            At least 1.
        args, output_filename, name, depends_on, scheduler_args
            As for `submit`.

        Raises
        ------
        NotImplementedError
            If the scheduler has no job arrays. Submit one job after the other then.
        """
        raise NotImplementedError(f"{type(self).__name__} has no job arrays.")

    @abstractmethod
    def kill(self, jobid: JobId) -> None:
        """Kill a job or a whole array, queued or running. One that is over is no error.

        Parameters
        ----------
        jobid : str

        Raises
        ------
        SchedulerError
            If the scheduler refuses or cannot be reached.
        """

    def kill_jobs(self, jobids: Iterable[JobId]) -> None:
        """Kill many jobs; schedulers that can do so do it in one go."""
        for jobid in jobids:
            self.kill(jobid)

    @abstractmethod
    def get_status(self, jobid: JobId) -> JobStatus | None:
        """Say what became of a job; None if the scheduler does not know it (any more).

        Parameters
        ----------
        jobid : str

        Raises
        ------
        SchedulerError
            If the scheduler does not answer.
        """

    @abstractmethod
    def get_jobs(self) -> Sequence[JobId]:
        """Return the jobs submitted through this object that are not known to be over."""

    def get_statuses(self, jobids: Iterable[JobId]) -> dict[JobId, JobStatus]:
        """Say what became of many jobs; one that the scheduler does not know is ``?``.

        Parameters
        ----------
        jobids : iterable of str
            Of jobs, arrays, or members of arrays.

        Returns
        -------
        dict from str to JobStatus
            One for each id.

        Raises
        ------
        SchedulerError
            If the scheduler does not answer.
        """
        found = {jobid: self.get_status(jobid) for jobid in jobids}
        return {jobid: status or JobStatus(jobid, UNKNOWN, "") for jobid, status in found.items()}

    def find_marked(self, marks: Collection[str]) -> dict[str, JobId]:
        """Return the ids of jobs, or arrays, by the marks that they have in their names.

        For jobs that may have been accepted though nobody noted their ids. Only asked where
        `tells_names`. By default nothing is found.

        Parameters
        ----------
        marks : collection of str

        Raises
        ------
        SchedulerError
            If the scheduler does not answer.
        """
        return {}

    def cluster_name(self) -> str | None:
        """Return what the cluster that would be asked here calls itself; None if it does not tell.

        Jobs that were submitted to a cluster of another name are neither asked about nor killed:
        here, their ids are somebody else's. May ask the cluster, but only once in a process.
        """
        return None

    def exit_code(self, jobid: JobId) -> int | None:
        """Return the exit code of a job that ended; None if it is not known."""
        return None

    def time_limit(
        self, scheduler_args: Mapping[str, object] | None, name: str = "psyflow"
    ) -> float | None:
        """Return after how many seconds a job is ended, infinity if never; None if nobody said.

        Contacts nothing: it is what `scheduler_args` say, for workers to know when to stop.

        Parameters
        ----------
        scheduler_args : mapping, optional
        name : str
            The job's name, for values that are functions of it.
        """
        return None

    def default_time_limit(
        self, scheduler_args: Mapping[str, object] | None, name: str = "psyflow"
    ) -> float | None:
        """Return after how many seconds a job is ended for which nobody gave a limit.

        Unlike `time_limit`, this may ask the cluster. None if there is none, or it is not told.

        Parameters
        ----------
        scheduler_args, name
            As for `time_limit`.
        """
        return None

    def check_args(self, scheduler_args: Mapping[str, object] | None) -> None:  # noqa: B027
        """Raise `UsageError` for arguments that `submit` would not take; contact nothing."""

    def remedy(self, status: JobStatus) -> Remedy | None:
        """Return what somebody has to do so that a job goes on; None if nothing, or unknown.

        Parameters
        ----------
        status : JobStatus
            What this scheduler said of the job.
        """
        return None

    def limits_of(
        self, scheduler_args: Mapping[str, object] | None = None, name: str = "psyflow"
    ) -> list[Limit]:
        """Return what the cluster says of its limits, as far as they concern a job.

        Asks the cluster, but only once in a process, and only for a few seconds.

        Parameters
        ----------
        scheduler_args, name
            As for `time_limit`: limits may be those of a partition, an account or a QOS.
        """
        return []

    def limits_now(
        self, scheduler_args: Mapping[str, object] | None = None, name: str = "psyflow"
    ) -> list[Limit]:
        """Return what `limits_of` does, with what is taken of each at this moment, if it is told.

        Asks the cluster each time, for a few seconds. By default nothing is known to be taken.

        Parameters
        ----------
        scheduler_args, name
            As for `limits_of`.
        """
        return self.limits_of(scheduler_args, name)

    def site(self) -> SiteFacts | None:
        """Look at the site; None if this scheduler cannot be used here."""
        return None

    def max_array_size(self) -> int | None:
        """Return how many members an array may have; None if there is no limit."""
        return None
