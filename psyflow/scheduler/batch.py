"""What the schedulers have in common that are driven by command line programs.

A new cluster is five functions, string in, string out, which can be tested without the cluster.
Everything that starts a process is in this file.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from psyflow.exceptions import SchedulerError
from psyflow.scheduler.base import (
    OVER,
    UNKNOWN,
    JobId,
    JobStatus,
    array_of,
    combine,
)
from psyflow.scheduler.checked import CheckedScheduler
from psyflow.scheduler.facts import Partition, SiteFacts, are_here
from psyflow.scheduler.inherited import without_outer_job
from psyflow.scheduler.names import marked
from psyflow.scheduler.questions import Questions
from psyflow.scheduler.request import SubmitRequest

__all__ = ["BatchScheduler", "SubmitRequest", "no_answer", "with_only_members"]

_QUESTIONS = Questions()
"""What does not change while this process lives, by the command that asks for it, and by the
environment, which decides whom it asks."""


class BatchScheduler(CheckedScheduler):
    """A scheduler that is driven by command line programs.

    A new one needs `submit_command`, `parse_job_id`, `status_command`, `parse_status` and
    `kill_command`, which start nothing and read nothing but their arguments, and the names of its
    arguments in `ARGS`. See ``docs/schedulers.md`` for a whole one.

    Parameters
    ----------
    workdir : str or path, optional
        Where the scheduler may put files of its own.

    Examples
    --------
    >>> from psyflow.scheduler import JobStatus, SubmitRequest
    >>> class LabQueue(BatchScheduler):
    ...     def submit_command(self, request):
    ...         after = [f"--after={jobid}" for jobid in request.depends_on]
    ...         return ["labsub", f"--log={request.output_filename}", *after, *request.args]
    ...     def parse_job_id(self, stdout):
    ...         return stdout.strip()
    ...     def status_command(self, jobids):
    ...         return ["labstat", *jobids]
    ...     def parse_status(self, stdout):
    ...         return {line.split()[0]: JobStatus(*line.split()) for line in stdout.splitlines()}
    ...     def kill_command(self, jobids):
    ...         return ["labdel", *jobids]
    >>> LabQueue().submit_command(SubmitRequest(("simulate",), "/tmp/log", depends_on=("17",)))
    ['labsub', '--log=/tmp/log', '--after=17', 'simulate']
    """

    HINT: ClassVar[str] = "Log in to a node of the cluster that has it."
    """What to do when the scheduler's programs are not there."""
    PROGRAMS: ClassVar[tuple[str, ...]] = ()
    """Programs by which a site is known to have this scheduler."""
    VERSION_COMMAND: ClassVar[tuple[str, ...]] = ()
    """Prints the version in its first line."""
    QUEUES_COMMAND: ClassVar[tuple[str, ...]] = ()
    """Prints the queues, for `parse_queues`; fails if the scheduler does not answer."""
    QUERY_TIMEOUT: ClassVar[float] = 120.0
    RETRY_PAUSES: ClassVar[tuple[float, ...]] = (0.5, 2.0)
    """Seconds to wait before asking again when a query failed. Submissions are never repeated."""
    KILLS_MANY: ClassVar[bool] = True
    """Whether the program that kills takes more than one id."""
    MAX_IDS: ClassVar[int] = 1000
    """Ids in one command: the kernel limits its length."""

    def __init__(self, workdir: str | os.PathLike[str] | None = None) -> None:
        self.workdir = workdir
        self._submitted: list[JobId] = []

    @abstractmethod
    def submit_command(self, request: SubmitRequest) -> list[str]:
        """Return the command that submits `request`; this is also what a dry run prints."""

    def submit_script(self, request: SubmitRequest) -> str | None:
        """Return what the command reads from stdin."""
        return None

    @abstractmethod
    def parse_job_id(self, stdout: str) -> JobId:
        """Return the job's id from the answer to `submit_command`; '' if there is none in it."""

    @abstractmethod
    def status_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the command that asks about all of `jobids` at once."""

    def list_command(self) -> Sequence[str]:
        """Return the command that lists the user's jobs as `status_command` does; empty: none."""
        return []

    @abstractmethod
    def parse_status(self, stdout: str) -> dict[JobId, JobStatus]:
        """Return what the answer to `status_command` says; lines that make no sense are left out.

        Members of an array come under their own ids, named ``<name>:<index>``.
        """

    @abstractmethod
    def kill_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the command that kills `jobids`, which are one unless `KILLS_MANY`."""

    def means_no_job(self, returncode: int, stderr: str) -> bool:
        """Say whether a query that failed only wants to say that it knows none of the jobs."""
        return False

    def query_environment(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        """Return `environment` without what would change the answer to a query."""
        return environment

    def submit_request(self, request: SubmitRequest) -> JobId:
        """Hand `request` to the scheduler and return the id it gives to the job."""
        command = self.submit_command(request)
        return self.accept(self.run_submission(command, self.submit_script(request)), command)

    def run_submission(self, command: Sequence[str], script: str | None = None) -> str:
        """Run a command that submits, once, and return what it prints."""
        answer = self._call(command, script)
        _raise_if_failed(answer)
        return answer.stdout

    def accept(self, text: str, command: Sequence[str]) -> JobId:
        """Return the id that `text` tells, and remember the job as this object's own.

        Raises
        ------
        SchedulerError
            If `text` tells none.
        """
        jobid = self.parse_job_id(text)
        if not jobid:
            raise SchedulerError(
                f"{command[0]} did not say which job it submitted, but: {text.strip()!r}. "
                f"It may have submitted one: look at the queue. The command was: "
                f"{shlex.join(command)}"
            )
        self._submitted.append(jobid)
        return jobid

    def kill(self, jobid: JobId) -> None:
        """Kill a job or a whole array; one that is over is no error."""
        self.kill_jobs([jobid])

    def kill_jobs(self, jobids: Iterable[JobId]) -> None:
        """Kill `jobids`, if the program can do so with one command, however many there are."""
        for some in _chunks(list(jobids), self.MAX_IDS if self.KILLS_MANY else 1):
            self._kill(some)

    def _kill(self, jobids: Sequence[JobId]) -> None:
        answer = self._call(self.kill_command(jobids), is_query=True)
        if not answer.returncode:
            return
        found = _select(jobids, self.look_up(jobids))
        alive = [jobid for jobid in jobids if jobid in found and found[jobid].status not in OVER]
        for jobid in alive:
            if len(jobids) == 1:
                _raise_if_failed(answer)
            self._kill([jobid])  # the program may have stopped at one that is gone

    def get_status(self, jobid: JobId) -> JobStatus | None:
        """Say what became of a job; None if the scheduler does not know it (any more)."""
        return _select([jobid], self.look_up([jobid])).get(jobid)

    def get_statuses(self, jobids: Iterable[JobId]) -> dict[JobId, JobStatus]:
        """Say what became of `jobids` with one query; ``?`` for one that is not known."""
        wanted = list(dict.fromkeys(jobids))
        found = _select(wanted, self.look_up(wanted))
        return {jobid: found.get(jobid, JobStatus(jobid, UNKNOWN, "")) for jobid in wanted}

    def get_jobs(self) -> Sequence[JobId]:
        """Return the jobs submitted through this object that are not known to be over."""
        statuses = self.get_statuses(self._submitted)
        return [jobid for jobid, status in statuses.items() if status.status not in OVER]

    def look_up(self, jobids: Sequence[JobId]) -> dict[JobId, JobStatus]:
        """Ask about `jobids` and return whatever was answered, members of arrays one by one."""
        found: dict[JobId, JobStatus] = {}
        # The answer about an array has all of its members, which may be very many.
        asked = list(dict.fromkeys(map(array_of, jobids))) if self.HAS_ARRAYS else jobids
        for some in _chunks(asked, self.MAX_IDS):
            found |= self.parse_status(self.query(self.status_command(some)))
        return found

    def find_marked(self, marks: Collection[str]) -> dict[str, JobId]:
        """Look for marks in the names of all jobs of the user."""
        command = self.list_command()
        if not command:
            return {}
        listed = self.parse_status(self.query(command))
        return {
            mark: array_of(jobid)
            for jobid, status in listed.items()
            for mark in marks
            if marked("", mark) in status.name
        }

    def parse_queues(self, stdout: str) -> tuple[Partition, ...]:
        """Return what the answer to `QUEUES_COMMAND` says: a queue in each line, as a rule."""
        return tuple(Partition(line.split()[0]) for line in stdout.splitlines() if line.strip())

    def site(self) -> SiteFacts | None:
        """Look at the site; None if this scheduler's programs are not here."""
        if not (self.PROGRAMS and are_here(self.PROGRAMS)):
            return None
        version = self.try_query(self.VERSION_COMMAND) if self.VERSION_COMMAND else None
        told = self.try_query(self.QUEUES_COMMAND) if self.QUEUES_COMMAND else ""
        return SiteFacts(
            version=(version or "").strip().partition("\n")[0],
            partitions=self.parse_queues(told or ""),
            max_array_size=self._try_max_array_size() if told is not None else None,
            problems=()
            if told is not None
            else (f"{shlex.join(self.QUEUES_COMMAND)} fails. {self.HINT}",),
        )

    def _try_max_array_size(self) -> int | None:
        try:
            return self.max_array_size()
        except SchedulerError:
            return None  # a submission of several jobs will say so

    def query(self, command: Sequence[str]) -> str:
        """Return what a command that changes nothing prints; ask again if it fails.

        Raises
        ------
        SchedulerError
            If the program is missing, or still fails after `RETRY_PAUSES`.
        """
        answer = self._call(command, is_query=True)
        for pause in self.RETRY_PAUSES:
            if not answer.returncode or self.means_no_job(answer.returncode, answer.stderr):
                break
            time.sleep(pause)
            answer = self._call(command, is_query=True)
        if not self.means_no_job(answer.returncode, answer.stderr):
            _raise_if_failed(answer)
        return answer.stdout

    def try_query(self, command: Sequence[str], seconds: float | None = None) -> str | None:
        """Ask once, where the answer is welcome but not needed; None if the query fails.

        Parameters
        ----------
        command : sequence of str
        seconds : float, optional
            For how long to wait, instead of `QUERY_TIMEOUT`.
        """
        try:
            answer = self._call(command, is_query=True, seconds=seconds)
        except SchedulerError:
            return None  # not every cluster has every program
        if answer.returncode and not self.means_no_job(answer.returncode, answer.stderr):
            return None
        return answer.stdout

    def ask_once(self, command: Sequence[str]) -> str:
        """Ask for what stays the same, and wait for seconds only; '' if there is no answer."""
        question = (tuple(command), tuple(os.environ.items()))
        return _QUESTIONS.ask(question, lambda seconds: self.try_query(command, seconds))

    def ask_now(self, command: Sequence[str]) -> str:
        """Ask for what may have changed, and wait for seconds only; '' if there is no answer."""
        question = (tuple(command), tuple(os.environ.items()))
        return _QUESTIONS.ask(
            question, lambda seconds: self.try_query(command, seconds), is_changing=True
        )

    def number_in(self, command: Sequence[str], pattern: str) -> int | None:
        """Ask for a number that stays the same; None if it is not told.

        Parameters
        ----------
        command : sequence of str
        pattern : str
            Regular expression whose first group is the number, at the beginning of a line.
        """
        match = re.search(pattern, self.ask_once(command), re.MULTILINE)
        return int(match[1]) if match else None

    def _call(
        self,
        command: Sequence[str],
        script: str | None = None,
        *,
        is_query: bool = False,
        seconds: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        patience = self.QUERY_TIMEOUT if seconds is None else seconds
        try:
            return subprocess.run(
                command,
                input=script or "",
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                # Not what a library has written into C's environment alone, as MPI does: all that
                # a job starts by `mpirun` would take itself for a part of this process.
                env=self.query_environment(os.environ)
                if is_query
                else without_outer_job(os.environ),
                # A submission that is broken off may have been accepted all the same.
                timeout=patience if is_query else None,
                check=False,
            )
        except FileNotFoundError:
            raise SchedulerError(f'There is no program "{command[0]}". {self.HINT}') from None
        except subprocess.TimeoutExpired:
            raise SchedulerError(
                f"{command[0]} did not answer within {patience:g} s. Try again later, "
                f"or see for yourself: {shlex.join(command)}"
            ) from None


def no_answer(program: str, error: ValueError | SyntaxError) -> SchedulerError:
    """Say that what `program` printed is half an answer, or none.

    Taken for "there is no such job", it would end the wait for jobs that are at work.
    """
    return SchedulerError(
        f"What {program} answered cannot be read ({error}). Try again later, or see for yourself: "
        f"{program}"
    )


def with_only_members(
    found: Mapping[JobId, JobStatus], jobids: Iterable[JobId]
) -> dict[JobId, JobStatus]:
    """Return `found` with the members of arrays of one, which look like plain jobs, too."""
    members = {}
    for jobid in jobids:
        array, _, index = jobid.partition("_")
        if index == "0" and array in found and jobid not in found:
            status = found[array]
            members[jobid] = JobStatus(jobid, status.status, f"{status.name}:0", status.reason)
    return {**found, **members}


def _raise_if_failed(answer: subprocess.CompletedProcess[str]) -> None:
    if answer.returncode:
        what = answer.stderr.strip() or answer.stdout.strip() or "it does not say why"
        raise SchedulerError(
            f"{answer.args[0]} failed with exit code {answer.returncode}: {what}\n"
            f"The command was: {shlex.join(answer.args)}"
        )


def _chunks(jobids: Sequence[JobId], size: int) -> Iterator[Sequence[JobId]]:
    return (jobids[start : start + size] for start in range(0, len(jobids), size))


def _select(jobids: Sequence[JobId], found: Mapping[JobId, JobStatus]) -> dict[JobId, JobStatus]:
    members: dict[JobId, list[JobStatus]] = {}
    for jobid, status in found.items():
        members.setdefault(array_of(jobid), []).append(status)
    selected = {jobid: found[jobid] for jobid in jobids if jobid in found}
    for jobid in jobids:
        if jobid not in selected and jobid in members:
            selected[jobid] = combine(jobid, members[jobid])
    return selected
