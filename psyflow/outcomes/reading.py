"""What a set of shards holds, without the values: pieces with rows, and how the others ended."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from psyflow.outcomes.frames import REFUSED, ROWS, STATE_OF_KIND, Frame
from psyflow.outcomes.shard import ShardReader
from psyflow.outcomes.states import WITHOUT_ROW, State
from psyflow.outcomes.table import LOG_POSITIONS, Block, Bookkeeping, FailureRecord, Items, Piece
from psyflow.outcomes.workers import Workers
from psyflow.system.trust import Origin

__all__ = ["Outcomes", "read_outcomes"]


@dataclass
class Outcomes:
    """What a set of shards holds.

    Attributes
    ----------
    pieces : list of Piece
        Of result rows.
    workers : Workers
        What the ``worker`` of the bookkeeping counts.
    records : mapping from State to list of FailureRecord
        Of evaluations that ended without a row, in the order of the shards, and as they came in
        each.
    ended : mapping from State to ndarray of int64
        The items whose last evaluation without a row ended so, ascending; some may have a result
        as well, from another attempt.
    """

    pieces: list[Piece]
    workers: Workers
    records: Mapping[State, list[FailureRecord]]
    ended: Mapping[State, Items]

    @property
    def failures(self) -> list[FailureRecord]:
        """The records of the evaluations that failed."""
        return self.records[State.FAILED]

    @property
    def skips(self) -> list[FailureRecord]:
        """The records of the evaluations that were skipped."""
        return self.records[State.SKIPPED]

    @property
    def failed(self) -> Items:
        """The items that failed, also if they have a result as well."""
        return self.ended[State.FAILED]

    @property
    def skipped(self) -> Items:
        """The items that were skipped, likewise."""
        return self.ended[State.SKIPPED]


def read_outcomes(
    shards: Iterable[Path],
    numbering: Callable[[Path], Items | None] = lambda shard: None,
    *,
    origin: Callable[[Path], Origin | None] = lambda shard: None,
    takes: Callable[[ShardReader, Frame], bool] = lambda reader, frame: False,
    job_id: Callable[[Path], str] = lambda shard: "",
    verify: bool = False,
) -> Outcomes:
    """Read what `shards` hold, without the values.

    Parameters
    ----------
    shards : iterable of Path
    numbering : callable
        Given a shard, the array that turns its item numbers into present ones (−1: no longer asked
        for), or None if they are the same.
    origin : callable
        Given a shard, what tells whose it is.
    takes : callable
        Given a frame of rows that the store of a run could not hold, whether they count after all.
    job_id : callable
        Given a shard, what the scheduler called the job that wrote it.
    verify : bool
        Read every payload and leave out those that are damaged.
    """
    pieces: list[Piece] = []
    workers = Workers()
    records: dict[State, list[FailureRecord]] = {state: [] for state in WITHOUT_ROW}
    for shard in shards:
        reader = ShardReader(shard, origin(shard))
        renumber = numbering(shard)
        for frame in reader.new_frames(verify=verify):
            items = frame.items if renumber is None else renumber[frame.items]
            if frame.kind == REFUSED and not takes(reader, frame):
                continue
            if frame.kind in (ROWS, REFUSED):
                load = _frame_loader(reader, frame, workers, job_id)
                pieces.append(Piece(items, frame.length, load, shard))
                continue
            records[STATE_OF_KIND[frame.kind]] += [
                FailureRecord(item, reader, frame, place)
                for place, item in enumerate(items.tolist())
            ]
    return Outcomes(pieces, workers, records, _by_last_word(records))


def _by_last_word(records: Mapping[State, Sequence[FailureRecord]]) -> dict[State, Items]:
    """Return the items whose evaluations ended in each way; the latest of each item counts."""
    ways = {state: {r.item for r in some if r.item >= 0} for state, some in records.items()}
    n_ways = Counter(itertools.chain.from_iterable(ways.values()))
    unclear = {item for item, n in n_ways.items() if n > 1}
    latest: dict[int, tuple[float, int]] = {}
    # Reading takes time: only where several have happened. The names of shards do not tell, for
    # those of two runs within a second are in no order.
    for record in itertools.chain.from_iterable(records.values()) if unclear else ():
        if record.item in unclear:
            word = record.read().start, record.frame.kind
            latest[record.item] = max(latest.get(record.item, word), word)
    for item, (_, kind) in latest.items():
        for state, items in ways.items():
            if state is not STATE_OF_KIND[kind]:
                items.discard(item)
    return {state: np.array(sorted(items), dtype=np.int64) for state, items in ways.items()}


def _frame_loader(
    reader: ShardReader, frame: Frame, workers: Workers, job_id: Callable[[Path], str]
) -> Callable[[], Block]:
    def load() -> Block:
        rows = reader.rows(frame)
        worker = workers.number(f"{rows.host} {rows.pid} {rows.log}", job_id(reader.path))
        bookkeeping: Bookkeeping = {
            "start": rows.start,
            "duration": rows.duration,
            "attempt": rows.attempt,
            # The same for all: views, which take no memory however many there are.
            "worker": np.broadcast_to(np.int32(worker), len(rows.items)),
            "peak_kib": np.broadcast_to(np.asarray(rows.peak_kib, np.int32), len(rows.items)),
        }
        if rows.printed is not None:
            bookkeeping |= dict(zip(LOG_POSITIONS, rows.printed.T, strict=True))
        bookkeeping |= rows.programs or {}
        return Block(rows.columns, bookkeeping)

    return load
