"""A shard without its rows, where these have come to be in the result in another form."""

from __future__ import annotations

from pathlib import Path

from psyflow.outcomes.beside import packed_file
from psyflow.outcomes.shard import ROWS, ShardReader, ShardWriter
from psyflow.system.files import atomic_path, sync_folder

__all__ = ["drop_rows"]


def drop_rows(shard: Path) -> None:
    """Take the rows out of a shard that nobody writes to; failures and skips stay.

    It is replaced as a whole, or removed if there was nothing else in it.
    """
    reader = ShardReader(shard)
    frames = [one for one in reader.new_frames(verify=True) if one.kind != ROWS]
    packed = packed_file(shard)
    if packed.exists():
        # First, and durably: it has the rows, too.
        packed.unlink()
        sync_folder(shard.parent)
    if not frames:
        shard.unlink()
        return
    with atomic_path(shard) as temporary, ShardWriter(temporary) as writer:
        for frame in frames:
            writer.write_frame(frame, reader.payload(frame))
