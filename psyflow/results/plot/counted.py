"""The values of a column that are no numbers, so that they can be counted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from psyflow.exceptions import UnknownColumnError
from psyflow.results.plot.kinds import Floats
from psyflow.results.plot.levels import Levels, levels_of
from psyflow.results.table import Results

__all__ = ["Counted"]


class Counted:
    """The values of a column that are no numbers, by the places of their levels.

    Parameters
    ----------
    results : Results
    name : str
        Of the column.

    Examples
    --------
    >>> Counted(Results({"mode": ["slow", "fast", "slow"]}), "mode").values
    array([0., 1., 0.])
    """

    def __init__(self, results: Results, name: str) -> None:
        self.name = name
        self.results = results
        self.dims: Sequence[str] = ()
        self.notes: Sequence[str] = ()

    @property
    def values(self) -> Floats:
        """The place of each row's level; NaN where it has none."""
        codes = self.levels(self.name).codes
        return np.where(codes < 0, np.nan, codes.astype(np.float64))

    def levels(self, name: str) -> Levels:
        """Return the levels of a column."""
        if name not in self.results:
            raise UnknownColumnError(name, self.results)
        found = levels_of(name, self.results[name])
        if name != self.name:
            return found
        places = np.arange(len(found), dtype=np.float64)
        return Levels(name, "category", places, found.values, found.codes)

    def levels_in_table(self, name: str) -> Levels:
        """Return the levels of a column."""
        return self.levels(name)

    def n_levels(self, name: str) -> int:
        """Return the number of levels of a column."""
        return len(self.levels(name))
