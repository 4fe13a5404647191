"""Flux: `flux batch`, `flux jobs`, `flux cancel`; written from its manual, without a real one."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple

from psyflow.exceptions import UsageError
from psyflow.scheduler.arguments import resolve
from psyflow.scheduler.base import (
    CANCELLED,
    DONE,
    FAILED,
    HELD,
    NODE_FAILURE,
    QUEUED,
    RUNNING,
    TIMEOUT,
    UNKNOWN,
    JobId,
    JobStatus,
)
from psyflow.scheduler.batch import BatchScheduler, SubmitRequest
from psyflow.scheduler.extras import AFTER_END, EXTRAS, check_switch, check_values, extra_args
from psyflow.scheduler.facts import Partition
from psyflow.scheduler.limits import SECONDS, Limit
from psyflow.scheduler.remedies import Remedy
from psyflow.scheduler.request import flags, logged_command

__all__ = ["Flux"]

_FORMAT = "{id}|{state}|{result}|{returncode}|{exception.type}|{urgency}|{name}"
_STATES = {
    "DEPEND": HELD,
    "PRIORITY": QUEUED,
    "SCHED": QUEUED,
    "RUN": RUNNING,
    "CLEANUP": RUNNING,
}
_RESULTS = {"COMPLETED": DONE, "FAILED": FAILED, "CANCELED": CANCELLED, "TIMEOUT": FAILED}
_REASONS = {"timeout": TIMEOUT, "node-failure": NODE_FAILURE}
_COUNTS = ("n_cpus", "n_gpus", "n_nodes")
_OPTIONS = {
    "bank": "--bank",
    "n_cpus": "--cores-per-slot",
    "n_gpus": "--gpus-per-slot",
    "n_nodes": "--nodes",
    "queue": "--queue",
    "requires": "--requires",
    "urgency": "--urgency",
}
_WITHIN = "PSYFLOW_FLUX_PARENT"
"""Set in a job: `flux batch` makes an instance of Flux of its own for each, which ends with it."""
_HELD_URGENCY = "0"
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_F58 = re.compile(rf"[ƒf]([{_BASE58}]+)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DIRECTIVE = re.compile(r"^[^A-Za-z0-9]*flux:", re.MULTILINE | re.IGNORECASE)


class Flux(BatchScheduler):
    """Submits to Flux, the resource manager of the Flux Framework.

    The scheduler arguments are ``timelimit``, ``n_cpus`` (cores), ``n_gpus``, ``n_nodes``,
    ``queue``, ``bank``, ``requires``, ``urgency``, ``dependency``, ``extra_args``, and
    ``exclusive``, which is switched by True and goes with ``n_nodes``.

    Parameters
    ----------
    workdir : str or path, optional
        Flux needs no files of its own; this is here so that it can replace `Sqsub`.

    Examples
    --------
    >>> request = Flux().request(["echo", "a b"], "/tmp/log", "t:process:0", ["7"],
    ...                          {"timelimit": "1:00:00", "n_cpus": 2})
    >>> print(*Flux().submit_command(request))
    flux batch --job-name=t:process:0 --output=none --nslots=1 --dependency=afterany:7 \
--time-limit=3600s --cores-per-slot 2
    """

    UNVERIFIED: ClassVar[str] = (
        "written from the manual of Flux; tried with a program that answers as that says"
    )
    USER_DEFAULT_ARGS: ClassVar[Mapping[str, object]] = {"timelimit": "01:00:00", "n_cpus": 1}
    ARGS = frozenset({*_OPTIONS, *EXTRAS, "exclusive", "timelimit"})
    TIME_LIMIT = "timelimit"
    OWN_WORDS = (
        *("--cc", "--bcc", "--dry-run", "--error", "--input", "--job-name", "--nslots"),
        *("--output", "--wrap", "-n", "-n*"),
    )
    DEPENDENCIES = (AFTER_END, "afterok", "afternotok", "after")
    JOB_ID = rf"\d+|[ƒf][{_BASE58}]+"
    tells_names = True
    PROGRAMS = ("flux",)
    VERSION_COMMAND = ("flux", "version")
    QUEUES_COMMAND = ("flux", "resource", "list")
    HINT = (
        "Is this a node of a Flux instance? If not, set scheduler = ImmediateRun() in the task "
        "file to run on this machine."
    )

    def check_value(self, option: str, value: object) -> None:
        """Raise `UsageError` if `value` is nothing for `option`."""
        if option == "exclusive":
            check_switch("Flux", option, value)
        elif option != self.TIME_LIMIT:
            check_values("Flux", option, value, _COUNTS, ("requires",))

    def parse_queues(self, stdout: str) -> tuple[Partition, ...]:
        """Resources are listed by state, not by queue."""
        return ()

    def submit_command(self, request: SubmitRequest) -> list[str]:
        """Return the ``flux batch`` command; it reads the script from stdin."""
        options = request.options
        limit = self.seconds_of(options.get("timelimit", 0))
        after = [(how, jobid) for how, ids in self.awaited(request) for jobid in ids]
        return [
            *_flux(),
            "batch",
            f"--job-name={request.name}",
            # The script writes the log itself: Flux would read things into its path.
            "--output=none",
            f"--nslots={options.get('n_nodes', 1)}",
            *(f"--dependency={how}:{jobid}" for how, jobid in after),
            *([] if math.isinf(limit) else [f"--time-limit={math.ceil(limit)}s"]),
            *flags(_OPTIONS, options),
            *(["--exclusive"] if options.get("exclusive") else []),
            *extra_args(options),
        ]

    def submit_script(self, request: SubmitRequest) -> str:
        """Return the script of the job, in which the shell sees nothing of the arguments.

        Raises
        ------
        UsageError
            If Flux would take a line of an argument for an option of its own.
        """
        if any(_DIRECTIVE.search(word) for word in (*request.args, request.output_filename)):
            raise UsageError('Flux takes a line that begins with "flux:" for its own. Rename it.')
        # What the job submits, to continue a run, has to outlive it.
        return f"#!/bin/sh\nexport {_WITHIN}=1\n{logged_command(request, None)}"

    def parse_job_id(self, stdout: str) -> JobId:
        """Read an id in base 58, such as ``ƒM7Zq9AKHno``, and return it as a number."""
        words = stdout.split()
        return _number(words[-1]) if words else ""

    def status_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the ``flux jobs`` command for all of `jobids`, over or not."""
        return [*_flux(), "jobs", "-a", "-n", f"--format={_FORMAT}", *jobids]

    def list_command(self) -> list[str]:
        """Return the ``flux jobs`` command for all jobs of the user that are not over."""
        return [*_flux(), "jobs", "-n", "--count=1000000", f"--format={_FORMAT}"]

    def parse_status(self, stdout: str) -> dict[JobId, JobStatus]:
        """Read the answer of ``flux jobs``."""
        rows = (line.split("|", 6) for line in stdout.splitlines())
        found = (_status(row) for row in rows if len(row) == 7 and row[0].isdecimal())
        return {status.id: status for status in found}

    def kill_command(self, jobids: Sequence[JobId]) -> list[str]:
        """Return the ``flux cancel`` command for all of `jobids`."""
        return [*_flux(), "cancel", *jobids]

    def means_no_job(self, returncode: int, stderr: str) -> bool:
        """Say whether flux only wants to say that it does not know some of the jobs."""
        return re.search(r"[Jj]ob\s?[Ii][Dd]? .*(unknown|not found|inactive)", stderr) is not None

    def limits_of(
        self, scheduler_args: Mapping[str, object] | None = None, name: str = "psyflow"
    ) -> list[Limit]:
        """Return the longest time of the job's queue, or of all, as ``flux config get`` tells."""
        options = resolve(self._canonical_args(scheduler_args), name)
        queue, told = self._policies(options)
        for whose, policy in ((f"queue {queue}", told.of_queue), ("", told.of_all)):
            seconds = _duration(_inner(policy, "limits", "duration"))
            if seconds is not None:
                # What a queue says goes before what holds for all.
                is_limit = not math.isinf(seconds)
                return [Limit("duration", seconds, SECONDS, whose)] if is_limit else []
        return []

    def default_time_limit(
        self, scheduler_args: Mapping[str, object] | None, name: str = "psyflow"
    ) -> float | None:
        """Return how long a job gets that asks for no time, if the configuration says it."""
        _, told = self._policies(resolve(self._canonical_args(scheduler_args), name))
        words = ("jobspec", "defaults", "system", "duration")
        found = [_duration(_inner(policy, *words)) for policy in (told.of_queue, told.of_all)]
        return next((seconds for seconds in found if seconds is not None), None)

    def _policies(self, options: Mapping[str, object]) -> tuple[str, _Policies]:
        """Ask for the policies of the job's queue and of all queues."""
        try:
            told = json.loads(self.ask_once([*_flux(), "config", "get"]) or "{}")
        except ValueError:
            told = {}
        of_all = _inner(told, "policy")
        default = _inner(of_all, "jobspec", "defaults", "system", "queue")
        queue = str(options.get("queue", default or ""))
        return queue, _Policies(_inner(told, "queues", queue, "policy"), of_all)

    def remedy(self, status: JobStatus) -> Remedy | None:
        """Return what somebody has to do so that a job goes on; None if nothing."""
        if status.status == HELD and status.reason == "urgency 0":
            return Remedy("is held, with urgency 0", f"flux job urgency {status.id} default")
        return None


class _Policies(NamedTuple):
    """What the configuration says of the jobs of a queue, and of all."""

    of_queue: object
    of_all: object


def _inner(told: object, *names: str) -> object:
    """Return what is in nested mappings under `names`; None if it is not there."""
    for name in names:
        told = told.get(name) if isinstance(told, dict) else None
    return told


def _duration(value: object) -> float | None:
    """Read a duration of Flux in seconds; 0 is none. None if it is no duration.

    Examples
    --------
    >>> _duration("2h"), _duration("90"), _duration("0"), _duration(None)
    (7200.0, 90.0, inf, None)
    """
    match = re.fullmatch(r"([\d.]+)\s*(ms|s|m|h|d)?", str(value))
    if match is None:
        return math.inf if str(value) in ("inf", "infinity") else None
    return float(match[1]) * _SECONDS[match[2] or "s"] or math.inf


def _flux() -> list[str]:
    """Return how the instance is called that runs psyflow's jobs."""
    return ["flux", "--parent"] if _WITHIN in os.environ else ["flux"]


def _number(word: str) -> JobId:
    """Return an id as a number in decimal, which all programs take; '' if it is none.

    Examples
    --------
    >>> _number("f11"), _number("f2z"), _number("72"), _number("oops")
    ('0', '115', '72', '')
    """
    if word.isdecimal():
        return word
    match = _F58.fullmatch(word)
    if match is None:
        return ""
    number = 0
    for letter in match[1]:
        number = 58 * number + _BASE58.index(letter)
    return str(number)


def _status(row: Sequence[str]) -> JobStatus:
    jobid, state, result, code, trouble, urgency, name = row
    if state != "INACTIVE":
        if urgency == _HELD_URGENCY and state in ("PRIORITY", "SCHED", "DEPEND"):
            return JobStatus(jobid, HELD, name, "urgency 0")
        return JobStatus(jobid, _STATES.get(state, UNKNOWN), name)
    found = _RESULTS.get(result, UNKNOWN)
    reason = ""
    if found == FAILED:
        reason = TIMEOUT if result == "TIMEOUT" else _REASONS.get(trouble, f"exit code {code}")
    return JobStatus(jobid, found, name, reason)
