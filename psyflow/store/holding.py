"""Whether a store can hold what another one has refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from psyflow.columns import Columns
from psyflow.exceptions import UnsupportedDataError
from psyflow.store.base import Store

__all__ = ["Holding"]


@dataclass(frozen=True)
class Holding:
    """What a store has to hold of a row.

    Attributes
    ----------
    store : Store
    exclude : collection of str
        Names that the result need not have.

    Examples
    --------
    >>> from psyflow.store import NpzStore
    >>> Holding(NpzStore(), []).holds({"y": [{}]}), Holding(NpzStore(), ["y"]).holds({"y": [{}]})
    (False, True)
    """

    store: Store
    exclude: Collection[str]

    @property
    def name(self) -> str:
        """What tells from others that hold more or less, in this process and the next."""
        return " without ".join([repr(self.store), *sorted(self.exclude)])

    def check(self, row: Mapping[str, Any]) -> None:
        """Raise UnsupportedDataError if the store cannot hold `row`."""
        self.store.check({name: row[name] for name in row if name not in self.exclude})

    def holds(self, columns: Columns) -> bool:
        """Tell whether the store can hold each row of a table."""
        try:
            for values in zip(*columns.values(), strict=True):
                self.check(dict(zip(columns, values, strict=True)))
        except UnsupportedDataError:
            return False
        return True
