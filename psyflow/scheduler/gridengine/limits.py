"""What Grid Engine says of limits. Nothing here asks it anything."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from psyflow.scheduler.limits import AT_ONCE, JOBS, MEMBERS, SECONDS, Limit
from psyflow.scheduler.timelimit import read_time_limit

__all__ = ["Queue", "config_limits", "of_job", "parse_queues", "queue_limits"]

_KINDS = {
    "max_u_jobs": (JOBS, ""),
    "max_jobs": (JOBS, "everybody's"),
    "max_aj_tasks": (MEMBERS, ""),
    "max_aj_instances": (AT_ONCE, "of an array"),
}
_LIMIT = re.compile(rf"^({'|'.join(_KINDS)})\s+([1-9]\d*)\s*$", re.MULTILINE)
_QUEUE = re.compile(
    r"^qname\s+(\S+)$.*?^h_rt\s+((?:[^\n]*\\\n)*[^\n]*)$", re.MULTILINE | re.DOTALL
)
_TIME = re.compile(r"(?:^|=)([\d:]+|INFINITY)", re.MULTILINE)


class Queue(NamedTuple):
    """A queue, and the limits of time that it has, each on some hosts."""

    name: str
    seconds: tuple[float, ...]


def config_limits(stdout: str) -> list[Limit]:
    r"""Read what ``qconf -sconf`` says of jobs and arrays; 0 is no limit.

    Examples
    --------
    >>> print(*config_limits("max_u_jobs   2\nmax_jobs   0\n"))
    max_u_jobs = 2 jobs submitted
    """
    return [
        Limit(name, int(number), _KINDS[name][0], _KINDS[name][1])
        for name, number in _LIMIT.findall(stdout)
    ]


def parse_queues(stdout: str) -> list[Queue]:
    r"""Read what ``qconf -sq '*'`` prints.

    Examples
    --------
    >>> parse_queues("qname a.q\nh_rt 01:00:00,[@big=02:00:00]\n\nqname b.q\nh_rt INFINITY\n")
    [Queue(name='a.q', seconds=(3600.0, 7200.0)), Queue(name='b.q', seconds=(inf,))]
    """
    return [
        Queue(name, tuple(_seconds(text) for text in _TIME.findall(times)))
        for name, times in _QUEUE.findall(stdout)
    ]


def _seconds(text: str) -> float:
    if text.isdecimal():
        return float(text)
    try:
        return read_time_limit(text)
    except ValueError:
        return math.inf


def of_job(queues: Iterable[Queue], asked: object) -> list[Queue]:
    """Return the queues that a job may come into.

    Parameters
    ----------
    queues : iterable of Queue
    asked : object
        The value of ``-q``: a name, with wildcards or not, for a host or all, or a list of such.
    """
    if asked is None:
        return list(queues)
    words = asked if isinstance(asked, list | tuple) else str(asked).split(",")
    patterns = [str(word).partition("@")[0].strip() for word in words]
    return [queue for queue in queues if any(fnmatchcase(queue.name, p) for p in patterns)]


def queue_limits(queues: Sequence[Queue]) -> list[Limit]:
    """Return the longest time that a job may have in one of the queues that it may come into.

    Examples
    --------
    >>> print(*queue_limits([Queue("a.q", (3600.0,)), Queue("b.q", (7200.0,))]))
    h_rt = 2 hours (queue b.q)
    """
    limits = [
        Limit("h_rt", max(q.seconds), SECONDS, f"queue {q.name}") for q in queues if q.seconds
    ]
    longest = max(limits, key=lambda limit: limit.amount, default=None)
    return [] if longest is None or math.isinf(longest.amount) else [longest]
