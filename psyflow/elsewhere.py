"""How many items have failed in the other jobs of a run."""

from __future__ import annotations

import time
from pathlib import Path

from psyflow.prepared import Retries
from psyflow.shard import FAILURE, ShardReader

__all__ = ["FailuresElsewhere"]

LOOK_SECONDS = 2.0


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
    """

    def __init__(self, out: Path, mine: str, retries: Retries) -> None:
        self._out = out
        self._mine = mine
        self._retries = retries
        self._readers: dict[Path, ShardReader] = {}
        self._failed: set[int] = set()
        self._looked = float("-inf")

    def count(self) -> int:
        """Return how many items have failed, as of a few seconds ago."""
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._look()
            self._looked = time.monotonic()
        return len(self._failed)

    def _look(self) -> None:
        for shard in self._out.glob(f"{self._mine.partition('.')[0]}.*.rows"):
            if not shard.name.startswith(f"{self._mine}."):
                self._read(self._readers.setdefault(shard, ShardReader(shard)))

    def _read(self, reader: ShardReader) -> None:
        for frame in reader.new_frames():
            if frame.kind != FAILURE:
                continue
            failure = reader.failure(frame)
            if not self._retries.allow(failure.kind, failure.attempt):
                self._failed.add(failure.item)
