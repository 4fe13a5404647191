"""Whether it makes sense to go on, after failures and results that cannot be kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psyflow.texts import users_frames
from psyflow.work.inescapable import Inescapable
from psyflow.work.kept import Kept
from psyflow.work.prepared import Prepared

__all__ = ["Prospects"]

UNFIT_AT_FIRST = 3
"""If this many results come first that cannot be kept, none will."""


class Prospects:
    """What is to be expected of further items.

    Parameters
    ----------
    prepared : Prepared
    kept : Kept

    Attributes
    ----------
    are_doomed : bool
        Whether an item has failed in a way that no other one can escape.
    """

    def __init__(self, prepared: Prepared, kept: Kept) -> None:
        self.are_doomed = False
        self._prepared = prepared
        self._kept = kept
        self._n_unfit = 0
        self._inescapable = Inescapable(prepared.execute)

    def may_learn(self, error: BaseException) -> bool:
        """Tell whether there may be anything to learn from what `execute` has raised."""
        return not self.are_doomed and self._inescapable.may_be(error)

    def learn(self, error: BaseException, pset: Mapping[str, Any]) -> None:
        """Take note of what `execute` has raised."""
        if self.may_learn(error):
            given = {*self._prepared.extra, *pset} - {*self._prepared.withheld}
            self.are_doomed = self._inescapable(error, users_frames(error.__traceback__), given)

    def has_hope(self) -> bool:
        """Take note of a result that cannot be kept, and tell whether others may be.

        Not so if none could be so far, here and elsewhere: all would be in vain.
        """
        self._n_unfit += 1
        has_rows = self._kept.has_written or not self._kept.is_empty
        # Later on, it would have to be asked after each of very many items.
        is_early = self._n_unfit <= UNFIT_AT_FIRST and not has_rows
        return not (is_early and self._prepared.n_unfit() >= UNFIT_AT_FIRST)
