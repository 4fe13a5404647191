"""Which rows and columns of a table are wanted, as `psy show` and the others are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from psyflow.pspace.conditions import Condition, rows_with
from psyflow.results.table import Results

__all__ = ["Choice"]


@dataclass(frozen=True)
class Choice:
    """Which rows and columns of a table are wanted.

    Parameters
    ----------
    where : sequence of str
        Conditions that rows have to fulfil, as ``a=2`` or ``b>0.5``.
    by : sequence of str
        Parameters that tell groups apart: over all others is aggregated.
    sort : sequence of str
        Columns by which rows are sorted; ``-y`` for a descending one.
    top : int, optional
        How many rows at most.
    columns : sequence of str
        Names of the columns, in their order; all if there is none.
    """

    where: Sequence[str] = ()
    by: Sequence[str] = ()
    sort: Sequence[str] = ()
    top: int | None = None
    columns: Sequence[str] = ()

    def rows_of(self, results: Results) -> Results:
        """Return the rows of a table that fulfil all conditions.

        Raises
        ------
        UnknownColumnError
            If there is no such column.
        UsageError
            If a text is no condition.
        """
        if not self.where:
            return results
        conditions = [Condition.parse(text) for text in self.where]
        return results.at(rows_with(conditions, results))

    def ordered(self, results: Results) -> Results:
        """Return the rows that come first in the order that is wanted."""
        in_order = results.sort_by(*self.sort) if self.sort else results
        if self.top is None or self.top >= in_order.n_rows:
            return in_order
        return in_order.at(np.arange(self.top))
