"""What PBS says of the limits of servers and queues. Nothing here asks PBS anything."""

from __future__ import annotations

import getpass
import math
import re
from collections.abc import Iterator, Mapping

from psyflow.scheduler.limits import AT_ONCE, JOBS, MEMBERS, SECONDS, Limit

__all__ = ["EVERYBODY", "NAME", "attributes_of", "limits_at", "seconds_in"]

NAME = ""
"""Of a server or a queue, among its attributes."""
EVERYBODY = "everybody's"
"""End of `Limit.whose` where jobs of all users count."""
_GENERIC = "PBS_GENERIC"


def attributes_of(stdout: str) -> list[dict[str, str]]:
    """Read what ``qstat -f`` prints of servers or queues: the attributes of each, and its name."""
    found: list[dict[str, str]] = []
    for line in stdout.splitlines():
        name, equals, value = line.partition(" = ")
        if head := re.match(r"(Server|Queue): (\S+)", line):
            found.append({NAME: f"{head[1]} {head[2]}"})
        elif equals and found:
            found[-1][name.strip()] = value.strip()
    return found


def limits_at(place: Mapping[str, str]) -> Iterator[Limit]:
    """Return the limits of a server or a queue, of which jobs of others are not counted."""
    whose = place.get(NAME, "")
    if place.get("max_array_size", "").isdecimal():
        yield Limit("max_array_size", int(place["max_array_size"]), MEMBERS, whose)
    if text := place.get("resources_max.walltime"):
        yield Limit("resources_max.walltime", seconds_in(text), SECONDS, whose)
    kinds = {
        "max_queued": JOBS,
        "max_user_queuable": JOBS,
        "max_run": AT_ONCE,
        "max_user_run": AT_ONCE,
    }
    for name, of in kinds.items():
        user, everybody = _counts(place.get(name, ""))
        if user is not None:
            yield Limit(name, user, of, whose)
        if everybody is not None:
            yield Limit(name, everybody, of, f"{whose}, {EVERYBODY}")
    if place.get("max_queuable", "").isdecimal():
        yield Limit("max_queuable", int(place["max_queuable"]), JOBS, f"{whose}, {EVERYBODY}")


def _counts(text: str) -> tuple[int | None, int | None]:
    """Read how many the user may have, and all together; None if that is not said.

    Examples
    --------
    >>> _counts("[u:PBS_GENERIC=10],[o:PBS_ALL=500]"), _counts("7"), _counts("")
    ((10, 500), (7, None), (None, None))
    """
    if text.isdecimal():
        return int(text), None
    users = dict(re.findall(r"u:([^=\]]+)=(\d+)", text))
    user = users.get(getpass.getuser(), users.get(_GENERIC))
    everybody = re.search(r"o:PBS_ALL=(\d+)", text)
    return None if user is None else int(user), None if everybody is None else int(everybody[1])


def seconds_in(text: str) -> float:
    """Read ``hours:minutes:seconds``, with as few of them as there are, from the last."""
    seconds = 0.0
    for number in text.split(":"):
        seconds = 60 * seconds + (float(number) if number.isdecimal() else math.inf)
    return seconds
