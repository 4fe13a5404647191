"""Grid Engine: `qsub`, `qstat`, `qacct`, `qdel`."""

from __future__ import annotations

import dataclasses
import fnmatch
import getpass
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from psyflow.scheduler.arguments import resolve
from psyflow.scheduler.base import HELD, QUEUED, JobId, JobStatus, array_of
from psyflow.scheduler.batch import BatchScheduler, SubmitRequest
from psyflow.scheduler.extras import EXTRAS, check_switch, check_values, extra_args, named_amounts
from psyflow.scheduler.gridengine.limits import (
    config_limits,
    of_job,
    parse_queues,
    queue_limits,
)
from psyflow.scheduler.gridengine.texts import (
    BY_OPERATOR,
    BY_SOMEBODY,
    CLOSED,
    IN_ERROR,
    SUSPENDED,
    WITH_QUEUE,
    closed_queues,
    count_jobs,
    parse_error,
    parse_qacct,
    parse_qstat,
    queues_asked_for,
)
from psyflow.scheduler.limits import JOBS, MEMBERS, Limit, least
from psyflow.scheduler.memory import check_memory, read_memory, sized
from psyflow.scheduler.names import to_name
from psyflow.scheduler.remedies import Remedy
from psyflow.scheduler.request import flags, logged_command
from psyflow.scheduler.timelimit import clock, read_time_limit

__all__ = ["GridEngine"]

_RESOURCES = {"timelimit": "h_rt", "memory": "h_vmem", "n_gpus": "gpu"}
_OPTIONS = {
    "account": "-A",
    "mail": "-M",
    "mail_events": "-m",
    "priority": "-p",
    "project": "-P",
    "queue": "-q",
}
_SWITCHES = {"hold": ["-h"], "notify": ["-notify"], "reserve": ["-R", "y"]}
_COUNTS = ("max_running", "n_cpus", "n_gpus")
_LISTS = ("mail", "queue")
_CONFIG, _QUEUES = ("qconf", "-sconf"), ("qconf", "-sq", "*")
_INDEX = '"$((SGE_TASK_ID - 1))"'


class GridEngine(BatchScheduler):
    """Submits to Grid Engine (SGE, Son of Grid Engine, Univa and Altair Grid Engine).

    The scheduler arguments are ``timelimit`` (``-l h_rt``), ``memory`` (``-l h_vmem``, per slot),
    ``n_cpus`` (slots of the ``parallel_environment``, which is ``smp`` if not given), ``n_gpus``
    (``-l gpu``), ``max_running`` (``-tc``), ``queue``, ``project``, ``account``, ``priority``,
    ``mail``, ``mail_events``, ``resources`` (a dict of further ``-l``), ``dependency``,
    ``extra_args``, and ``hold``, ``notify``,
    ``reserve``, which are switched by True.

    Parameters
    ----------
    workdir : str or path, optional
        Grid Engine needs no files of its own; this is here so that it can replace `Sqsub`.

    Examples
    --------
    >>> request = GridEngine().request(["echo", "a b"], "/tmp/log", "t:process", ["7"],
    ...                                {"timelimit": "1:00:00", "max_running": 5}, array_size=10)
    >>> print(*GridEngine().submit_command(request))
    qsub -terse -C  -wd /tmp -V -S /bin/sh -j y -o /dev/null -N t=process -hold_jid 7 -t 1-10 \
-l h_rt=1:00:00 -tc 5
    >>> print(GridEngine().submit_script(request))
    exec >>/tmp/log 2>&1
    exec echo 'a b'
    """

    USER_DEFAULT_ARGS: ClassVar[Mapping[str, object]] = {"timelimit": "01:00:00", "memory": "1G"}
    ARGS = frozenset(
        {
            *_RESOURCES,
            *_OPTIONS,
            *_SWITCHES,
            "max_running",
            "n_cpus",
            "parallel_environment",
            "resources",
            *EXTRAS,
        }
    )
    OWN_WORDS = ("-C", "-N", "-S", "-b", "-hold_jid", "-j", "-o", "-e", "-sync", "-t", "-terse")
    JOB_ID = r"[\w.*?-]+"
    TIME_LIMIT = "timelimit"
    HAS_ARRAYS = True
    counts_members = False
    tells_names = True
    PROGRAMS = ("qsub", "qstat", "qconf")
    VERSION_COMMAND = ("qstat", "-help")
    QUEUES_COMMAND = ("qconf", "-sql")
    HINT = (
        "Is this a submit host of a Grid Engine cluster? If so, source its settings.sh; if not, "
        "set scheduler = ImmediateRun() in the task file to run on this machine."
    )

    def check_value(self, option: str, value: object) -> None:
        """Raise `UsageError` if `value` is nothing for `option`."""
        if option in _SWITCHES:
            check_switch("GridEngine", option, value)
        if option == "resources":
            named_amounts("GridEngine", value)
        elif option == "memory":
            check_memory("GridEngine", option, value)
        elif option not in (*_SWITCHES, self.TIME_LIMIT):
            check_values("GridEngine", option, value, _COUNTS, _LISTS)

    def submit_command(self, request: SubmitRequest) -> list[str]:
        """Return the ``qsub`` command; it reads the script from stdin."""
        awaited = [jobid for after in self.awaited(request) for jobid in after.jobids]
        return [
            # No line of the script is taken for an option ("-C" with nothing).
            *("qsub", "-terse", "-C", "", "-wd", _folder(request), "-V", "-S", "/bin/sh"),
            # The script writes the log itself: Grid Engine would read things into its path.
            *("-j", "y", "-o", "/dev/null", "-N", to_name(request.name)),
            *(["-hold_jid", ",".join(awaited)] if awaited else []),
            *(["-t", f"1-{request.array_size}"] if request.array_size is not None else []),
            *_options(request),
            *extra_args(request.options),
        ]

    def submit_script(self, request: SubmitRequest) -> str:
        """Return the script of the job, in which the shell sees nothing of the arguments."""
        index = _INDEX if request.array_size is not None else None
        return logged_command(request, index)

    def parse_job_id(self, stdout: str) -> JobId:
        """Read ``12`` or ``12.1-3:1``."""
        match = re.search(r"^(\d+)(?:\.\d+-\d+:\d+)?\s*\Z", stdout, re.MULTILINE)
        return match[1] if match else ""

    def status_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the ``qstat`` command; it lists what the user has that is queued or runs."""
        return ["qstat", "-xml", "-g", "d"]

    def list_command(self) -> list[str]:
        """Return the ``qstat`` command."""
        return self.status_command([])

    def parse_status(self, stdout: str) -> dict[JobId, JobStatus]:
        """Read the answer of ``qstat``."""
        return parse_qstat(stdout)

    def kill_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the ``qdel`` command for all of `jobids`."""
        return ["qdel", *map(_as_task, jobids)]

    def look_up(self, jobids: Sequence[JobId]) -> dict[JobId, JobStatus]:
        """Ask qstat, then qacct about what it does not list, because it is over."""
        listed = self.parse_status(self.query(self.status_command(jobids)))
        wanted = set(map(array_of, jobids))
        found = {i: status for i, status in listed.items() if array_of(i) in wanted}
        found |= self._explained(found)
        arrays = set(map(array_of, found))
        left = [i for i in jobids if i not in found and (array_of(i) != i or i not in arrays)]
        over: dict[JobId, JobStatus] = {}
        for array in dict.fromkeys(map(array_of, left)):
            # One at a time: it takes no list.
            over |= parse_qacct(self.try_query(["qacct", "-j", array]) or "")
        return over | found

    def _explained(self, found: Mapping[JobId, JobStatus]) -> dict[JobId, JobStatus]:
        """Return those that wait for somebody, with the reason, for which qstat is asked again."""
        reasons = self._errors(found) | self._holds(found) | self._closed(found)
        return {
            i: JobStatus(i, found[i].status, found[i].name, reason)
            for i, reason in reasons.items()
        }

    def _errors(self, found: Mapping[JobId, JobStatus]) -> dict[JobId, str]:
        in_error = [i for i, status in found.items() if status.reason == IN_ERROR]
        told = {array: self._error_of(array) for array in set(map(array_of, in_error))}
        return {i: f"{IN_ERROR}: {told[array_of(i)]}".rstrip(": ") for i in in_error}

    def _holds(self, found: Mapping[JobId, JobStatus]) -> dict[JobId, str]:
        # Jobs of a run are held for each other, too, which is no reason to ask.
        held = {i for i, s in found.items() if s.status == HELD and not s.reason}
        if not held:
            return {}
        # Of other orders of the second, qstat makes other things ("hohs": all holds).
        by_user, by_operator = (self._listed(states).keys() & held for states in ("hu", "hsho"))
        return dict.fromkeys(by_user, BY_SOMEBODY) | dict.fromkeys(by_operator, BY_OPERATOR)

    def _listed(self, states: str) -> dict[JobId, JobStatus]:
        return parse_qstat(self.try_query([*self.status_command([]), "-s", states]) or "")

    def _closed(self, found: Mapping[JobId, JobStatus]) -> dict[JobId, str]:
        """Return those that are queued, and may only go to queues that are closed."""
        queued = [i for i, s in found.items() if s.status == QUEUED and not s.reason]
        told = closed_queues(self.try_query(["qstat", "-g", "c", "-xml"]) or "") if queued else {}
        if not any(told.values()):
            return {}
        wanted = queues_asked_for(self.try_query(["qstat", "-r", "-xml"]) or "")
        return {i: CLOSED for i in queued if _has_none(wanted.get(array_of(i), ()), told)}

    def _error_of(self, array: JobId) -> str:
        return parse_error(self.try_query(["qstat", "-j", array]) or "")

    def remedy(self, status: JobStatus) -> Remedy | None:
        """Return what somebody has to do so that a job goes on; None if nothing."""
        task = _as_task(status.id)
        if status.reason.startswith(IN_ERROR):
            why = f"is in error, {status.reason.removeprefix(IN_ERROR).lstrip(': ')}".rstrip(", ")
            return Remedy(why, f"qmod -cj {task}")
        return {
            BY_SOMEBODY: Remedy(f"is {BY_SOMEBODY}", f"qrls {task}"),
            BY_OPERATOR: Remedy(
                f"is {BY_OPERATOR}, whom to ask, if it cannot be released", f"qrls -h uos {task}"
            ),
            SUSPENDED: Remedy(f"is {SUSPENDED}", f"qmod -usj {task}"),
            WITH_QUEUE: Remedy(f"is {WITH_QUEUE}", "qstat -f"),
            CLOSED: Remedy(
                "needs a queue that is not disabled, suspended or in error", "qstat -f"
            ),
        }.get(status.reason)

    def limits_of(
        self, scheduler_args: Mapping[str, object] | None = None, name: str = "psyflow"
    ) -> list[Limit]:
        """Return what the configuration says of jobs and arrays, and queues of time."""
        options = resolve(self._canonical_args(scheduler_args), name)
        queues = parse_queues(self.ask_once(_QUEUES))
        return [
            *config_limits(self.ask_once(_CONFIG)),
            *queue_limits(of_job(queues, options.get("queue"))),
        ]

    def limits_now(
        self, scheduler_args: Mapping[str, object] | None = None, name: str = "psyflow"
    ) -> list[Limit]:
        """Return `limits_of`, with the jobs that qstat lists, of the user or of all."""
        return [self._counted(limit) for limit in self.limits_of(scheduler_args, name)]

    def _counted(self, limit: Limit) -> Limit:
        if limit.of != JOBS:
            return limit
        listed = self.ask_now(["qstat", "-u", "*" if limit.whose else getpass.getuser()])
        return dataclasses.replace(limit, taken=count_jobs(listed))

    def default_time_limit(
        self, scheduler_args: Mapping[str, object] | None, name: str = "psyflow"
    ) -> float | None:
        """Return the limit of the job's queue, if all that it may come into have the same."""
        options = resolve(self._canonical_args(scheduler_args), name)
        queues = of_job(parse_queues(self.ask_once(_QUEUES)), options.get("queue"))
        limits = {seconds for queue in queues for seconds in queue.seconds}
        return limits.pop() if len(limits) == 1 else None

    def cluster_name(self) -> str | None:
        """Return the name of the cell's cluster, which asks nobody."""
        root, cell = os.environ.get("SGE_ROOT", ""), os.environ.get("SGE_CELL", "default")
        try:
            name = Path(root, cell, "common", "cluster_name").read_text(errors="replace").strip()
        except OSError:
            name = ""
        return name or os.environ.get("SGE_CLUSTER_NAME") or None

    def max_array_size(self) -> int | None:
        """Return how many members an array may have on this cluster, if it says so."""
        limit = least(config_limits(self.ask_once(_CONFIG)), MEMBERS)
        return None if limit is None else int(limit.amount)


def _has_none(patterns: Sequence[str], is_closed: Mapping[str, bool]) -> bool:
    """Tell whether all queues are closed that a job may go to: all, if it asks for none."""
    names = [pattern.partition("@")[0] for pattern in patterns] or ["*"]
    own = [queue for queue in is_closed for name in names if fnmatch.fnmatch(queue, name)]
    return bool(own) and all(is_closed[queue] for queue in own)


def _as_task(jobid: JobId) -> str:
    job, _, index = jobid.partition("_")
    return f"{job}.{int(index) + 1}" if index else job


def _folder(request: SubmitRequest) -> str:
    """Return where a job starts: where its log is, which is on all nodes if anything is."""
    return str(Path(request.output_filename).absolute().parent)


def _options(request: SubmitRequest) -> list[str]:
    given = request.options
    further = named_amounts("GridEngine", given.get("resources", {}))
    resources = {_RESOURCES[name]: given[name] for name in _RESOURCES if name in given}
    if "memory" in given:
        resources["h_vmem"] = sized(read_memory(given["memory"]), "KMG")
    if "timelimit" in given:
        limit = read_time_limit(given["timelimit"])
        resources["h_rt"] = "INFINITY" if math.isinf(limit) else clock(limit)
    amounts = [(n, value) for n, value in resources.items() if n not in dict(further)] + further
    words = [word for name, value in amounts for word in ("-l", f"{name}={value}")]
    if "n_cpus" in given:
        words += ["-pe", str(given.get("parallel_environment", "smp")), str(given["n_cpus"])]
    words += flags(_OPTIONS, given)
    if request.array_size is not None:
        words += flags({"max_running": "-tc"}, given)
    return words + [word for name in _SWITCHES if given.get(name) for word in _SWITCHES[name]]
