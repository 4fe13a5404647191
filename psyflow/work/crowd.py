"""How often each of many processes may do what all of them do in one folder.

A file server bears some hundred operations in a folder each second, whoever asks for them. So what
each job or worker does from time to time, it does the less often the more of them there are. Of a
few dozen, none notices that.

What that costs is told where it is promised: with a thousand workers, rows are on the disk within
ten seconds instead of one, and what takes long or hangs is seen some tens of seconds later.
"""

from __future__ import annotations

from psyflow.system.lease import RENEW_SECONDS

__all__ = [
    "asking_pause",
    "lease_pause",
    "long_seconds",
    "longrunning_pause",
    "presence_pause",
    "reading_pause",
    "sync_pause",
]

PER_SECOND = 100.0
"""Operations that all processes together may do in one folder each second."""


def _pause(least: float, most: float, n: float) -> float:
    return min(max(least, n / PER_SECOND), most)


def sync_pause(n_workers: int) -> float:
    """Return after how many seconds a worker brings what it has written to the disk.

    Examples
    --------
    >>> [sync_pause(n) for n in (1, 50, 1000, 5000)]
    [0.5, 0.5, 10.0, 30.0]
    """
    return _pause(0.5, 30.0, n_workers)


def lease_pause(n_jobs: int) -> float:
    """Return how often a job says that it lives; others wait twice as long at least.

    Examples
    --------
    >>> [lease_pause(n) for n in (1, 200, 1000, 5000)]
    [10.0, 10.0, 50.0, 50.0]
    """
    return _pause(RENEW_SECONDS, 50.0, 5 * n_jobs)


def presence_pause(n_jobs: int) -> float:
    """Return how often a job looks whether its run is where it was."""
    return _pause(0.0, 40.0, 4 * n_jobs)


def longrunning_pause(n_jobs: int) -> float:
    """Return how often a job tells what has been running for long."""
    return _pause(10.0, 50.0, 5 * n_jobs)


def long_seconds(n_jobs: int) -> float:
    """Return from when on an item takes long.

    Examples
    --------
    >>> [long_seconds(n) for n in (1, 200, 1000)]
    [2.0, 2.0, 50.0]
    """
    pause = longrunning_pause(n_jobs)
    # Of very many jobs, each would always have something to tell that is over when it is read.
    return 2.0 if pause == longrunning_pause(1) else pause


def asking_pause(n_jobs: int) -> float:
    """Return how often a job looks whether it is asked where an item is."""
    return _pause(1.0, 40.0, 5 * n_jobs)


def reading_pause(n_jobs: int) -> float:
    """Return how often a job reads the shards of all others; there are as many at least."""
    return _pause(2.0, 60.0, n_jobs * n_jobs / 50)
