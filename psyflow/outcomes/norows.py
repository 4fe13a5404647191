"""A shard without its rows, where these have come to be in the result in another form."""

from __future__ import annotations

from pathlib import Path

from psyflow.outcomes.shard import ROWS, ShardReader, ShardWriter
from psyflow.system.files import atomic_path

__all__ = ["drop_rows"]


def drop_rows(shard: Path) -> None:
    """Take the rows out of a shard that nobody writes to; failures and skips stay.

    It is replaced as a whole, or removed if there was nothing else in it.
    """
    reader = ShardReader(shard)
    frames = [one for one in reader.new_frames() if one.kind != ROWS and reader.is_intact(one)]
    if not frames:
        shard.unlink()
        return
    with atomic_path(shard) as temporary, ShardWriter(temporary) as writer:
        for frame in frames:
            writer.write_frame(frame, reader.payload(frame))
