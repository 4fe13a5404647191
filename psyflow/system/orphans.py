"""Processes that outlive what started them, for a moment."""

from __future__ import annotations

import time
from collections.abc import Collection

from psyflow.system.owner import Owner

__all__ = ["ORPHAN_SECONDS", "wait_until_dead"]

ORPHAN_SECONDS = 20.0
"""How long workers may take to end whose `psy run`, or whose call, was killed."""


def wait_until_dead(owners: Collection[Owner], seconds: float) -> bool:
    """Wait at most `seconds` for processes on this host to end, and tell whether they did."""
    deadline = time.monotonic() + seconds
    while any(owner.is_dead() is False for owner in owners):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
