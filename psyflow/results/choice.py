"""Which rows and columns of a table are wanted, as `psy show` and the others are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from psyflow.exceptions import UnknownColumnError, UnknownNameError
from psyflow.pspace.conditions import Condition, rows_with
from psyflow.results.table import Results

__all__ = ["REPEAT", "Choice", "Chosen"]

REPEAT = "repeat"
"""The parameter that counts repetitions, over which is aggregated unless told otherwise."""

_STATISTICS = ("mean", "ci95", "n")


@dataclass(frozen=True)
class Chosen:
    """What was chosen of a table.

    Parameters
    ----------
    table : Results
        Its rows, or a row for each group of them. Of each output in `means`, it then has the
        columns ``y_mean``, ``y_ci95`` and ``y_n``.
    over : sequence of str
        The parameters over which is aggregated; empty if each row stands for itself.
    means : sequence of str
        The outputs that are aggregated.
    left_out : sequence of str
        Outputs that have no mean, such as text.
    """

    table: Results
    over: Sequence[str] = ()
    means: Sequence[str] = ()
    left_out: Sequence[str] = field(default=())


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

    Examples
    --------
    >>> results = Results({"a": [1, 1, 2], "y": [2.0, 4.0, 5.0]}, parameters=["a"])
    >>> Choice(where=["y>2"], sort=["-y"], columns=["y"]).of(results).table
    Results: 2 rows
    y
    5.0
    4.0
    """

    where: Sequence[str] = ()
    by: Sequence[str] = ()
    sort: Sequence[str] = ()
    top: int | None = None
    columns: Sequence[str] = ()

    @property
    def is_of_rows_as_they_are(self) -> bool:
        """Whether the rows are wanted in their order, whatever is in them."""
        return not (self.where or self.by or self.sort)

    def needed(self, known: Results, *, over: Sequence[str] = ()) -> list[str] | None:
        """Return the names of the columns that have to be read; None if all have.

        Parameters
        ----------
        known : Results
            With all columns, of however few rows.
        over : sequence of str
            As for `of`.

        Raises
        ------
        UnknownColumnError
            If there is no column of some name.
        UsageError
            If a text is no condition.

        Examples
        --------
        >>> known = Results({"a": [1], "b": [2], "c": [3], "y": [0.5]}, parameters=["a", "b"])
        >>> Choice(where=["a>1"], sort=["-y"], columns=["c"]).needed(known)
        ['c', 'a', 'y']
        """
        if not self.columns:
            return None
        conditions = [Condition.parse(text).name for text in self.where]
        order = [name if name in known else name.removeprefix("-") for name in self.sort]
        is_aggregated = self.by or any(name in known.parameters for name in over)
        groups = known.parameters if is_aggregated else []
        statistics = {f"{name}_{stat}": name for name in known.outputs for stat in _STATISTICS}
        wanted = dict.fromkeys([*self.columns, *self.by, *conditions, *order, *groups])
        for name in wanted:
            if name not in known and not (is_aggregated and name in statistics):
                raise UnknownColumnError(name, known)
        return list(dict.fromkeys(n if n in known else statistics[n] for n in wanted))

    def of(self, results: Results, *, over: Sequence[str] = ()) -> Chosen:
        """Return what is chosen of a table.

        Parameters
        ----------
        results : Results
        over : sequence of str
            Parameters over which is aggregated, as far as there are any, if `by` names none.

        Raises
        ------
        UnknownNameError
            If there is no such column, or no such parameter.
        UsageError
            If a text is no condition, or the rows have no order.
        """
        chosen = self.aggregated(self.rows_of(results), over)
        in_order = self._renamed(self.sort, chosen, whole=False)
        ordered = Choice(sort=in_order, top=self.top).ordered(chosen.table)
        picked = self._picked(ordered, chosen)
        left_out = [n for n in chosen.left_out if n in self.columns or not self.columns]
        return Chosen(picked, chosen.over, chosen.means, left_out)

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

    def aggregated(self, results: Results, over: Sequence[str] = ()) -> Chosen:
        """Return a table with a row for each group of rows, or of each row if there are none."""
        for name in self.by:
            if name not in results.parameters:
                raise UnknownNameError("parameter", name, results.parameters)
        wanted = [name for name in results.parameters if name not in self.by] if self.by else over
        names = [name for name in wanted if name in results.parameters]
        if not names and not self.by:
            return Chosen(results)
        table = results.summary(over=names, stats=_STATISTICS)
        means = [name for name in results.outputs if f"{name}_mean" in table]
        left_out = [name for name in results.outputs if name not in means]
        in_order = _only(table, list(dict.fromkeys([*self.by, *table])))
        return Chosen(in_order, names, means, left_out)

    def ordered(self, results: Results) -> Results:
        """Return the rows that come first in the order that is wanted."""
        in_order = results.sort_by(*self.sort) if self.sort else results
        if self.top is None or self.top >= in_order.n_rows:
            return in_order
        return in_order.at(np.arange(self.top))

    def _picked(self, table: Results, chosen: Chosen) -> Results:
        if not self.columns:
            return table
        names = [name for name in self.columns if name not in chosen.left_out]
        return _only(table, self._renamed(names, chosen, whole=True))

    def _renamed(self, names: Sequence[str], chosen: Chosen, *, whole: bool) -> list[str]:
        """Return names of columns of `chosen`, where an output may go by its statistics."""
        stats = _STATISTICS if whole else _STATISTICS[:1]
        found: list[str] = []
        for name in names:
            plain = name if name in chosen.means or whole else name.removeprefix("-")
            sign = name[: len(name) - len(plain)]
            is_mean = plain in chosen.means and name not in chosen.table
            found += [f"{sign}{plain}_{stat}" for stat in stats] if is_mean else [name]
        return list(dict.fromkeys(found))


def _only(table: Results, names: Sequence[str]) -> Results:
    """Return a table with some of the columns, in this order, which may put outputs first."""
    picked = table.copy()
    columns = {name: table[name] for name in names}
    # Not made of them, for a table of its own would have its parameters first.
    picked.clear()
    picked.update(columns)
    picked.parameters = [name for name in names if name in table.parameters]
    return picked
