"""Failures of one kind with which a run begins: somebody should hear of these before it ends."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from psyflow.outcomes.records import Failure
from psyflow.outcomes.shard import ROWS, ShardReader
from psyflow.system.files import write_atomic
from psyflow.work.prepared import Retries
from psyflow.work.settled import failures_in

__all__ = ["MARK", "NOTEWORTHY", "Alike", "FirstFailures", "likeness"]

MARK = ".alike-"
"""What the names of the files begin with that tell of such failures, among the leases."""
NOTEWORTHY = 20
"""After how many of one kind, and no result, that is told."""


@dataclass(frozen=True)
class Alike:
    """What all the first items of a job came to.

    Attributes
    ----------
    n_failed : int
        How many failed so.
    item : int
        One of them.
    kind, exception, traceback : str
        What is recorded of its failure.
    stops : bool
        Whether the job claims no more, because all items would.
    """

    n_failed: int
    item: int
    kind: str
    exception: str
    traceback: str
    stops: bool


def likeness(failure: Failure) -> tuple[str, str, str]:
    """Return what failures of one kind have in common: the exception, and where it came from."""
    name = failure.exception.partition(":")[0] if failure.traceback else failure.exception
    place = failure.traceback.rpartition('  File "')[2].partition(", in ")[0]
    return failure.kind, name, place


class FirstFailures:
    """Looks whether the first items of a job all fail, and in the same way.

    Parameters
    ----------
    out : Path
        The folder of the shards.
    leases : Path or None
        Where it is told; nobody is told if there is no such place.
    name : str
        Of the job: what the names of its own shards begin with; up to the first dot, those of all
        jobs of the run.
    retries : Retries
        Which failures are no outcome, because the item is tried again.
    has_earlier : bool
        Whether there are results already.
    may_stop : bool
        Whether the job ends if no item can escape what has failed so often.

    Attributes
    ----------
    is_over : bool
        Whether there is nothing more to tell.
    """

    def __init__(
        self,
        out: Path,
        leases: Path | None,
        name: str,
        retries: Retries,
        *,
        has_earlier: bool,
        may_stop: bool,
    ) -> None:
        self._out = out
        self._path = leases / f"{MARK}{name}" if leases is not None else None
        self._name = name
        self._retries = retries
        self._may_stop = may_stop
        self.is_over = has_earlier
        self._next = NOTEWORTHY

    def look(self, n_failed: int, *, is_doomed: bool) -> Alike | None:
        """Return what there is to tell, once.

        Parameters
        ----------
        n_failed : int
            How many items of the job have failed so far.
        is_doomed : bool
            Whether an item has failed in a way that no other one can escape.
        """
        if self.is_over or n_failed < self._next:
            return None
        # Not after each failure: shards are read from their beginning.
        self._next = 2 * n_failed
        if any(self._has_rows(shard) for shard in self._shards()):
            self.is_over = True
            return None
        largest = max(self._by_kind().values(), key=len, default=[])
        if len(largest) < NOTEWORTHY:
            return None
        self.is_over = True
        first = min(largest, key=lambda failure: failure.item)
        told = (first.item, first.kind, first.exception, first.traceback)
        found = Alike(len(largest), *told, stops=self._may_stop and is_doomed)
        if self._path is not None:
            # Who writes results tells what is wrong with the disk.
            with contextlib.suppress(OSError):
                write_atomic(self._path, json.dumps(asdict(found)), durable=False)
        return found

    def _shards(self) -> Iterator[Path]:
        return self._out.glob(f"{self._name.partition('.')[0]}.*.rows")

    @staticmethod
    def _has_rows(shard: Path) -> bool:
        return any(frame.kind == ROWS for frame in ShardReader(shard).new_frames())

    def _by_kind(self) -> dict[tuple[str, str, str], list[Failure]]:
        """Return the failures of the job, those of one exception in one line together."""
        found: dict[tuple[str, str, str], list[Failure]] = {}
        for failure in self._failures():
            found.setdefault(likeness(failure), []).append(failure)
        return found

    def _failures(self) -> Iterator[Failure]:
        for shard in self._shards():
            if not shard.name.startswith(f"{self._name}."):
                continue
            reader = ShardReader(shard)
            for frame in reader.new_frames():
                for failure in failures_in(reader, frame):
                    if not self._retries.allow(failure.kind, failure.attempt):
                        yield failure
