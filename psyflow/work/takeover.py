"""What jobs that ended left of their claims, for those that are still at work.

A job that was preempted, or whose node died, has claims that it did not finish. Whoever finds the
claim log exhausted looks for such jobs by their leases and takes their claims over. If a job is
only thought dead, its items are computed twice, and are in the result once.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.system.lease import is_over, server_time
from psyflow.system.owner import Owner
from psyflow.work.claims import ClaimLog
from psyflow.work.prepared import NO_RETRIES, Retries
from psyflow.work.settled import settled_in

__all__ = ["Remains", "finished_in", "lease_name"]

Items: TypeAlias = "npt.NDArray[np.int64]"

PIECES = 16
MOST_LOOKED_AT = 100
"""Leases of others that a job looks at when nothing else is left to do."""


def lease_name(shard: str) -> str:
    """Return the name of the lease of the job that writes a shard.

    Examples
    --------
    >>> lease_name("20260101T000000-f00d.3.0a1b2c3d.0-0.rows")
    '20260101T000000-f00d.3.0a1b2c3d'
    """
    return shard.rsplit(".", 2)[0]


def finished_in(shards: Iterable[Path], retries: Retries = NO_RETRIES) -> Items:
    """Return the items that have an outcome in any of `shards`.

    One that has failed, and is to be tried again by `retries`, has none: its job may have ended
    before it was.
    """
    items = [settled_in(shard, retries, {}) for shard in shards]
    return np.concatenate(items) if items else np.empty(0, dtype=np.int64)


class Remains:
    """The claims of one log whose owners have ended.

    Parameters
    ----------
    log : ClaimLog
    items : ndarray of int64
        The items of the batch.
    leases, out : Path
        Folders of the leases and of the shards.
    retries : Retries
        Which failures are no outcome yet.
    """

    def __init__(
        self, log: ClaimLog, items: Items, leases: Path, out: Path, retries: Retries
    ) -> None:
        self._log = log
        self._items = items
        self._leases = leases
        self._out = out
        self._retries = retries

    def take(self, owner: Owner, shard: str) -> Iterator[Items]:
        """Take over, one after the other, the claims that nobody alive works on.

        Parameters
        ----------
        owner : Owner
        shard : str
            The shard of whoever takes them.
        """
        over = self._over(lease_name(shard))
        if not over:
            return
        shards = self._out.glob(f"{shard.partition('.')[0]}.*.rows")
        finished = finished_in(shards, self._retries)
        for claim in list(self._log.claims()):
            if lease_name(claim.shard) not in over:
                continue
            left = np.setdiff1d(self._items[claim.start : claim.stop], finished)
            taken = self._log.take_over(claim, owner, shard) if len(left) else None
            if taken is not None:
                print(f"Items of {claim.owner}, which ended, are taken over.", flush=True)
                yield from _in_pieces(left, backwards=taken.takeovers % 2 == 1)

    def _over(self, mine: str) -> set[str]:
        """Return the leases of jobs that ended with something undone."""
        leases = [path for path in self._leases.iterdir() if path.name[0] != "."]
        others = [path for path in leases if path.name != mine]
        if len(others) > MOST_LOOKED_AT:
            # With a thousand jobs, each that ends would ask for a thousand leases. Whoever has
            # ended is looked at by a hundred others all the same.
            others = random.SystemRandom().sample(others, MOST_LOOKED_AT)
        now = server_time(self._leases) if others else 0.0
        return {path.name for path in others if _is_same_job(path, mine) or is_over(path, now)}


def _in_pieces(items: Items, *, backwards: bool) -> list[Items]:
    """Return `items` in a few pieces, whose outcomes are written one by one.

    One of the items may be what ended their owner, and may end the next one as well. From both
    ends in turn, all items but those of its own piece get done.
    """
    pieces = np.array_split(items, min(PIECES, len(items)))
    return pieces[::-1] if backwards else pieces


def _is_same_job(lease: Path, mine: str) -> bool:
    """Tell whether a lease is of an earlier start of the same job, which then must be over."""
    return lease.name.rpartition(".")[0] == mine.rpartition(".")[0]
