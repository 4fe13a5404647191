"""Items that are handed to a worker, block by block, instead of claimed by it.

Where a worker has no folder in common with others, somebody else claims. One worker at a time
reads from the pipe; should it die, the next one finds in a file what it was at.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from psyflow.system.files import write_atomic
from psyflow.system.reading import read_whole

__all__ = ["DONE", "Feed", "block_bytes"]

DONE = b"+"
"""What is answered when no more will come of a block."""
BLOCK_SECONDS = 0.5
"""After how long a worker begins with nothing more of a block."""
CHUNK_SECONDS = 0.1
"""How long what is evaluated in one go is to take."""
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
        The file that has the items that are being evaluated, and whose they are.
    """

    source: int
    answers: int
    present: Path

    def blocks(self, shard: str, is_stopping: Callable[[], bool]) -> Iterator[Items]:
        """Yield items of block after block, and say when there is no more to come of one.

        What takes much longer than it should is not done to its end: somebody else may have the
        time, and whoever has sent it learns what there is.

        Parameters
        ----------
        shard : str
            Name of the worker's shard.
        is_stopping : callable
        """
        while True:
            if self.present.exists():
                # Or one has died of it. What it had not begun with goes back.
                self.present.unlink()
                os.write(self.answers, DONE)
            if (items := self._next(is_stopping)) is None:
                return
            begin, size = time.monotonic(), 1
            while len(items) and time.monotonic() - begin < BLOCK_SECONDS:
                chunk, items = items[:size], items[size:]
                chunk_begin = time.monotonic()
                self._note(shard, chunk)
                yield chunk
                seconds = time.monotonic() - chunk_begin
                size = max(1, min(8 * size, int(len(chunk) * CHUNK_SECONDS / seconds)))

    def _note(self, shard: str, items: Items) -> None:
        name = shard.encode()
        head = len(name).to_bytes(_COUNT_BYTES, "little") + name
        write_atomic(self.present, head + items.tobytes(), durable=False)

    def block_of(self, shard: str) -> Items | None:
        """Return the items at which the worker of a shard is, or was; None if at none."""
        try:
            data = read_whole(self.present)
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
