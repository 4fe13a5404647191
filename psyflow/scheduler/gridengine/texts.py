"""What Grid Engine's programs print, and what it means. Nothing here asks Grid Engine anything."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

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
)
from psyflow.scheduler.batch import no_answer
from psyflow.scheduler.names import from_name

__all__ = [
    "BY_OPERATOR",
    "BY_SOMEBODY",
    "CLOSED",
    "IN_ERROR",
    "SUSPENDED",
    "WITH_QUEUE",
    "closed_queues",
    "count_jobs",
    "parse_error",
    "parse_qacct",
    "parse_qstat",
    "queues_asked_for",
]

IN_ERROR, BY_SOMEBODY, BY_OPERATOR = "error state", "held by somebody", "held by an operator"
SUSPENDED, WITH_QUEUE = "suspended", "suspended with its queue"
CLOSED = "all its queues are closed"
# What letters say beside the state, the first that is there: those of a job, then of its queue.
_WHY = {"E": IN_ERROR, "s": SUSPENDED, "S": WITH_QUEUE, "T": WITH_QUEUE}
_RANGE = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")
_RULE = re.compile(r"^=+$", re.MULTILINE)
_LIMIT_ENFORCED = 37
_DIED_OF_A_SIGNAL = 100
_KILLED = 128


def parse_qstat(stdout: str) -> dict[JobId, JobStatus]:
    """Read what ``qstat -xml`` prints about jobs that are queued or running."""
    try:
        jobs = _parsed(stdout, "job_list")
    except ElementTree.ParseError as error:
        raise no_answer("qstat", error) from None
    return {status.id: status for job in jobs for status in _of_qstat(job)}


def count_jobs(stdout: str) -> int:
    r"""Return how many jobs ``qstat`` lists; of an array it may have a line for each member.

    Examples
    --------
    >>> count_jobs("job-ID prior\n-----\n  7 0.5 a r\n  7 0.5 a r\n  8 0.5 b qw\n")
    2
    """
    return len(set(re.findall(r"^\s*(\d+)\s", stdout, re.MULTILINE)))


def parse_error(stdout: str) -> str:
    r"""Read why a job is in error from what ``qstat -j`` prints; '' if it does not say.

    Examples
    --------
    >>> parse_error("error reason    1:          can't open output file\n")
    "can't open output file"
    """
    match = re.search(r"^error reason\s+\d+:\s*(.+?)\s*$", stdout, re.MULTILINE)
    return match[1] if match else ""


def closed_queues(stdout: str) -> dict[str, bool]:
    """Read what ``qstat -g c -xml`` prints: of each queue, whether somebody has closed all of it.

    It is disabled, suspended, in error, or its hosts are not heard of.
    """
    found = {}
    for queue in _elements(stdout, "cluster_queue_summary"):
        name, slots = queue.findtext("name"), _first_number(queue.findtext("total"))
        closed = _first_number(queue.findtext("manual_intervention"))
        if name and slots:
            found[name] = closed is not None and closed >= slots
    return found


def queues_asked_for(stdout: str) -> dict[JobId, list[str]]:
    """Read in what ``qstat -r -xml`` prints, by the ids of jobs, which queues they ask for."""
    return {
        job.findtext("JB_job_number", ""): [
            queue.text or "" for queue in job.iter("hard_req_queue")
        ]
        for job in _elements(stdout, "job_list")
    }


def _elements(stdout: str, tag: str) -> list[ElementTree.Element]:
    try:
        return _parsed(stdout, tag)
    except ElementTree.ParseError:
        return []  # not every Grid Engine tells this


def _parsed(stdout: str, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(stdout).iter(tag)) if stdout.strip() else []


def _of_qstat(job: ElementTree.Element) -> Iterator[JobStatus]:
    number, letters = job.findtext("JB_job_number", ""), job.findtext("state", "")
    if not number.isdecimal():
        return
    name = from_name(job.findtext("JB_name", ""))
    reason = next((why for letter, why in _WHY.items() if letter in letters), "")
    yield from _statuses(number, job.findtext("tasks"), _state(letters), name, reason)


def _state(letters: str) -> str:
    # Letters add up: "hqw" waits and is held, "dr" runs and is being deleted.
    if "E" in letters or ("h" in letters and "q" in letters):
        return HELD
    if "q" in letters:
        return QUEUED
    return RUNNING if set(letters) & set("rtsSTNR") else UNKNOWN


def _statuses(
    number: str, tasks: str | None, state: str, name: str, reason: str
) -> Iterator[JobStatus]:
    if tasks is None:
        yield JobStatus(number, state, name, reason)
        return
    for part in tasks.split(","):
        if match := _RANGE.fullmatch(part.strip()):
            first, last, step = match.groups()
            for task in range(int(first), int(last or first) + 1, int(step or 1)):
                # Grid Engine counts from 1.
                yield JobStatus(f"{number}_{task - 1}", state, f"{name}:{task - 1}", reason)


def parse_qacct(stdout: str) -> dict[JobId, JobStatus]:
    """Read what ``qacct -j`` prints about jobs that are over; the latest start of each counts."""
    blocks = (_fields(block) for block in _RULE.split(stdout))
    return {status.id: status for fields in blocks for status in _of_qacct(fields)}


def _fields(block: str) -> dict[str, str]:
    lines = (line.split(None, 1) for line in block.splitlines())
    return {line[0]: line[1].strip() for line in lines if len(line) == 2}


def _of_qacct(fields: Mapping[str, str]) -> Iterator[JobStatus]:
    number, task = fields.get("jobnumber", ""), fields.get("taskid", "")
    failed, code = _first_number(fields.get("failed")), _first_number(fields.get("exit_status"))
    if not number.isdecimal() or failed is None or code is None:
        return
    state, reason = _end(failed, code, fields)
    name = from_name(fields.get("jobname", ""))
    yield from _statuses(number, task if task.isdecimal() else None, state, name, reason)


def _end(failed: int, code: int, fields: Mapping[str, str]) -> tuple[str, str]:
    if failed == _LIMIT_ENFORCED:
        return FAILED, _limit(fields)
    if failed == _DIED_OF_A_SIGNAL and code - _KILLED in (signal.SIGKILL, signal.SIGTERM):
        # qdel ends jobs so, as does whoever else kills them.
        return CANCELLED, f"signal {code - _KILLED}"
    if failed or code:
        words = fields.get("failed", "").partition(":")[2].strip()
        return FAILED, words or (f"exit code {code}" if code else f"failure {failed}")
    return DONE, ""


def _limit(fields: Mapping[str, str]) -> str:
    """Tell which limit was enforced: time, if it was used up."""
    asked = re.search(r"\bh_rt=([\d:]+)", fields.get("category", ""))
    limit = _seconds(asked[1]) if asked else None
    used = re.match(r"[\d.]+", fields.get("ru_wallclock", ""))
    return TIMEOUT if limit is not None and used and float(used[0]) >= limit else OOM


def _seconds(text: str) -> float:
    """Return seconds or ``[[hours:]minutes:]seconds`` in seconds."""
    seconds = 0.0
    for number in text.split(":"):
        seconds = 60 * seconds + int(number or 0)
    return seconds


def _first_number(text: str | None) -> int | None:
    match = re.match(r"\d+", text or "")
    return int(match[0]) if match else None
