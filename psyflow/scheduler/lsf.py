"""LSF: `bsub`, `bjobs`, `bkill`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

from psyflow.exceptions import UsageError
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
from psyflow.scheduler.batch import BatchScheduler, SubmitRequest
from psyflow.scheduler.extras import (
    AFTER_END,
    EXTRAS,
    check_switch,
    check_values,
    extra_args,
    joined,
)
from psyflow.scheduler.facts import Partition
from psyflow.scheduler.limits import AT_ONCE, JOBS, MEMBERS, SECONDS, Limit
from psyflow.scheduler.memory import check_memory, read_memory, sized
from psyflow.scheduler.names import from_name, to_name
from psyflow.scheduler.remedies import Remedy
from psyflow.scheduler.request import flags, logged_command
from psyflow.scheduler.timelimit import minutes_clock

__all__ = ["LSF"]

_REQUIREMENTS = "requirements"
_FIELDS = "jobid jobindex stat exit_code exit_reason job_name"
_REASON_FIELDS = "jobid jobindex pend_reason"
_BY_ADMIN = "suspended by LSF admin"
# In LSF's words, for which a job waits until somebody does something: why, and what to type.
_WAITS = {
    "dependency condition invalid or never satisfied": (
        "waits for a job that did not end as it has to",
        "",
    ),
    "queue is inactivated by the administrator": ("is in a queue that is inactive", "bqueues"),
    "no permission to run the job": ("may not run on the hosts that it asks for", ""),
    "unable to determine user account": ("has no account on the hosts of its queue", ""),
    "can't run jobs submitted by root": ("is root's, whose jobs do not run here", ""),
    "bad host name": ("asks for a host that there is not", ""),
}
_STATES = {
    "PEND": QUEUED,
    "WAIT": QUEUED,
    "PSUSP": HELD,
    "RUN": RUNNING,
    "PROV": RUNNING,
    "USUSP": RUNNING,
    "SSUSP": RUNNING,
    "DONE": DONE,
    "EXIT": FAILED,
}
_OPTIONS = {
    "n_cpus": "-n",
    "project": "-P",
    "queue": "-q",
    "user_group": "-G",
}
_COUNTS = ("max_running", "n_cpus")
_CONDITIONS = {AFTER_END: "ended", "afterok": "done", "afternotok": "exit", "after": "started"}
_SWITCHES = {"exclusive": "-x", "hold": "-H"}
_REASONS = {"TERM_RUNLIMIT": TIMEOUT, "TERM_DEADLINE": TIMEOUT, "TERM_MEMLIMIT": OOM}
_KILLED = ("TERM_OWNER", "TERM_ADMIN", "TERM_FORCE_OWNER", "TERM_FORCE_ADMIN")
_PARAMETERS, _QUEUES = ("bparams", "-a"), ("bqueues", "-l")
_ARRAY_SIZE = "MAX_JOB_ARRAY_SIZE"
_DEFAULT_QUEUE = r"^\s*DEFAULT_QUEUE\s*=\s*(.+)$"
_HOURS_OR_MINUTES = re.compile(r"\s*\d+:\d+\s*")


class LSF(BatchScheduler):
    """Submits to IBM Spectrum LSF.

    The scheduler arguments are ``timelimit`` (``-W``), ``memory``
    (``-M``), ``n_cpus`` (``-n``), ``n_gpus`` (``-gpu``), ``max_running`` (the ``%N`` of an array),
    ``queue``, ``project``, ``user_group``, ``requirements`` (``-R``, or several in a list),
    ``dependency``, ``extra_args``, and ``exclusive`` and
    ``hold``, which are switched by True.

    Parameters
    ----------
    workdir : str or path, optional
        LSF needs no files of its own; this is here so that it can replace `Sqsub`.

    Examples
    --------
    >>> request = LSF().request(["echo", "a b"], "/tmp/log", "t:process", ["7"],
    ...                         {"timelimit": "1h", "max_running": 5}, array_size=10)
    >>> print(*LSF().submit_command(request))
    bsub -J t=process[1-10]%5 -o /dev/null -w ended(7) -W 1:00
    """

    UNVERIFIED: ClassVar[str] = (
        "tried with programs that answer as LSF's do, never with a real LSF"
    )
    USER_DEFAULT_ARGS: ClassVar[Mapping[str, object]] = {"timelimit": "1:00:00", "n_cpus": 1}
    ARGS = frozenset(
        {
            *(*_OPTIONS, *_SWITCHES, *EXTRAS, _REQUIREMENTS),
            *("max_running", "memory", "n_gpus", "timelimit"),
        }
    )
    OWN_WORDS = ("-I", "-J", "-K", "-e", "-eo", "-o", "-oo", "-w")
    DEPENDENCIES = tuple(_CONDITIONS)
    TIME_LIMIT = "timelimit"
    HAS_ARRAYS = True
    tells_names = True
    PROGRAMS = ("bsub", "bjobs", "bqueues")
    VERSION_COMMAND = ("lsid",)
    QUEUES_COMMAND = ("bqueues",)
    HINT = (
        "Is this a login node of an LSF cluster? If so, source its profile.lsf; if not, set "
        "scheduler = ImmediateRun() in the task file to run on this machine."
    )

    def seconds_of(self, time_limit: object) -> float:
        """Read a time limit as every scheduler does, and refuse what LSF would read otherwise."""
        if _HOURS_OR_MINUTES.fullmatch(str(time_limit)):
            raise ValueError(
                'without doubt as "1:00:00" or "1h": bsub takes two numbers for hours and '
                "minutes, other schedulers take them for minutes and seconds"
            )
        return super().seconds_of(time_limit)

    def check_value(self, option: str, value: object) -> None:
        """Raise `UsageError` if `value` is nothing for `option`."""
        if option in _SWITCHES:
            check_switch("LSF", option, value)
        elif option == "memory":
            check_memory("LSF", option, value)
        elif option not in (*_SWITCHES, self.TIME_LIMIT):
            check_values("LSF", option, value, _COUNTS, ("queue", _REQUIREMENTS))

    def parse_queues(self, stdout: str) -> tuple[Partition, ...]:
        """Read the table of ``bqueues``."""
        return super().parse_queues(stdout.partition("\n")[2])

    def submit_command(self, request: SubmitRequest) -> list[str]:
        """Return the ``bsub`` command; it reads the script from stdin."""
        options = request.options
        limit = self.seconds_of(options.get("timelimit", 0))
        after = " && ".join(
            f"{_CONDITIONS[how]}({jobid})"
            for how, jobids in self.awaited(request)
            for jobid in jobids
        )
        return [
            # The script writes the log itself: LSF would read things into its path.
            *("bsub", "-J", _name(request), "-o", "/dev/null"),
            *(["-w", after] if after else []),
            *_memory(options),
            *flags(_OPTIONS, options),
            *(word for text in _requirements(options) for word in ("-R", text)),
            *([] if math.isinf(limit) else ["-W", minutes_clock(limit)]),
            # The workers of a job share a host, and so have to its processors.
            *(["-R", "span[hosts=1]"] if _needs_one_host(options) else []),
            *(["-gpu", f"num={options['n_gpus']}"] if "n_gpus" in options else []),
            *(_SWITCHES[name] for name in _SWITCHES if options.get(name)),
            *extra_args(options),
        ]

    def submit_script(self, request: SubmitRequest) -> str:
        """Return the script of the job, in which the shell sees nothing of the arguments.

        Raises
        ------
        UsageError
            If LSF would take a line of an argument for an option of its own.
        """
        if any(re.search(r"^\s*#BSUB", arg, re.MULTILINE) for arg in request.args):
            raise UsageError("LSF takes a line that begins with #BSUB for its own. Rename it.")
        index = '"$((LSB_JOBINDEX - 1))"' if request.array_size is not None else None
        return logged_command(request, index)

    def parse_job_id(self, stdout: str) -> JobId:
        """Read ``Job <123> is submitted to queue <normal>.``."""
        match = re.search(r"^Job <(\d+)> is submitted", stdout, re.MULTILINE)
        return match[1] if match else ""

    def status_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the ``bjobs`` command for all of `jobids`, over or not, members one by one."""
        return _ask(_FIELDS, dict.fromkeys(array_of(jobid) for jobid in jobids), "-a")

    def list_command(self) -> list[str]:
        """Return the ``bjobs`` command for all jobs of the user that are not over."""
        return _ask(_FIELDS)

    def parse_status(self, stdout: str) -> dict[JobId, JobStatus]:
        """Read the answer of ``bjobs``."""
        rows = (line.strip().split("|", 5) for line in stdout.splitlines())
        return {status.id: status for row in rows for status in _statuses(row)}

    def look_up(self, jobids: Sequence[JobId]) -> dict[JobId, JobStatus]:
        """Ask about `jobids`, and why those wait that do, which not every LSF tells."""
        found = super().look_up(jobids)
        waiting = [i for i, status in found.items() if status.status in (QUEUED, HELD)]
        if not waiting:
            return found
        arrays = dict.fromkeys(map(array_of, waiting))
        told = self.try_query(_ask(_REASON_FIELDS, arrays)) or ""
        reasons = _pending_reasons(told)
        return found | {
            i: JobStatus(i, found[i].status, found[i].name, reasons[i])
            for i in waiting
            if i in reasons
        }

    def kill_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the ``bkill`` command for all of `jobids`."""
        return ["bkill", *map(_in_words_of_lsf, jobids)]

    def means_no_job(self, returncode: int, stderr: str) -> bool:
        """Say whether bjobs only wants to say that it does not know some of the jobs."""
        return "is not found" in stderr or "No matching job found" in stderr

    def remedy(self, status: JobStatus) -> Remedy | None:
        """Return what somebody has to do so that a job goes on; None if nothing."""
        if status.status == HELD:
            by_admin = "an administrator, whom to ask, if it cannot be resumed"
            whose = by_admin if _BY_ADMIN in status.reason else "somebody"
            return Remedy(f"is suspended by {whose}", f'bresume "{_in_words_of_lsf(status.id)}"')
        told = status.reason.lower() if status.status == QUEUED else ""
        return next((Remedy(*what) for words, what in _WAITS.items() if words in told), None)

    def limits_of(
        self, scheduler_args: Mapping[str, object] | None = None, name: str = "psyflow"
    ) -> list[Limit]:
        """Return what ``bparams``, ``busers`` and ``bqueues`` say."""
        return self._limits(scheduler_args, name, self.ask_once)

    def limits_now(
        self, scheduler_args: Mapping[str, object] | None = None, name: str = "psyflow"
    ) -> list[Limit]:
        """Ask also how many of the user's jobs are pending at this moment."""
        return self._limits(scheduler_args, name, self.ask_now)

    def _limits(
        self,
        scheduler_args: Mapping[str, object] | None,
        name: str,
        count: Callable[[Sequence[str]], str],
    ) -> list[Limit]:
        options = resolve(self._canonical_args(scheduler_args), name)
        size = self.max_array_size()
        found = [] if size is None else [Limit(_ARRAY_SIZE, size, MEMBERS)]
        for row in _rows(self.ask_once(["busers"])):
            if row.get("MAX", "-").isdecimal():
                found.append(Limit("MAX", int(row["MAX"]), AT_ONCE, "slots of the user"))
        # Beyond this, bsub submits nothing, but tries again and again.
        for row in _rows(count(["busers", "-w"])):
            if row.get("MPJOBS", "-").isdecimal():
                taken = int(row["PJOBS"]) if row.get("PJOBS", "").isdecimal() else 0
                found.append(Limit("MPJOBS", int(row["MPJOBS"]), JOBS, "pending", taken=taken))
        return found + _run_limits(self.ask_once(_QUEUES), self._queues_of(options))

    def _queues_of(self, options: Mapping[str, object]) -> list[str]:
        if "queue" in options:
            return joined(options["queue"]).replace(",", " ").split()
        match = re.search(_DEFAULT_QUEUE, self.ask_once(_PARAMETERS), re.MULTILINE)
        return match[1].split() if match else []

    def cluster_name(self) -> str | None:
        """Return the cluster's name, as ``lsid`` tells it."""
        match = re.search(r"^My cluster name is (\S+)", self.ask_once(["lsid"]), re.MULTILINE)
        return match[1] if match else None

    def max_array_size(self) -> int | None:
        """Return how many members an array may have on this cluster, if it says so."""
        return self.number_in(_PARAMETERS, rf"^\s*{_ARRAY_SIZE}\s*=\s*(\d+)")


def _ask(fields: str, jobids: Iterable[JobId] = (), *options: str) -> list[str]:
    return ["bjobs", *options, "-noheader", "-o", f"{fields} delimiter='|'", *jobids]


def _rows(stdout: str) -> list[dict[str, str]]:
    """Read a table of words, whose first line names the columns."""
    head, *rows = [line.split() for line in stdout.splitlines()] or [[]]
    return [dict(zip(head, row, strict=False)) for row in rows]


def _run_limits(stdout: str, queues: Sequence[str]) -> list[Limit]:
    """Read in ``bqueues -l`` the longest time that a job may have in one of some queues."""
    blocks = dict(re.findall(r"^QUEUE: (\S+)$(.*?)(?=^QUEUE: |\Z)", stdout, re.M | re.S))
    limits = []
    for queue in queues:
        # What comes before is for jobs that ask for nothing.
        text = blocks.get(queue, "").rpartition("MAXIMUM LIMITS:")[2]
        match = re.search(r"^\s*RUNLIMIT\s*\n\s*([\d.]+) min", text, re.MULTILINE)
        if "DEFAULT LIMITS:" in text or not match:
            return []
        limits.append(Limit("RUNLIMIT", 60 * float(match[1]), SECONDS, f"queue {queue}"))
    return sorted(limits, key=lambda limit: limit.amount)[-1:]


def _name(request: SubmitRequest) -> str:
    name, limit = to_name(request.name), request.options.get("max_running")
    if request.array_size is None:
        return name
    return f"{name}[1-{request.array_size}]" + (f"%{limit}" if limit else "")


def _memory(options: Mapping[str, object]) -> list[str]:
    return ["-M", sized(read_memory(options["memory"]), after="B")] if "memory" in options else []


def _requirements(options: Mapping[str, object]) -> list[str]:
    given = options.get(_REQUIREMENTS, ())
    return list(map(str, given)) if isinstance(given, list | tuple) else [str(given)]


def _needs_one_host(options: Mapping[str, object]) -> bool:
    return "n_cpus" in options and "span[" not in str(options.get(_REQUIREMENTS, ""))


def _in_words_of_lsf(jobid: JobId) -> str:
    job, _, index = jobid.partition("_")
    return f"{job}[{int(index) + 1}]" if index else job


def _statuses(row: Sequence[str]) -> list[JobStatus]:
    if len(row) != 6 or not row[0].isdecimal():
        return []
    job, counted, stat, code, reason, name = row
    name = from_name(re.sub(r"\[[\d,:-]*\](%\d+)?$", "", name))
    state, why = _state(stat, code, reason)
    jobid, index = _member(job, counted)
    return [JobStatus(jobid, state, f"{name}{index}", why)]


def _member(job: str, counted: str) -> tuple[JobId, str]:
    """Return the id and the end of the name of a member; of what is none, its own.

    LSF's indices begin with 1; 0 or "-" is no array.
    """
    if not counted.isdecimal() or counted == "0":
        return job, ""
    index = int(counted) - 1
    return f"{job}_{index}", f":{index}"


def _pending_reasons(stdout: str) -> dict[JobId, str]:
    """Read why jobs wait, by their ids; LSF writes "-" where there is no reason."""
    rows = (line.strip().split("|", 2) for line in stdout.splitlines())
    return {
        _member(row[0], row[1])[0]: row[2].strip().rstrip(";")
        for row in rows
        if len(row) == 3 and row[0].isdecimal() and row[2].strip() not in ("", "-")
    }


def _state(stat: str, code: str, reason: str) -> tuple[str, str]:
    state = _STATES.get(stat, UNKNOWN)
    if state != FAILED:
        return state, ""
    word = reason.partition(":")[0].strip()
    if word in _KILLED:
        return CANCELLED, ""
    return state, _REASONS.get(word, reason if word.startswith("TERM") else f"exit code {code}")
