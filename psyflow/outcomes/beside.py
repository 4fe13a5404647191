"""What the file beside a shard is called; see `psyflow.outcomes.packed`. Imports nothing large."""

from __future__ import annotations

from pathlib import Path

__all__ = ["PACKED_SUFFIX", "packed_file"]

PACKED_SUFFIX = ".packed"


def packed_file(shard: Path) -> Path:
    """Return the file beside a shard, which need not be there.

    Examples
    --------
    >>> packed_file(Path("a.0-0.rows")).name
    'a.0-0.rows.packed'
    """
    return shard.with_name(f"{shard.name}{PACKED_SUFFIX}")
