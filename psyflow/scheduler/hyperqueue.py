"""HyperQueue: `hq submit`, `hq job`.

There are no dependencies between jobs, so dependent ones wait in their script. One that only
merges asks for a ten-thousandth of a CPU, since none at all is refused. The time limit is that of
the program `timeout` in the script, since the time limit of `hq` would count the waiting.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from psyflow.exceptions import SchedulerError, UsageError
from psyflow.scheduler.base import (
    CANCELLED,
    DONE,
    FAILED,
    QUEUED,
    RUNNING,
    TIMEOUT,
    UNKNOWN,
    JobId,
    JobStatus,
    array_of,
    combine,
)
from psyflow.scheduler.batch import BatchScheduler, SubmitRequest, no_answer, with_only_members
from psyflow.scheduler.extras import EXTRAS, check_values, extra_args, named_amounts
from psyflow.scheduler.facts import Partition
from psyflow.scheduler.memory import check_memory, read_memory
from psyflow.scheduler.names import shortened
from psyflow.scheduler.request import flags, logged_command
from psyflow.scheduler.timelimit import read_time_limit

__all__ = ["HyperQueue"]

_STATES = {
    "waiting": QUEUED,
    "running": RUNNING,
    "finished": DONE,
    "failed": FAILED,
    "canceled": CANCELLED,
    "aborted": CANCELLED,
}
_OPTIONS = {
    "crash_limit": "--crash-limit",
    "n_cpus": "--cpus",
    "n_nodes": "--nodes",
    "pin": "--pin",
    "priority": "--priority",
}
_TIME_REQUEST = "time_request"
_GPUS = "gpus/nvidia"
_MEMORY = "mem"
"""HyperQueue's own name for a worker's memory, in MiB."""
_AS_LITTLE_AS_POSSIBLE = "0.0001"
"""CPUs. None at all are refused ("Zero resources cannot be requested", 0.27)."""
_LONGEST_NAME = 40
_SECONDS_TO_END = 30
"""Seconds between SIGTERM and SIGKILL at the end of a job's time."""
_TIMED_OUT = 124
"""Exit code of `timeout`."""

_EXIT_CODE = re.compile(r"exit code (\d+)")


class HyperQueue(BatchScheduler):
    """Submits to HyperQueue.

    The scheduler arguments are ``timelimit``, ``time_request``, ``memory`` (MiB, or ``4G``),
    ``n_cpus``, ``n_gpus``, ``n_nodes``, ``pin``, ``priority``, ``crash_limit``, and ``resources``,
    a dict of further ``--resource``. Times are ``hours:minutes:seconds`` or ``1h 30m``.

    Parameters
    ----------
    workdir : str or path, optional
        HyperQueue needs no files of its own; this is here so that it can replace `Sqsub`.

    Examples
    --------
    >>> request = HyperQueue().request(["echo", "a b"], "/tmp/log", "t:process", ["7"],
    ...                                {"timelimit": "1h", "n_cpus": 2}, array_size=10)
    >>> *command, script = HyperQueue().submit_command(request)
    >>> print(*command)
    hq --output-mode=json submit --name=t:process --stdout=none --stderr=none --array=0-9 \
--cpus 2 -- sh -c
    >>> print(script)
    exec >>/tmp/log 2>&1
    hq job wait 7 >/dev/null || hq job list >/dev/null || exit
    exec timeout -k 30 3600 echo 'a b'
    """

    UNVERIFIED: ClassVar[str] = (
        "tried with a program that answers as `hq` does, never with a real one"
    )
    USER_DEFAULT_ARGS: ClassVar[Mapping[str, object]] = {"timelimit": "01:00:00", "n_cpus": 1}
    OWN_WORDS = (
        "--array",
        "--stdout",
        "--stderr",
        "--name",
        "--wait",
        "--progress",
        "--output-mode",
    )
    ARGS = frozenset(
        {*_OPTIONS, *EXTRAS, _TIME_REQUEST, "memory", "n_gpus", "resources", "timelimit"}
    )
    TIME_LIMIT = "timelimit"
    HAS_ARRAYS = True
    # A server has an id, but none that is known to outlive its restart from a journal, as its jobs
    # do: these are told by their names alone.
    tells_names = True
    PROGRAMS = ("hq",)
    VERSION_COMMAND = ("hq", "--version")
    QUEUES_COMMAND = ("hq", "server", "info")
    HINT = (
        "Is HyperQueue installed here? If not, set scheduler = ImmediateRun() in the task file to "
        "run on this machine."
    )

    def check_value(self, option: str, value: object) -> None:
        """Raise `UsageError` if `value` is nothing for `option`."""
        if option == _TIME_REQUEST:
            _seconds_requested(value)
        if option == "memory":
            check_memory("HyperQueue", option, value, counts_mib=True)
        if option == "resources":
            named_amounts("HyperQueue", value)
        elif option not in (_TIME_REQUEST, "memory", self.TIME_LIMIT):
            check_values("HyperQueue", option, value, ("n_nodes",), ())

    def parse_queues(self, stdout: str) -> tuple[Partition, ...]:
        """HyperQueue has workers, and no queues among which to choose."""
        return ()

    def submit_command(self, request: SubmitRequest) -> list[str]:
        """Return the ``hq submit`` command, whose last word is the script of the job."""
        n = request.array_size
        return [
            *("hq", "--output-mode=json", "submit", f"--name={_name(request)}"),
            # The script writes the log itself: hq would read things into its path.
            *("--stdout=none", "--stderr=none"),
            *([f"--array=0-{n - 1}"] if n is not None else []),
            *self._resources(request),
            *extra_args(request.options),
            *("--", "sh", "-c", self._script(request)),
        ]

    def _resources(self, request: SubmitRequest) -> list[str]:
        options = dict(request.options)
        if request.depends_on and request.array_size is None:
            # What waits takes the place of nobody that it may wait for.
            options.setdefault("n_cpus", _AS_LITTLE_AS_POSSIBLE)
        further = named_amounts("HyperQueue", options.get("resources", {}))
        named: dict[str, object] = {}
        if "memory" in options:
            named[_MEMORY] = math.ceil(read_memory(options["memory"], counts_mib=True) / 2**20)
        if "n_gpus" in options:
            named[_GPUS] = options["n_gpus"]
        named = {name: amount for name, amount in named.items() if name not in dict(further)}
        amounts = [*named.items(), *further]
        words = [f"--resource={name}={amount}" for name, amount in amounts]
        if _TIME_REQUEST in options:
            words.append(f"--time-request={_seconds_requested(options[_TIME_REQUEST])}s")
        return [*flags(_OPTIONS, options), *words]

    def _script(self, request: SubmitRequest) -> str:
        """Return the script, in which the shell sees nothing of the arguments."""
        before = ""
        if awaited := [jobid for after in self.awaited(request) for jobid in after.jobids]:
            jobids = ",".join(map(array_of, awaited))
            # Waiting fails if a job has failed, which is no reason not to begin, or if hq cannot
            # be had: then listing jobs fails as well.
            before = f"hq job wait {jobids} >/dev/null || hq job list >/dev/null || exit\n"
        limit = self.seconds_of(request.options.get("timelimit", 0))
        if not math.isinf(limit):
            # hq would count the time that is spent waiting.
            before += f"exec timeout -k {_SECONDS_TO_END} {math.ceil(limit)} "
        else:
            before += "exec "
        index = '"$HQ_TASK_ID"' if request.array_size is not None else None
        return logged_command(request, index, before)

    def parse_job_id(self, stdout: str) -> JobId:
        """Read ``{"id": 7}``."""
        told = _json(stdout)
        jobid = told.get("id") if isinstance(told, dict) else None
        return str(jobid) if isinstance(jobid, int) else ""

    def status_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the ``hq job info`` command for all of `jobids`, over or not."""
        wanted = dict.fromkeys(array_of(jobid) for jobid in jobids)
        return ["hq", "--output-mode=json", "job", "info", ",".join(wanted)]

    def list_command(self) -> list[str]:
        """Return the ``hq job list`` command for all jobs that are not over."""
        return ["hq", "--output-mode=json", "job", "list"]

    def parse_status(self, stdout: str) -> dict[JobId, JobStatus]:
        """Read the answer of ``hq job info``, or of ``hq job list``, which tells less."""
        try:
            told = json.loads(stdout) if stdout.strip() else []
        except ValueError as error:
            raise no_answer("hq", error) from None
        jobs = [job for job in told if isinstance(job, dict)] if isinstance(told, list) else []
        return {status.id: status for job in jobs for status in _statuses(job)}

    def look_up(self, jobids: Sequence[JobId]) -> dict[JobId, JobStatus]:
        """Ask about `jobids`; an array of one looks like a plain job."""
        return with_only_members(super().look_up(jobids), jobids) if jobids else {}

    def kill_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the ``hq job cancel`` command for all of `jobids`.

        Raises
        ------
        SchedulerError
            For members of arrays.
        """
        for jobid in jobids:
            if array_of(jobid) != jobid:
                raise SchedulerError(
                    f"HyperQueue cannot kill job {jobid} alone. Kill the whole of job "
                    f"{array_of(jobid)}."
                )
        return ["hq", "job", "cancel", ",".join(dict.fromkeys(jobids))]

    def means_no_job(self, returncode: int, stderr: str) -> bool:
        """Say whether hq only wants to say that it knows none of the jobs."""
        return re.search(r"[Jj]ob \d+ (is )?not found|[Cc]annot find job", stderr) is not None


def _name(request: SubmitRequest) -> str:
    """Return the name as far as hq takes it."""
    return shortened(request.name, _LONGEST_NAME)


def _seconds_requested(value: object) -> int:
    try:
        return math.ceil(read_time_limit(value))
    except (ValueError, OverflowError):
        raise UsageError(
            f'HyperQueue argument "time_request" is a time such as "1:30:00" or "1h 30m", '
            f"not {value!r}."
        ) from None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _statuses(job: Mapping[str, Any]) -> Iterator[JobStatus]:
    info = job.get("info", job)
    if not isinstance(info, dict) or not isinstance(info.get("id"), int):
        return
    jobid, name = str(info["id"]), str(info.get("name", ""))
    tasks = job.get("tasks")
    if not isinstance(tasks, list):
        yield _by_counts(jobid, name, info.get("task_stats"))
        return
    for task in tasks:
        if isinstance(task, dict) and isinstance(task.get("id"), int):
            state, reason = _state(task)
            if len(tasks) == 1:
                yield JobStatus(jobid, state, name, reason)
            else:
                yield JobStatus(f"{jobid}_{task['id']}", state, f"{name}:{task['id']}", reason)


def _by_counts(jobid: str, name: str, counts: object) -> JobStatus:
    """Say how a job is doing of which only is told how many tasks are in which state."""
    known = counts if isinstance(counts, dict) else {}
    states = [_STATES.get(state, UNKNOWN) for state, number in known.items() if number]
    return combine(jobid, [JobStatus(jobid, state, f"{name}:") for state in states])


def _state(task: Mapping[str, Any]) -> tuple[str, str]:
    state = _STATES.get(str(task.get("state")), UNKNOWN)
    if state != FAILED:
        return state, ""
    error = str(task.get("error") or "")
    match = _EXIT_CODE.search(error)
    if match and int(match[1]) == _TIMED_OUT:
        return state, TIMEOUT
    return state, f"exit code {match[1]}" if match else error
