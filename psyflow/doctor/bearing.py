"""How many workers a folder bears: what they do there, and how long each of that takes.

The numbers of operations are those of the code, which `python -m benchmarks.scale` counts, and a
test compares. All of it is of one folder, and of a run that is well under way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from psyflow.work.crowd import (
    asking_pause,
    lease_pause,
    long_seconds,
    longrunning_pause,
    presence_pause,
    sync_pause,
)
from psyflow.work.dealing import claim_seconds

__all__ = ["OPERATIONS", "Latencies", "first_to_saturate", "loads", "most_workers"]

OPERATIONS: Mapping[str, Mapping[str, int]] = {
    "claim": {"look": 8, "read": 1, "create": 1, "link": 1, "remove": 1},
    "lease": {"look": 2, "touch": 1},
    "question": {"look": 2},
    "long-running": {"create": 1, "link": 1},
    "presence": {"look": 1},
}
"""What is done once, in operations: `create` is a small file, written; `link` also a rename."""

SHARE = 0.5
"""Of the time that the folder may be busy with a run: others use it, too, and work is uneven."""
MOST = 10_000
"""Beyond that, nobody has tried what else is too slow."""


@dataclass(frozen=True)
class Latencies:
    """Seconds that operations take in one folder.

    Attributes
    ----------
    look, read, create, link, remove, touch : float
        A look for a name; reading a small file; making one; giving it another name; removing it;
        setting its time.
    append, sync : float
        Adding some rows to a file; bringing them to the disk.
    listing : float
        Listing a hundred names.
    syncs_per_second : float
        How often several processes together can bring their files to the disk.
    """

    look: float
    read: float
    create: float
    link: float
    remove: float
    touch: float
    append: float
    sync: float
    listing: float
    syncs_per_second: float

    def of(self, what: str) -> float:
        """Return how long it takes to do once what `OPERATIONS` names."""
        return sum(n * float(getattr(self, name)) for name, n in OPERATIONS[what].items())


def claims_per_second(n_workers: int, pool_size: int, item_seconds: float) -> float:
    """Return how many claims all jobs make in a second.

    Examples
    --------
    >>> [round(claims_per_second(n, 1, 0.001)) for n in (1, 8, 1000)]
    [4, 5, 5]
    >>> claims_per_second(8, 8, 100.0)
    0.08
    """
    n_jobs = math.ceil(n_workers / pool_size)
    rate = pool_size / item_seconds
    portion = max(1, math.ceil(rate * claim_seconds(n_jobs)))
    return n_jobs * rate / portion


def loads(
    latencies: Latencies, n_workers: int, pool_size: int, item_seconds: float
) -> dict[str, float]:
    """Return which share of the time each thing is busy that all workers have in common.

    Parameters
    ----------
    latencies : Latencies
    n_workers : int
        Of all jobs.
    pool_size : int
        Workers of each job.
    item_seconds : float
        How long an item takes.
    """
    pool_size = min(pool_size, n_workers)
    n_jobs = math.ceil(n_workers / pool_size)
    leases = latencies.of("lease") / lease_pause(n_jobs)
    leases += latencies.of("presence") / max(0.5, presence_pause(n_jobs))
    if item_seconds > long_seconds(n_jobs):
        leases += latencies.of("question") / asking_pause(n_jobs)
        leases += latencies.of("long-running") / longrunning_pause(n_jobs)
    # A worker with nothing new brings nothing to the disk.
    syncs = min(1 / sync_pause(n_workers), 1 / item_seconds)
    return {
        "claim log": claims_per_second(n_workers, pool_size, item_seconds) * latencies.of("claim"),
        "leases": n_jobs * leases,
        "fsync": n_workers * syncs / latencies.syncs_per_second,
    }


def first_to_saturate(busy: Mapping[str, float]) -> str:
    """Return what is busy the most."""
    return max(busy, key=lambda name: busy[name])


def most_workers(
    latencies: Latencies, pool_size: int, item_seconds: float = 1.0
) -> tuple[int, str]:
    """Return how many workers may be at work, and what limits them; up to 10 000.

    Examples
    --------
    >>> quick = Latencies(*[1e-6] * 9, syncs_per_second=1e4)
    >>> most_workers(quick, pool_size=32)
    (10000, 'fsync')
    """
    n_workers = most = MOST
    busy = loads(latencies, n_workers, pool_size, item_seconds)
    while n_workers > 1 and max(busy.values()) > SHARE:
        most, n_workers = n_workers, max(1, int(n_workers / 1.25))
        busy = loads(latencies, n_workers, pool_size, item_seconds)
    limit = first_to_saturate(loads(latencies, most, pool_size, item_seconds))
    return _rounded(n_workers), limit


def _rounded(n: int) -> int:
    """Return a number with one digit that counts, or two: nothing here is known better."""
    unit: int = 10 ** max(0, len(str(n)) - 2)
    return n // unit * unit
