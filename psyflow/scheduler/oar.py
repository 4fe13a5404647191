"""OAR: `oarsub`, `oarstat`, `oardel`."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from psyflow.exceptions import SchedulerError, UsageError
from psyflow.scheduler.base import (
    CANCELLED,
    DONE,
    FAILED,
    HELD,
    PREEMPTED,
    QUEUED,
    RUNNING,
    TIMEOUT,
    UNKNOWN,
    JobId,
    JobStatus,
    array_of,
)
from psyflow.scheduler.batch import BatchScheduler, SubmitRequest, no_answer, with_only_members
from psyflow.scheduler.extras import DEPENDENCY, EXTRAS, check_switch, check_values, extra_args
from psyflow.scheduler.facts import Partition
from psyflow.scheduler.names import shortened
from psyflow.scheduler.remedies import Remedy
from psyflow.scheduler.request import flags, quoted
from psyflow.scheduler.timelimit import clock

__all__ = ["OAR"]

_STATES = {
    **dict.fromkeys(("Waiting", "toAckReservation", "toLaunch"), QUEUED),
    "Hold": HELD,
    **dict.fromkeys(
        ("Launching", "Running", "Suspended", "Resuming", "Finishing", "toError"), RUNNING
    ),
}
# What OAR notes about a job that it ended, the first that holds: any end is a request to end it.
_REASONS = {"WALLTIME": TIMEOUT, "BESTEFFORT_KILL": PREEMPTED}
_ENDED_BY_SOMEBODY = "FRAG_JOB_REQUEST"
_BY_SOMEBODY = "held by somebody"
_NO_SLOT = "no_matching_slot"
"""Said of a job that fits nowhere, however long it waits: not of one that waits for others."""
_SUSPENDED = "suspended"
_COUNTS = ("n_cpus", "n_gpus", "n_nodes")
_OPTIONS = {"project": "--project", "properties": "-p", "queue": "-q"}
_LEAST = ["-l", "/resource_id=1"]
"""What OAR gives to those who ask for nothing."""
_LONGEST_NAME = 100
_UNSAFE = re.compile(r"[\\'\0]")
"""OAR writes the name of a job into a program of its own between these."""
_INDEX = '"$((OAR_ARRAY_INDEX - 1))"'
_ALIVE = (
    "state NOT IN ('Terminated', 'Error') AND job_id NOT IN (SELECT frag_id_job FROM frag_jobs)"
)
"""oardel fails for a job that it was told before to end."""


class OAR(BatchScheduler):
    """Submits to OAR.

    The scheduler arguments are ``timelimit``, ``n_cpus`` (cores), ``n_gpus`` (which bring their
    cores along) and ``n_nodes``, or ``resources`` in OAR's words instead of these three
    (``-l``), ``queue``, ``properties``, ``types`` (one or a list), ``project``, ``dependency``,
    ``extra_args``, and ``hold``, which is switched by True.

    Parameters
    ----------
    workdir : str or path, optional
        OAR needs no files of its own; this is here so that it can replace `Sqsub`.

    Examples
    --------
    >>> request = OAR().request(["echo", "a b"], "/tmp/log", "t:process", ["7", "8"],
    ...                         {"timelimit": "1:00:00", "n_cpus": 2}, array_size=10)
    >>> *command, script = OAR().submit_command(request)
    >>> print(*command)
    oarsub -n t:process -O /dev/null -E /dev/null --array 10 -a 7 -a 8 -l /nodes=1/core=2,walltime=1:00:00
    >>> print(script)
    /bin/sh -c 'exec >>/tmp/log 2>&1; exec echo '"'"'a b'"'"''
    """  # noqa: E501

    USER_DEFAULT_ARGS: ClassVar[Mapping[str, object]] = {"timelimit": "01:00:00", "n_cpus": 1}
    ARGS = frozenset({*_COUNTS, *_OPTIONS, *EXTRAS, "hold", "resources", "timelimit", "types"})
    OWN_WORDS = (
        *("-n", "-n*", "--name", "-O", "-O*", "--stdout", "-E", "-E*", "--stderr", "--array"),
        *("--array-param-file", "-I", "--interactive", "-C", "-C*", "--connect", "-r", "-r*"),
        *("--reservation", "-S", "--scanscript", "-D", "-X", "-Y", "-J", "--dumper", "--xml"),
        *("--yaml", "--json", "--resubmit", "-l", "-l*", "--resource"),
    )
    TIME_LIMIT = "timelimit"
    HAS_ARRAYS = True
    tells_names = True
    PROGRAMS = ("oarsub", "oarstat", "oardel")
    VERSION_COMMAND = ("oarstat", "--version")
    QUEUES_COMMAND = ("oarstat", "-J", "-u")
    HINT = (
        "Is this a frontend of an OAR cluster? If not, set scheduler = ImmediateRun() in the task "
        "file to run on this machine."
    )

    def check_value(self, option: str, value: object) -> None:
        """Raise `UsageError` if `value` is nothing for `option`."""
        if option == "hold":
            check_switch("OAR", option, value)
        elif option != self.TIME_LIMIT:
            check_values("OAR", option, value, _COUNTS, ("types",))

    def seconds_of(self, time_limit: object) -> float:
        """Read a time limit as every scheduler does; OAR's jobs all have one."""
        seconds = super().seconds_of(time_limit)
        if math.isinf(seconds):
            raise ValueError("a time that ends, as OAR gives every job one")
        return seconds

    def submit_command(self, request: SubmitRequest) -> list[str]:
        """Return the ``oarsub`` command, whose last word is the script of the job."""
        options = request.options
        after = [jobid for after in self.awaited(request) for jobid in after.jobids]
        kinds = options.get("types", ())
        resources = self._resources(options)
        # OAR 2.5.9 forgets the one job that an array waits for, unless its members have several
        # `-l` to choose from: two equal ones will do.
        is_forgotten = len(after) == 1 and not _is_single(request)
        return [
            *("oarsub", "-n", shortened(_UNSAFE.sub("_", request.name), _LONGEST_NAME)),
            # The script writes the log itself: OAR would read things into its path.
            *("-O", "/dev/null", "-E", "/dev/null"),
            *([] if _is_single(request) else ["--array", str(request.array_size)]),
            *(word for jobid in after for word in ("-a", jobid)),
            *((resources or _LEAST) * 2 if is_forgotten else resources),
            *flags(_OPTIONS, options),
            *(
                w
                for kind in (kinds if isinstance(kinds, list | tuple) else [kinds])
                for w in ("-t", str(kind))
            ),
            *(["--hold"] if options.get("hold") else []),
            *extra_args(options),
            shlex.join(["/bin/sh", "-c", _script(request)]),
        ]

    def _resources(self, options: Mapping[str, object]) -> list[str]:
        given = [name for name in _COUNTS if name in options]
        if "resources" in options and given:
            raise UsageError(
                f'OAR argument "resources" says everything that "{given[0]}" says. '
                f"Take out one of them."
            )
        if {"n_cpus", "n_gpus"} <= set(given):
            raise UsageError(
                'OAR gives a job the cores that belong to its GPUs. Take out "n_cpus", or say '
                'what you want in "resources", such as "/nodes=1/gpu=1/core=2".'
            )
        parts = [str(options["resources"])] if "resources" in options else []
        if given:
            levels = {"n_gpus": "gpu", "n_cpus": "core"}
            inner = [f"/{word}={options[name]}" for name, word in levels.items() if name in given]
            parts = [f"/nodes={options.get('n_nodes', 1)}{''.join(inner)}"]
        if self.TIME_LIMIT in options:
            parts.append(f"walltime={clock(self.seconds_of(options[self.TIME_LIMIT]))}")
        return ["-l", ",".join(parts)] if parts else []

    def submit_request(self, request: SubmitRequest) -> JobId:
        """Hand `request` to OAR, which can wait for single jobs only, and not for an array."""
        awaited = [jobid for after in self.awaited(request) for jobid in after.jobids]
        if awaited:
            options = {name: v for name, v in request.options.items() if name != DEPENDENCY}
            request = dataclasses.replace(
                request,
                depends_on=tuple(self._members(awaited)),
                options=MappingProxyType(options),
            )
        return super().submit_request(request)

    def _members(self, jobids: Iterable[JobId]) -> list[str]:
        """Return what OAR calls the members of arrays, and jobs."""
        arrays = list(dict.fromkeys(map(array_of, jobids)))
        # Users may name a member by the id that it has for itself.
        where = f"{_among(arrays)} OR {_among(arrays, 'job_id')}"
        told = _jobs(self.query(_ask("oarstat", "-J", where=where)))
        found = {*told, *(str(job["array_id"]) for job in told.values())}
        # OAR would take a job that waits for one that it does not know, and never start it.
        if unknown := [jobid for jobid in arrays if jobid not in found]:
            raise SchedulerError(
                f"OAR knows no job {', '.join(unknown)} to wait for. "
                f"Look for its id with: oarstat -u"
            )
        return list(told)

    def parse_job_id(self, stdout: str) -> JobId:
        """Read ``OAR_JOB_ID=12`` or, for an array, ``OAR_ARRAY_ID=12``."""
        told = re.findall(r"^OAR_(ARRAY|JOB)_ID=(\d+)\s*$", stdout, re.MULTILINE)
        found: dict[str, str] = dict(told)
        return found.get("ARRAY") or found.get("JOB", "")

    def status_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the ``oarstat`` command for all of `jobids`, over or not, members one by one."""
        arrays = dict.fromkeys(map(array_of, jobids))
        return _ask("oarstat", "-J", "-f", where=_among(arrays))

    def list_command(self) -> list[str]:
        """Return the ``oarstat`` command for all jobs of the user that are not over."""
        return ["oarstat", "-J", "-u"]

    def parse_status(self, stdout: str) -> dict[JobId, JobStatus]:
        """Read the answer of ``oarstat``; a plain job is to OAR an array of one."""
        jobs = _jobs(stdout)
        sizes: dict[str, int] = {}
        for job in jobs.values():
            array = str(job["array_id"])
            sizes[array] = sizes.get(array, 0) + 1
        statuses = (_status(number, job, sizes) for number, job in jobs.items())
        return {status.id: status for status in statuses}

    def look_up(self, jobids: Sequence[JobId]) -> dict[JobId, JobStatus]:
        """Ask about `jobids`; an array of one is a plain job, which is its own member, too."""
        return with_only_members(super().look_up(jobids), jobids) if jobids else {}

    def kill_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the ``oardel`` command for all of `jobids`, which OAR knows by other ids."""
        whole = [jobid for jobid in jobids if array_of(jobid) == jobid]
        terms = [_among(dict.fromkeys(whole))] if whole else []
        for jobid in jobids:
            array, _, index = jobid.partition("_")
            if index:
                terms.append(f"(array_id = {int(array)} AND array_index = {int(index) + 1})")
        return _ask("oardel", where=f"({' OR '.join(terms)}) AND {_ALIVE}")

    def parse_queues(self, stdout: str) -> tuple[Partition, ...]:
        """Users are not told the queues; the command says whether OAR answers."""
        return ()

    def remedy(self, status: JobStatus) -> Remedy | None:
        """Return what somebody has to do so that a job goes on; None if nothing."""
        is_held = status.status == HELD and status.reason == _BY_SOMEBODY
        if is_held or (status.status == RUNNING and status.reason == _SUSPENDED):
            why = f"is {status.reason}"
            return Remedy(why, f"oarresume --array {array_of(status.id)}")
        if status.status == QUEUED and _NO_SLOT in status.reason:
            why = "asks for what no node that is up will ever have"
            return Remedy(why, "oarnodes -s")
        return None


def _is_single(request: SubmitRequest) -> bool:
    return request.array_size in (None, 1)


def _script(request: SubmitRequest) -> str:
    """Return the script in one line, if the arguments are: csh, too, has to take it as a word."""
    index = {None: None, 1: "0"}.get(request.array_size, _INDEX)
    log = quoted(request.output_filename, index)
    return f"exec >>{log} 2>&1; exec {' '.join(quoted(arg, index) for arg in request.args)}"


def _ask(*command: str, where: str) -> list[str]:
    return [*command, "--sql", where]


def _among(arrays: Iterable[JobId], column: str = "array_id") -> str:
    # An id that is none of OAR's must not become a part of its SQL.
    return f"{column} IN ({', '.join(str(int(jobid)) for jobid in arrays)})"


def _jobs(stdout: str) -> dict[str, dict[str, Any]]:
    """Return what OAR knows of jobs, by its own ids; it says nothing at all if it knows none."""
    if not stdout.strip():
        return {}
    try:
        told = json.loads(stdout, strict=False)
    except ValueError as error:
        raise no_answer("oarstat", error) from None
    jobs = told.items() if isinstance(told, dict) else ()
    return {
        number: job
        for number, job in jobs
        if isinstance(job, dict) and number.isdecimal() and _is_numbered(job)
    }


def _is_numbered(job: Mapping[str, Any]) -> bool:
    return all(str(job.get(name)).isdecimal() for name in ("array_id", "array_index"))


def _status(number: str, job: Mapping[str, Any], sizes: Mapping[str, int]) -> JobStatus:
    array, counted = str(job["array_id"]), str(job["array_index"])
    name = str(job.get("name") or "")
    state, reason = _state(job)
    # The first member of an array has its id.
    if array == number and sizes.get(array, 1) == 1:
        return JobStatus(number, state, name, reason)
    index = int(counted) - 1
    return JobStatus(f"{array}_{index}", state, f"{name}:{index}", reason)


def _state(job: Mapping[str, Any]) -> tuple[str, str]:
    told = str(job.get("state"))
    if told == "Terminated":
        return _of_exit_code(job.get("exit_code"))
    if told == "Error":
        return _of_error(job)
    state = _STATES.get(told, UNKNOWN)
    if told == "Suspended":
        return state, _SUSPENDED
    if state == HELD:
        return state, _BY_SOMEBODY
    return state, str(job.get("message") or "") if state == QUEUED else ""


def _of_exit_code(code: object) -> tuple[str, str]:
    """Say how a job ended of which is told what the kernel told OAR; nothing if none ran."""
    if not isinstance(code, int) or code == 0:
        return DONE, ""
    signal = code & 127
    return FAILED, f"signal {signal}" if signal else f"exit code {code >> 8}"


def _of_error(job: Mapping[str, Any]) -> tuple[str, str]:
    events = job.get("events")
    kinds = (
        [e.get("type") for e in events if isinstance(e, dict)] if isinstance(events, list) else []
    )
    for kind, reason in _REASONS.items():
        if kind in kinds:
            return FAILED, reason
    if _ENDED_BY_SOMEBODY in kinds:
        return CANCELLED, ""
    return FAILED, str(job.get("message") or "")
