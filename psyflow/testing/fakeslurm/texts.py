"""What several of Slurm's programs print in the same way."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterable, Sequence

from psyflow.testing.fakeslurm.jobs import Member

__all__ = ["clock", "grouped", "indices_of", "long_clock", "moment", "ranges", "user"]


def user() -> str:
    """Return the name of the user, whose all jobs are."""
    return getpass.getuser()


def clock(seconds: float | None) -> str:
    """Write a duration as squeue does.

    Examples
    --------
    >>> clock(5), clock(3600), clock(90061), clock(None)
    ('0:05', '1:00:00', '1-01:01:01', 'UNLIMITED')
    """
    if seconds is None:
        return "UNLIMITED"
    if seconds < 3600:
        return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
    return long_clock(seconds).removeprefix("0")


def long_clock(seconds: float | None) -> str:
    """Write a duration as scontrol does.

    Examples
    --------
    >>> long_clock(5), long_clock(90061)
    ('00:00:05', '1-01:01:01')
    """
    if seconds is None:
        return "UNLIMITED"
    days, rest = divmod(int(seconds), 86400)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{text}" if days else text


def moment(seconds: float) -> str:
    """Write a time of `time.time`; 0 is a time that has not come.

    Examples
    --------
    >>> moment(0)
    'Unknown'
    """
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds)) if seconds else "Unknown"


def ranges(indices: Sequence[int]) -> str:
    """Write indices, in ascending order, as sbatch takes them.

    Examples
    --------
    >>> ranges([0, 1, 2, 5])
    '0-2,5'
    """
    parts: list[list[int]] = []
    for index in indices:
        if parts and index == parts[-1][1] + 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def grouped(members: Iterable[Member]) -> list[list[Member]]:
    """Put the members of an array together that never were more than queued."""
    groups: dict[object, list[Member]] = {}
    for member in members:
        is_apart = member.index is None or member.state != "PD" or member.restarts
        groups.setdefault(member.id if is_apart else member.job.id, []).append(member)
    return list(groups.values())


def indices_of(group: Sequence[Member]) -> str:
    """Return which members of an array a line is about, as in ``0-4%2``."""
    job = group[0].job
    listed = ranges([member.index for member in group if member.index is not None])
    return f"{listed}%{job.throttle}" if job.throttle and len(group) > 1 else listed
