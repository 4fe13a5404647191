"""What is read in shards while a job runs: whether too many failed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from psyflow.outcomes.records import OF_RESULT
from psyflow.outcomes.shard import ROWS, ShardReader
from psyflow.system.exits import ALL_WOULD_FAIL, TOO_MANY_FAILURES
from psyflow.work.alike import FirstFailures
from psyflow.work.capture import say
from psyflow.work.crowd import reading_pause
from psyflow.work.prepared import Retries
from psyflow.work.settled import failures_in
from psyflow.work.worker import Work

__all__ = ["FailureLimit", "FailuresElsewhere", "n_unfit_in"]


class FailureLimit:
    """Tells a supervisor when the failures of items are a reason to stop early.

    Parameters
    ----------
    job : Work
    name : str
        What the names of the job's shards begin with.
    """

    def __init__(self, job: Work, name: str) -> None:
        self._most = job.max_failures
        self._elsewhere = FailuresElsewhere(job.out, name, job.retries, job.n_jobs)
        self._first = FirstFailures(
            job.out,
            job.leases,
            name,
            job.retries,
            has_earlier=job.has_earlier,
            may_stop=job.max_failures is None,
        )

    @property
    def is_curious(self) -> bool:
        """Whether it is worth while to look often, since few failures may be enough."""
        return self._most is not None or not self._first.is_over

    def verdict(self, n_failed: int, *, is_doomed: bool) -> int:
        """Return the exit status of a job that is to stop, or 0; say why.

        Parameters
        ----------
        n_failed : int
            How many of its items have failed.
        is_doomed : bool
            Whether one of them has failed in a way that no other one can escape.
        """
        found = self._first.look(n_failed, is_doomed=is_doomed)
        if found is not None:
            say(f"{found.n_failed} items have failed with {found.exception}, and none is done.")
            if found.stops:
                say("No other item can do better here: stopping early.")
                return ALL_WOULD_FAIL
        if self._most is None:
            return 0
        n_failed += self._elsewhere.count()
        if n_failed < self._most:
            return 0
        say(f"{n_failed} items have failed: stopping early.")
        return TOO_MANY_FAILURES


class FailuresElsewhere:
    """Reads the shards of other jobs now and then.

    Parameters
    ----------
    out : Path
        The folder of the shards.
    mine : str
        What the names of this job's own shards begin with; up to the first dot, those of all jobs.
    retries : Retries
        Which failures are no outcome, because the item is tried again.
    n_jobs : int
        All jobs of the run.
    """

    def __init__(self, out: Path, mine: str, retries: Retries, n_jobs: int = 1) -> None:
        self._pause = reading_pause(n_jobs)
        self._out = out
        self._mine = mine
        self._retries = retries
        self._readers: dict[Path, ShardReader] = {}
        self._failed: set[int] = set()
        self._looked = float("-inf")

    def count(self) -> int:
        """Return how many items have failed, as of a few seconds ago."""
        if time.monotonic() - self._looked > self._pause:
            self._look()
            self._looked = time.monotonic()
        return len(self._failed)

    def _look(self) -> None:
        for shard in self._out.glob(f"{self._mine.partition('.')[0]}.*.rows"):
            if not shard.name.startswith(f"{self._mine}."):
                self._read(self._readers.setdefault(shard, ShardReader(shard)))

    def _read(self, reader: ShardReader) -> None:
        for frame in reader.new_frames():
            for failure in failures_in(reader, frame):
                if not self._retries.allow(failure.kind, failure.attempt):
                    self._failed.add(failure.item)


def n_unfit_in(shards: Iterable[Path]) -> int:
    """Count the items in shards whose results could not be kept; 0 if there are any rows."""
    unfit: set[int] = set()
    for reader in map(ShardReader, shards):
        for frame in reader.new_frames():
            if frame.kind == ROWS:
                return 0
            found = failures_in(reader, frame)
            unfit.update(failure.item for failure in found if failure.kind == OF_RESULT)
    return len(unfit)
