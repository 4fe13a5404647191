"""What a table of results can tell of the run that it is of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from psyflow.columns import table_length
from psyflow.results.convert.conversions import Conversions
from psyflow.results.performance import Progress, Stats

__all__ = ["OfRun"]


class OfRun(Conversions):
    """A table that knows how its run stands: what `Results` is based on."""

    @property
    def n_rows(self) -> int:
        """Number of rows of this table."""
        return table_length(self)

    @property
    def task(self) -> str | None:
        """Name of the task; None if nobody knows, as of a bare file."""
        return self._glance.task if self._glance is not None else None

    @property
    def run(self) -> str | None:
        """Id of the run; None if nobody knows."""
        return self._glance.run_id if self._glance is not None else None

    @property
    def n_items(self) -> int:
        """Number of psets that the run asks for, whatever rows this table has."""
        return self._glance.n_items if self._glance is not None else self.n_rows

    @property
    def n_done(self) -> int:
        """Number of psets of the run with a result, whatever rows this table has."""
        return self._glance.n_done if self._glance is not None else self.n_rows

    @property
    def is_complete(self) -> bool:
        """Whether every pset of the run has a result."""
        return self.n_done == self.n_items

    @property
    def progress(self) -> Progress:
        """How many psets have ended, and how."""
        known = self._known()
        kinds = np.asarray(known.failures()["kind"])
        n_skipped = table_length(known.skipped())
        return Progress(
            total=known.n_items,
            active=0,
            finished=known.n_done + len(kinds) + n_skipped,
            failures=len(kinds),
            exceptions=int(np.count_nonzero(kinds == "error")),
            skipped=n_skipped,
        )

    @property
    def stats(self) -> Stats:
        """How long the psets took that have a result, and what they used: mean and percentiles."""
        return self._known().stats()

    def folder(self, item: int | Mapping[str, Any]) -> Path:
        """Return the folder in which a pset keeps things: what `execute` knew as ``ctx.dir``.

        Parameters
        ----------
        item : int or mapping
            The number of an item, such as `bookkeeping` has, or a row with all parameters.

        Returns
        -------
        pathlib.Path
            Where the run is now. It is there if the pset has kept anything. If many psets are
            packed in few files, it is a copy elsewhere, which goes when this table does.

        Raises
        ------
        UsageError
            If there is no such item, or if several are equal to the row.
        """
        known = self._known()
        return known.folder(known.item_of(item))

    @property
    def provenance(self) -> dict[str, Any]:
        """When, where and with which Python, packages and commit the run was made."""
        return self._known().provenance()
