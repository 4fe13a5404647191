"""Items that have been running for long, as the supervisors of jobs tell whoever looks.

Only a worker and its supervisor know at what it is. What has been running for some seconds is told
in a file beside the lease of the job, so that an item that hangs can be seen from any host.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from psyflow.system.files import write_atomic
from psyflow.system.lease import is_stale
from psyflow.system.owner import Owner
from psyflow.system.reading import read_whole
from psyflow.work.crowd import long_seconds, longrunning_pause

__all__ = ["LongRunning", "told_in"]

MARK = ".running-"
"""What the names of these files begin with, among the leases."""
REPEAT_SECONDS = 60.0
"""How often it is told again that items are still running: who is silent for long is dead."""


class LongRunning:
    """Tells which items of a job have been running for long.

    Parameters
    ----------
    leases : Path or None
        Where the jobs of the run have their leases; nobody is told if there is no such place.
    name : str
        Of the job's lease.
    n_jobs : int
        All jobs of the run, which tell it in the same folder.
    """

    def __init__(self, leases: Path | None, name: str, n_jobs: int = 1) -> None:
        self._pause, self._long = longrunning_pause(n_jobs), long_seconds(n_jobs)
        self._path = leases / f"{MARK}{name}" if leases is not None else None
        self._told: list[tuple[int, float]] = []
        self._time = float("-inf")

    def tell(self, running: Iterable[tuple[int, float]]) -> None:
        """Say which items are running, with the starts (`time.monotonic`) of each."""
        now = time.monotonic()
        if self._path is None or now - self._time < self._pause:
            return
        # Not the items of a second or two, of which there is always one.
        long = [(item, start) for item, start in running if now - start > self._long]
        if long != self._told or (long and now - self._time > REPEAT_SECONDS):
            self._told, self._time = long, now
            epoch = time.time() - now
            # Who writes results tells what is wrong with the disk; this is only for who looks.
            with contextlib.suppress(OSError):
                self._write(self._path, [(item, epoch + start) for item, start in long])

    def end(self) -> None:
        """Say that no item is running."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    @staticmethod
    def _write(path: Path, items: list[tuple[int, float]]) -> None:
        told = {"owner": asdict(Owner.here()), "items": items}
        # After a power loss nobody is at work.
        write_atomic(path, json.dumps(told), durable=False)


def told_in(leases: Path) -> Iterator[tuple[int, float, str, str]]:
    """Yield the items that living jobs tell of: with start, host, and name of the job's lease.

    The start is in seconds since 1970.
    """
    for file in leases.glob(f"{MARK}*"):
        # A job may end at any moment, or have died while it wrote.
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
            told = json.loads(read_whole(file))
            owner = Owner.from_fields(told["owner"])
            is_dead = owner.is_dead()
            if is_dead is None:
                is_dead = is_stale(file.stat().st_mtime, time.time())
            if not is_dead:
                for item, since in told["items"]:
                    yield int(item), float(since), owner.host, file.name.removeprefix(MARK)
