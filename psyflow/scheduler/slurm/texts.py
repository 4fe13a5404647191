"""What Slurm's programs print, and what it means. Nothing here asks Slurm anything."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator

from psyflow.scheduler.base import (
    CANCELLED,
    DONE,
    FAILED,
    HELD,
    NODE_FAILURE,
    OOM,
    PREEMPTED,
    QUEUED,
    RUNNING,
    TIMEOUT,
    UNKNOWN,
    JobId,
    JobStatus,
)
from psyflow.scheduler.facts import Partition

__all__ = [
    "SACCT_FORMAT",
    "SINFO_FORMAT",
    "SQUEUE_FORMAT",
    "parse_config",
    "parse_sacct",
    "parse_scontrol",
    "parse_sinfo",
    "parse_squeue",
    "parse_time_limit",
]

# The name comes last, because it alone may contain the separator.
SQUEUE_FORMAT = "%i|%t|%r|%j"
SACCT_FORMAT = "JobID,State,JobName"
SINFO_FORMAT = "%P|%a|%l|%D|%c|%m"

# Short code (squeue), long name (sacct, scontrol), and what it is to psyflow. A revoked job runs
# on another cluster; one in SPECIAL_EXIT or on hold after a requeue waits for somebody.
_STATES = [
    ("PD", "PENDING", QUEUED),
    ("RQ", "REQUEUED", QUEUED),
    ("RF", "REQUEUE_FED", QUEUED),
    ("RH", "REQUEUE_HOLD", HELD),
    ("RD", "RESV_DEL_HOLD", HELD),
    ("SE", "SPECIAL_EXIT", HELD),
    ("R", "RUNNING", RUNNING),
    ("CF", "CONFIGURING", RUNNING),
    ("CG", "COMPLETING", RUNNING),
    ("RS", "RESIZING", RUNNING),
    ("S", "SUSPENDED", RUNNING),
    ("SI", "SIGNALING", RUNNING),
    ("SO", "STAGE_OUT", RUNNING),
    ("ST", "STOPPED", RUNNING),
    ("CD", "COMPLETED", DONE),
    ("CA", "CANCELLED", CANCELLED),
    ("F", "FAILED", FAILED),
    ("TO", "TIMEOUT", FAILED),
    ("NF", "NODE_FAIL", FAILED),
    ("OOM", "OUT_OF_MEMORY", FAILED),
    ("BF", "BOOT_FAIL", FAILED),
    ("DL", "DEADLINE", FAILED),
    ("PR", "PREEMPTED", FAILED),
    ("RV", "REVOKED", UNKNOWN),
]
_BY_CODE = {code: state for code, _, state in _STATES}
_BY_NAME = {name: state for _, name, state in _STATES}

# Why a job ended, from its long state, where that says more than "it failed".
_REASONS = {
    "TIMEOUT": TIMEOUT,
    "DEADLINE": TIMEOUT,
    "OUT_OF_MEMORY": OOM,
    "NODE_FAIL": NODE_FAILURE,
    "BOOT_FAIL": NODE_FAILURE,
    "PREEMPTED": PREEMPTED,
}
_LONG = {code: name for code, name, _ in _STATES}

_HELD_FOR = {
    "Dependency",
    "DependencyNeverSatisfied",
    "JobHeldAdmin",
    "JobHeldUser",
    "JobHoldMaxRequeue",
    "launch_failed_requeued_held",
    "job_requeued_in_held_state",
}

_ID = r"(?P<base>\d+)(?:_(?P<index>\d+|\[[^\]]*\]))?"
_SQUEUE = re.compile(rf"{_ID}\|(?P<state>\w+)\|(?P<reason>[^|]*)\|(?P<name>.*)")
_SACCT = re.compile(rf"{_ID}\|(?P<state>[^|]+)\|(?P<name>.*)")
_SCONTROL = re.compile(
    r"JobId=(?P<id>\d+) (?:ArrayJobId=(?P<base>\d+) ArrayTaskId=(?P<index>\S+) .*?)?"
    r"JobName=(?P<name>.*) UserId=\S+ .*JobState=(?P<state>\w+) Reason=(?P<reason>\S+) "
)
_CANCELLED_BY = re.compile(r"CANCELLED by (\d+)")
# States that tell why a job waits, or does nothing though it has its nodes.
_TELLING = ("REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT", "SUSPENDED", "STOPPED")
_TIME_LIMIT = re.compile(r"(?:(?P<days>\d+)-)?(?P<clock>\d+(?::\d+){0,2})")
_RANGE = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")


def parse_squeue(stdout: str) -> dict[JobId, JobStatus]:
    """Read what ``squeue -h -o '%i|%t|%r|%j'`` prints.

    Examples
    --------
    >>> for status in parse_squeue("4_[0-1%5]|PD|Dependency|sim").values():
    ...     print(*status)
    4_0 *Q sim:0
    4_1 *Q sim:1
    """
    return _collect(
        _statuses(
            match["base"],
            match["index"],
            _state(_BY_CODE.get(match["state"], UNKNOWN), match["reason"]),
            match["name"],
            _reason(_LONG.get(match["state"], ""), match["reason"]),
        )
        for match in map(_SQUEUE.fullmatch, stdout.splitlines())
        if match
    )


def parse_sacct(stdout: str) -> dict[JobId, JobStatus]:
    """Read what ``sacct -n -X -P -o JobID,State,JobName`` prints.

    Examples
    --------
    >>> parse_sacct("7|CANCELLED by 1000|sim")
    {'7': JobStatus(id='7', status='C', name='sim')}
    """
    return _collect(
        _statuses(
            match["base"],
            match["index"],
            _by_name(match["state"]),
            match["name"],
            _reason(match["state"]),
        )
        for match in map(_SACCT.fullmatch, stdout.splitlines())
        if match
    )


def parse_scontrol(stdout: str) -> dict[JobId, JobStatus]:
    """Read what ``scontrol -o show job`` prints."""
    return _collect(
        _statuses(
            match["base"] or match["id"],
            match["index"] and f"[{match['index']}]",
            _state(_by_name(match["state"]), match["reason"]),
            match["name"],
            _reason(match["state"], match["reason"]),
        )
        for match in map(_SCONTROL.match, stdout.splitlines())
        if match
    )


def parse_time_limit(text: str) -> float | None:
    """Return the value of sbatch's ``--time`` in seconds; None if it sets no limit.

    Examples
    --------
    >>> parse_time_limit("90"), parse_time_limit("1:30:00"), parse_time_limit("1-12")
    (5400.0, 5400.0, 129600.0)
    >>> parse_time_limit("UNLIMITED") is None
    True
    """
    match = _TIME_LIMIT.fullmatch(text.strip())
    if match is None:
        return None
    numbers = [int(number) for number in match["clock"].split(":")]
    if match["days"] is None and len(numbers) < 3:
        numbers.insert(0, 0)  # without days, one or two numbers begin with the minutes
    hours, minutes, seconds = (*numbers, 0, 0)[:3]
    return int(match["days"] or 0) * 86400.0 + hours * 3600 + minutes * 60 + seconds


def parse_config(stdout: str) -> dict[str, str]:
    r"""Read what ``scontrol show config`` prints.

    Examples
    --------
    >>> parse_config("MaxArraySize            = 1001\nSlurmUser = slurm(64030)\n")
    {'MaxArraySize': '1001', 'SlurmUser': 'slurm(64030)'}
    """
    pairs = (line.partition("=") for line in stdout.splitlines())
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}


def parse_sinfo(stdout: str) -> tuple[Partition, ...]:
    r"""Read what ``sinfo`` prints in `SINFO_FORMAT`, without partitions that are switched off.

    Examples
    --------
    >>> (partition,) = parse_sinfo("debug*|up|infinite|2|4|4000\nold|down|1:00:00|1|4|4000\n")
    >>> partition.name, partition.is_default, partition.time_limit
    ('debug', True, 'infinite')
    """
    rows = [line.split("|") for line in stdout.splitlines()]
    found = {
        name.rstrip("*"): Partition(name.rstrip("*"), name.endswith("*"), limit, *more)
        for name, state, limit, *more in (row for row in rows if len(row) == 6)
        if state == "up"
    }
    return tuple(found.values())


def _collect(groups: Iterator[Iterator[JobStatus]]) -> dict[JobId, JobStatus]:
    return {status.id: status for group in groups for status in group}


def _statuses(
    base: str, index: str | None, state: str, name: str, reason: str
) -> Iterator[JobStatus]:
    if index is None:
        yield JobStatus(base, state, name, reason)
        return
    for i in _indices(index.strip("[]")):
        yield JobStatus(f"{base}_{i}", state, f"{name}:{i}", reason)


def _indices(text: str) -> Iterator[int]:
    """Expand ``0-8:4,10%2``: members 0, 4, 8 and 10, of which two may run at once."""
    for part in text.partition("%")[0].split(","):
        # Slurm ends a long list in "...": those members stay unknown.
        if match := _RANGE.fullmatch(part):
            first, last, step = match.groups()
            yield from range(int(first), int(last or first) + 1, int(step or 1))


def _state(state: str, reason: str) -> str:
    # squeue writes spaces where scontrol has underscores.
    return HELD if state == QUEUED and reason.replace(" ", "_") in _HELD_FOR else state


def _reason(state: str, told: str = "None") -> str:
    """Return psyflow's word for why a job is in its (long) state, or else what Slurm told."""
    for name, reason in _REASONS.items():
        # sacct cuts a state to "OUT_OF_ME+".
        if state == name or (state.endswith("+") and name.startswith(state[:-1])):
            return reason
    if (match := _CANCELLED_BY.match(state)) and match[1] != str(os.getuid()):
        # sacct tells the number of whoever did it.
        return f"by {_user(int(match[1]))}"
    if told == "None" and state in _TELLING:
        return state.lower() if _BY_NAME[state] == RUNNING else state
    return "" if told == "None" else told


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _by_name(text: str) -> str:
    """Understand ``CANCELLED by 1000`` and ``OUT_OF_ME+`` too."""
    word = text.split()[0] if text.split() else ""
    if not word.endswith("+"):
        return _BY_NAME.get(word, UNKNOWN)
    states = {state for name, state in _BY_NAME.items() if name.startswith(word[:-1])}
    return states.pop() if len(states) == 1 else UNKNOWN
