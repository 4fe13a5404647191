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

__all__ = ["failure_in", "settled_in"]

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
        elif (failure := failure_in(reader, frame)) is not None:
            if retries.allow(failure.kind, failure.attempt):
                attempts[failure.item] = failure.attempt
            else:
                settled.append(frame.items)
    return np.concatenate(settled)


def failure_in(reader: ShardReader, frame: Frame) -> Failure | None:
    """Return a failure, or None if it is damaged: then its item runs again."""
    try:
        return reader.failure(frame)
    except DamagedFileError:
        return None
