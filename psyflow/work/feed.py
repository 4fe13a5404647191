"""Items that are handed to a worker, block by block, instead of claimed by it.

Where a worker has no folder in common with others, somebody else claims. One worker at a time
reads from the pipe; should it die, the next one finds in a file what it was at.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from psyflow.system.files import write_atomic

__all__ = ["DONE", "Feed", "block_bytes"]

DONE = b"+"
"""What is answered when each item of a block has its outcome."""
PATIENCE_SECONDS = 120.0
"""After how long without a block it counts as exhausted."""
_POLL_SECONDS = 0.2
_COUNT_BYTES = 8

Items = npt.NDArray[np.int64]


def block_bytes(items: Items) -> bytes:
    """Return a block as it goes through the pipe."""
    return len(items).to_bytes(_COUNT_BYTES, "little") + items.astype("<i8").tobytes()


@dataclass(frozen=True)
class Feed:
    """Where blocks come from, and where it is said that they are done.

    Attributes
    ----------
    source, answers : int
        File descriptors.
    present : Path
        The file that has the block that is being evaluated, and whose that is.
    """

    source: int
    answers: int
    present: Path

    def blocks(self, shard: str, is_stopping: Callable[[], bool]) -> Iterator[Items]:
        """Yield block after block; asking for the next one says that all of the last is done.

        Parameters
        ----------
        shard : str
            Name of the worker's shard.
        is_stopping : callable
        """
        while True:
            if self.present.exists():
                self.present.unlink()
                os.write(self.answers, DONE)
            if (items := self._next(is_stopping)) is None:
                return
            name = shard.encode()
            head = len(name).to_bytes(_COUNT_BYTES, "little") + name
            write_atomic(self.present, head + items.tobytes(), durable=False)
            yield items

    def block_of(self, shard: str) -> Items | None:
        """Return the block at which the worker of a shard is, or was; None if at none."""
        try:
            data = self.present.read_bytes()
        except FileNotFoundError:
            return None
        end = _COUNT_BYTES + int.from_bytes(data[:_COUNT_BYTES], "little")
        if data[_COUNT_BYTES:end] != shard.encode():
            return None
        return np.frombuffer(data[end:], dtype=np.int64)

    def _next(self, is_stopping: Callable[[], bool]) -> Items | None:
        waited = 0.0
        while not select.select([self.source], [], [], _POLL_SECONDS)[0]:
            waited += _POLL_SECONDS
            if is_stopping() or waited > PATIENCE_SECONDS:
                return None
        count = int.from_bytes(self._read(_COUNT_BYTES), "little")
        data = self._read(_COUNT_BYTES * count)
        return np.frombuffer(data, dtype="<i8").astype(np.int64) if count else None

    def _read(self, size: int) -> bytes:
        """Read so many bytes; fewer if there are no more."""
        parts = []
        while size and (part := os.read(self.source, size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
