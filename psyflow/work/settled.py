"""Which items of a shard have their outcome, and which are tried again after what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.exceptions import DamagedFileError
from psyflow.outcomes.records import Failure
from psyflow.outcomes.shard import FAILURE, REFUSED, Frame, ShardReader
from psyflow.work.prepared import Retries

__all__ = ["failures_in", "settled_in"]

Items: TypeAlias = "npt.NDArray[np.int64]"


def settled_in(shard: Path, retries: Retries, attempts: dict[int, int]) -> Items:
    """Return the items that have their outcome in `shard`; note the `attempts` of the others."""
    reader = ShardReader(shard)
    settled = [np.empty(0, dtype=np.int64)]
    for frame in reader.new_frames() if shard.exists() else []:
        if frame.kind == REFUSED:
            continue  # its failure comes after it
        if frame.kind != FAILURE:
            settled.append(frame.items)
        for failure in failures_in(reader, frame):
            if retries.allow(failure.kind, failure.attempt):
                attempts[failure.item] = failure.attempt
            else:
                settled.append(np.array([failure.item], dtype=np.int64))
    return np.concatenate(settled)


def failures_in(reader: ShardReader, frame: Frame) -> list[Failure]:
    """Return the failures of a frame; none if it is damaged: then its items run again."""
    if frame.kind != FAILURE:
        return []
    try:
        return reader.failures(frame)
    except DamagedFileError:
        return []
