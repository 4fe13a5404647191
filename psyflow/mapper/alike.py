"""Failures of one kind with which a map begins: said at once; its end if no pset can escape."""

from __future__ import annotations

import math
from collections.abc import Sequence

from psyflow.mapper.batches import Returned
from psyflow.outcomes.records import OF_RESULT, SKIPPED, Failure
from psyflow.report.alike import OF_MAPS, about_alike
from psyflow.work.alike import NOTEWORTHY, Alike, likeness

__all__ = ["Together"]

UNFIT_AT_FIRST = 3
"""If this many results come first that cannot be kept, none will."""


class Together:
    """Looks whether the first psets of a map all fail in one way, and when failures are too many.

    Parameters
    ----------
    most : float, optional
        With how many failures nobody goes on. Without it, a map ends where no pset can do better.

    Attributes
    ----------
    found : Alike or None
        What all the first psets failed with, if they did.
    ends : bool
        Whether nothing more is to be evaluated.
    """

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to find: a pset has a result, or it is found."""
        return self._has_rows or self.found is not None

    def __init__(self, most: float | None = None) -> None:
        self._most = math.inf if most is None else most
        self._may_stop = most is None
        self._n_failed = 0
        self._alike: dict[tuple[str, str, str], list[int]] = {}
        self._firsts: dict[tuple[str, str, str], Failure] = {}
        self._has_rows = False
        self._is_doomed = False
        self.found: Alike | None = None
        self.ends = False

    def heed(self, returned: Returned) -> bool:
        """Take notice of some outcomes, and tell whether nothing more is to be evaluated."""
        self._has_rows = self._has_rows or bool(returned.rows)
        self._is_doomed |= returned.ended is not None and returned.ended.is_doomed
        failed = [failure for failure in returned.failures if failure.kind != SKIPPED]
        self._n_failed += len(failed)
        if not self.is_over:
            self._count(failed)
            # What an exception proves is told at the end of its batch.
            if returned.ended is not None or any(failure.kind != "error" for failure in failed):
                self._look()
        self.ends = self.ends or self._n_failed >= self._most
        return self.ends

    def _count(self, failed: Sequence[Failure]) -> None:
        for failure in failed:
            like = likeness(failure)
            self._alike.setdefault(like, []).append(failure.item)
            first = self._firsts.setdefault(like, failure)
            if failure.item < first.item:
                self._firsts[like] = failure

    def _look(self) -> None:
        like = max(self._alike, key=lambda one: len(self._alike[one]), default=None)
        if like is None:
            return
        n_failed, first = len(self._alike[like]), self._firsts[like]
        is_unfit = first.kind == OF_RESULT and n_failed >= UNFIT_AT_FIRST
        if n_failed < NOTEWORTHY and not (is_unfit and self._may_stop):
            return
        told = (first.item, first.kind, first.exception, first.traceback)
        stops = self._may_stop and (self._is_doomed or is_unfit)
        self.found = Alike(n_failed, *told, stops=stops)
        self.ends = stops

    def told(self, *, is_running: bool = True, n_left: int | None = None) -> str:
        """Say what all the first psets failed with; nothing if they did not."""
        if self.found is None:
            return ""
        return about_alike(
            self.found, "call it again", is_running=is_running, n_left=n_left, words=OF_MAPS
        )
