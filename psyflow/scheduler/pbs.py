"""PBS (OpenPBS and PBS Professional): `qsub`, `qstat`, `qdel`."""

from __future__ import annotations

import dataclasses
import getpass
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from psyflow.exceptions import SchedulerError
from psyflow.scheduler.arguments import resolve
from psyflow.scheduler.base import (
    CANCELLED,
    DONE,
    FAILED,
    HELD,
    OOM,
    QUEUED,
    RUNNING,
    TIMEOUT,
    UNKNOWN,
    JobId,
    JobStatus,
    array_of,
)
from psyflow.scheduler.batch import BatchScheduler, SubmitRequest, no_answer, with_only_members
from psyflow.scheduler.extras import (
    AFTER_END,
    EXTRAS,
    check_switch,
    check_values,
    extra_args,
    named_amounts,
)
from psyflow.scheduler.facts import Partition
from psyflow.scheduler.limits import JOBS, Limit
from psyflow.scheduler.memory import check_memory, read_memory, sized
from psyflow.scheduler.names import from_name, to_name
from psyflow.scheduler.pbs_limits import EVERYBODY, NAME, attributes_of, limits_at, seconds_in
from psyflow.scheduler.remedies import Remedy
from psyflow.scheduler.request import flags, logged_command
from psyflow.scheduler.timelimit import clock, read_time_limit

__all__ = ["PBS"]

_STATES = {
    **dict.fromkeys("QTW", QUEUED),
    "H": HELD,
    **dict.fromkeys("REBSU", RUNNING),
}
_OVER = ("F", "X")
_CHUNK = {"n_cpus": "ncpus", "memory": "mem", "n_gpus": "ngpus"}
_COUNTS = ("max_running", "n_cpus", "n_gpus", "n_nodes")
_OPTIONS = {
    "account": "-A",
    "mail": "-M",
    "mail_events": "-m",
    "priority": "-p",
    "project": "-P",
    "queue": "-q",
}
# Exit codes with which PBS itself ends a job (OpenPBS, src/include/job.h).
_REASONS = {-26: OOM, -27: OOM, -29: TIMEOUT}
_KILLED_BY_QDEL = {256 + 15, 256 + 9}
_DELETED = 91
"""Substate of a job that was deleted, before or while it ran."""
_ID = re.compile(r"(\d+)(?:\[(\d*)\])?(\..*)?")
_BY_SOMEBODY, _BY_THE_SYSTEM = "held by somebody", "held by the system or an administrator"
_UNDERSCORE = "~"
"""Stands for ``_`` in a server's name: in the id of a member, that comes before the index."""
_UNKNOWN_JOB = 153
_SERVER, _QUEUES = ("qstat", "-B", "-f"), ("qstat", "-Q", "-f")


class PBS(BatchScheduler):
    """Submits to OpenPBS or PBS Professional.

    The scheduler arguments are ``timelimit`` (``-l walltime``), ``memory``, ``n_cpus``, ``n_gpus``
    and ``n_nodes`` (``-l select``), ``max_running`` (the ``%N`` of ``-J``), ``queue``,
    ``project``, ``account``, ``priority``, ``mail``, ``mail_events``, ``resources`` (a dict of
    further ``-l``), ``dependency``, ``extra_args``, and ``hold``, which is switched by True.

    Parameters
    ----------
    workdir : str or path, optional
        PBS needs no files of its own; this is here so that it can replace `Sqsub`.

    Examples
    --------
    >>> request = PBS().request(["echo", "a b"], "/tmp/log", "t:process", ["7"],
    ...                         {"timelimit": "1:00:00", "n_cpus": 2}, array_size=10)
    >>> print(*PBS().submit_command(request)[1:])
    -N t=process -j oe -o /dev/null -V -S /bin/sh -W depend=afterany:7 -J 0-9 -l select=1:ncpus=2 \
-l walltime=1:00:00
    """

    UNVERIFIED: ClassVar[str] = (
        "tried with programs that answer as PBS's do, never with a real PBS"
    )
    USER_DEFAULT_ARGS: ClassVar[Mapping[str, object]] = {
        "timelimit": "01:00:00",
        "memory": "1gb",
        "n_cpus": 1,
    }
    ARGS = frozenset(
        {*_CHUNK, *_OPTIONS, *EXTRAS, "hold", "max_running", "n_nodes", "resources", "timelimit"}
    )
    OWN_WORDS = ("-J", "-J*", "-N", "-N*", "-S", "-S*", "-e", "-e*", "-j", "-j*", "-o", "-o*")
    DEPENDENCIES = (AFTER_END, "afterok", "afternotok", "after")
    JOB_ID = r"\d+(\[\d*\])?(\.[\w.-]+)?"
    TIME_LIMIT = "timelimit"
    HAS_ARRAYS = True
    tells_names = True
    PROGRAMS = ("qsub", "qstat", "pbsnodes")
    VERSION_COMMAND = ("qstat", "--version")
    QUEUES_COMMAND = ("qstat", "-Q")
    HINT = (
        "Is this a login node of a PBS cluster? If not, set scheduler = ImmediateRun() in the "
        "task file to run on this machine."
    )

    def check_value(self, option: str, value: object) -> None:
        """Raise `UsageError` if `value` is nothing for `option`."""
        if option == "hold":
            check_switch("PBS", option, value)
        if option == "resources":
            named_amounts("PBS", value)
        elif option == "memory":
            check_memory("PBS", option, value)
        elif option not in ("hold", self.TIME_LIMIT):
            check_values("PBS", option, value, _COUNTS, ("mail",))

    def parse_queues(self, stdout: str) -> tuple[Partition, ...]:
        """Read the table of ``qstat -Q``, whose head ends with a rule."""
        return super().parse_queues(re.split(r"^-[- ]*\n", stdout, flags=re.MULTILINE)[-1])

    def submit_command(self, request: SubmitRequest) -> list[str]:
        """Return the ``qsub`` command; it reads the script from stdin."""
        after = ",".join(
            ":".join([how, *map(_in_words_of_pbs, jobids)])
            for how, jobids in self.awaited(request)
        )
        return [
            # The script writes the log itself: PBS would read things into its path.
            *("qsub", "-N", to_name(request.name), "-j", "oe", "-o", "/dev/null", "-V"),
            *("-S", "/bin/sh"),
            *(["-W", f"depend={after}"] if after else []),
            *_array(request),
            *_resources(request.options),
            *flags(_OPTIONS, request.options),
            *(["-h"] if request.options.get("hold") else []),
            *extra_args(request.options),
        ]

    def submit_script(self, request: SubmitRequest) -> str:
        """Return the script of the job, in which the shell sees nothing of the arguments."""
        index = {None: None, 1: "0"}.get(request.array_size, '"$PBS_ARRAY_INDEX"')
        # qsub looks for "#PBS" up to the first command, and starts jobs at home. The folder
        # of the submission may be gone; psyflow's jobs need none.
        return f'cd "$PBS_O_WORKDIR" 2>/dev/null || cd /\n{logged_command(request, index)}'

    def parse_job_id(self, stdout: str) -> JobId:
        """Read ``1234.server`` or, for an array, ``1234[].server``.

        The server belongs to the id: another one may have a job of the same number.
        """
        match = re.search(r"^(\d+(?:\[\])?(?:\.\S+)?)\s*\Z", stdout, re.MULTILINE)
        return match[1].replace("_", _UNDERSCORE) if match else ""

    def status_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the ``qstat`` command for all of `jobids`, over or not, members one by one."""
        wanted = dict.fromkeys(_in_words_of_pbs(array_of(jobid)) for jobid in jobids)
        return ["qstat", "-x", "-t", "-f", "-F", "json", *wanted]

    def list_command(self) -> list[str]:
        """Return the ``qstat`` command for all jobs that are not over; of everybody's, by -f."""
        return ["qstat", "-t", "-f", "-F", "json"]

    def parse_status(self, stdout: str) -> dict[JobId, JobStatus]:
        """Read the answer of ``qstat``."""
        if not stdout.strip():
            return {}
        try:
            told = json.loads(stdout, strict=False)
        except ValueError as error:
            raise no_answer("qstat", error) from None
        jobs = told.get("Jobs") if isinstance(told, dict) else None
        if not isinstance(jobs, dict):
            return {}
        statuses = (_status(name, job) for name, job in jobs.items() if isinstance(job, dict))
        return _with_held_members({s.id: s for s in statuses if s is not None})

    def look_up(self, jobids: Sequence[JobId]) -> dict[JobId, JobStatus]:
        """Ask about `jobids`; an array of one is a plain job, which is its own member, too."""
        return with_only_members(self._look_up(jobids), jobids)

    def _look_up(self, jobids: Sequence[JobId]) -> dict[JobId, JobStatus]:
        try:
            return super().look_up(jobids)
        except SchedulerError as error:
            if "job history" not in str(error):
                raise
        # A server that keeps no history refuses to be asked for it.
        command = [word for word in self.status_command(jobids) if word != "-x"]
        return self.parse_status(self.query(command))

    def kill_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the ``qdel`` command for all of `jobids`."""
        return ["qdel", *map(_in_words_of_pbs, jobids)]

    def means_no_job(self, returncode: int, stderr: str) -> bool:
        """Say whether qstat only wants to say that it does not know some of the jobs."""
        return returncode == _UNKNOWN_JOB or "Unknown Job Id" in stderr

    def remedy(self, status: JobStatus) -> Remedy | None:
        """Return what somebody has to do so that a job goes on; None if nothing."""
        if status.status != HELD:
            return None
        # Members are released with their array only.
        job = _in_words_of_pbs(array_of(status.id))
        if status.reason.startswith(_BY_SOMEBODY):
            return Remedy(f"is {status.reason}", f"qrls {job}")
        if status.reason.startswith(_BY_THE_SYSTEM):
            # Only managers may release it.
            why = f"is {status.reason}, whom to ask, if it cannot be released"
            return Remedy(why, f"qrls -h s {job}")
        return None

    def limits_of(
        self, scheduler_args: Mapping[str, object] | None = None, name: str = "psyflow"
    ) -> list[Limit]:
        """Return what the server and the job's queue say of jobs, arrays and time."""
        server, queue = self._places(scheduler_args, name)
        return [limit for place in (server, queue) for limit in limits_at(place)]

    def limits_now(
        self, scheduler_args: Mapping[str, object] | None = None, name: str = "psyflow"
    ) -> list[Limit]:
        """Return `limits_of`, with the user's jobs that qselect lists, and jobs of everybody."""
        found = []
        for place in self._places(scheduler_args, name, self.ask_now):
            for limit in limits_at(place):
                taken = self._taken(limit, place) if limit.of == JOBS else 0
                found.append(dataclasses.replace(limit, taken=taken))
        return found

    def _taken(self, limit: Limit, place: Mapping[str, str]) -> int:
        if limit.whose.endswith(EVERYBODY):
            total = place.get("total_jobs", "")
            return int(total) if total.isdecimal() else 0
        kind, _, where = place[NAME].partition(" ")
        command = ["qselect", "-T", "-u", getpass.getuser()]
        listed = self.ask_now([*command, "-q", where] if kind == "Queue" else command)
        # Members count, and so does an array none of which is listed.
        ids = [match for match in map(_ID.fullmatch, listed.split()) if match]
        members = {match[1] for match in ids if match[2]}
        return sum(1 for match in ids if match[2] or match[1] not in members)

    def default_time_limit(
        self, scheduler_args: Mapping[str, object] | None, name: str = "psyflow"
    ) -> float | None:
        """Return what a job gets that asks for no time, from its queue or from the server."""
        for place in reversed(self._places(scheduler_args, name)):
            if text := place.get("resources_default.walltime"):
                return seconds_in(text)
        return None

    def _places(
        self,
        scheduler_args: Mapping[str, object] | None,
        name: str,
        ask: Callable[[Sequence[str]], str] | None = None,
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Ask for the attributes of the server and of the queue to which a job goes."""
        ask = ask or self.ask_once
        options = resolve(self._canonical_args(scheduler_args), name)
        server = next(iter(attributes_of(ask(_SERVER))), {})
        wanted = str(options.get("queue", server.get("default_queue", ""))).partition("@")[0]
        queues = attributes_of(ask(_QUEUES))
        return server, next((q for q in queues if q[NAME] == f"Queue {wanted}"), {})

    def cluster_name(self) -> str | None:
        """Return the name of the server, which is also a part of its jobs' ids."""
        match = re.search(r"^Server:\s*(\S+)", self.ask_once(_SERVER), re.MULTILINE)
        return match[1] if match else None

    def max_array_size(self) -> int | None:
        """Return how many members an array may have on this cluster, if it says so."""
        return self.number_in(_SERVER, r"^\s*max_array_size\s*=\s*(\d+)")


def _array(request: SubmitRequest) -> list[str]:
    # PBS knows no array of one.
    if request.array_size is None or request.array_size == 1:
        return []
    limit = request.options.get("max_running")
    return ["-J", f"0-{request.array_size - 1}{f'%{limit}' if limit else ''}"]


def _resources(options: Mapping[str, object]) -> list[str]:
    given = dict(options)
    if "memory" in given:
        given["memory"] = sized(read_memory(given["memory"]), "kmgt", "b")
    chunk = [f"{word}={given[name]}" for name, word in _CHUNK.items() if name in given]
    words = []
    if chunk or "n_nodes" in options:
        words += ["-l", ":".join([f"select={options.get('n_nodes', 1)}", *chunk])]
    limit = read_time_limit(options.get("timelimit", 0))
    if not math.isinf(limit):
        words += ["-l", f"walltime={clock(limit)}"]
    further = named_amounts("PBS", options.get("resources", {}))
    return words + [w for name, value in further for w in ("-l", f"{name}={value}")]


def _in_words_of_pbs(jobid: JobId) -> str:
    job, _, index = jobid.partition("_")
    job = job.replace(_UNDERSCORE, "_")
    return job.replace("[]", f"[{index}]") if index else job


def _status(pbs_id: str, job: Mapping[str, Any]) -> JobStatus | None:
    match = _ID.fullmatch(pbs_id)
    if match is None:
        return None
    number, index, server = match.groups()
    array = "" if index is None else "[]"
    jobid = f"{number}{array}{(server or '').replace('_', _UNDERSCORE)}"
    jobid += f"_{index}" if index else ""
    name = from_name(str(job.get("Job_Name", "")))
    state, reason = _state(job)
    return JobStatus(jobid, state, f"{name}:{index}" if index else name, reason)


def _holder(job: Mapping[str, Any]) -> str:
    """Say who holds a job; '' if it waits for another one, for which PBS holds it, too."""
    kinds = set(str(job.get("Hold_Types", "")))
    if kinds & set("uop"):
        return _BY_SOMEBODY
    return _BY_THE_SYSTEM if "s" in kinds and not job.get("depend") else ""


def _with_held_members(found: Mapping[JobId, JobStatus]) -> dict[JobId, JobStatus]:
    """Return statuses in which members wait as their arrays do: PBS holds only whole arrays."""
    held = {jobid: status for jobid, status in found.items() if status.status == HELD}
    return {
        jobid: JobStatus(jobid, HELD, status.name, held[array_of(jobid)].reason)
        if status.status == QUEUED and array_of(jobid) in held
        else status
        for jobid, status in found.items()
    }


def _state(job: Mapping[str, Any]) -> tuple[str, str]:
    letter, code = job.get("job_state"), job.get("Exit_status")
    comment = str(job.get("comment", ""))
    if letter not in _OVER:
        state = _STATES.get(str(letter), UNKNOWN)
        whose = _holder(job) if state == HELD else ""
        if whose:
            return state, f"{whose} ({comment})" if comment else whose
        return state, comment if state in (QUEUED, HELD) else ""
    if job.get("substate") == _DELETED:
        return CANCELLED, ""
    if not isinstance(code, int):
        # It never ran: such is a job that waited for one that did not end as it had to.
        return CANCELLED, comment
    if code in _KILLED_BY_QDEL:
        return CANCELLED, ""
    return (FAILED, _REASONS.get(code, f"exit code {code}")) if code else (DONE, "")
