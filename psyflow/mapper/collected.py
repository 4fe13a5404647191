"""Outcomes as they come, put together to a table in the end."""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, concatenate, take, unpacked
from psyflow.mapper.batches import Returned
from psyflow.mapper.glance import MapGlance
from psyflow.outcomes.records import SKIPPED, Failure, Rows
from psyflow.pspace import ParameterSpace
from psyflow.results import Results
from psyflow.results.convert.axes import Places
from psyflow.results.performance import Progress
from psyflow.store.comparing import comparable

__all__ = ["Collected"]


class Collected:
    """The outcomes of the psets of a space.

    Parameters
    ----------
    n_items : int
        How many psets there are.

    Attributes
    ----------
    n_done : int
        How many have a result.
    failures : dict from int to Failure
        Failures and skips, by the numbers of their items.
    kept_names : collection of str or None
        What is kept of that which the function returned; None for all of it.
    """

    def __init__(self, n_items: int) -> None:
        self.n_items = n_items
        self.n_done = 0
        self.kept_names: Collection[str] | None = None
        self.failures: dict[int, Failure] = {}
        self._rows: list[Rows] = []
        self._waiting: list[float] = []
        self._memory: list[float] = []

    def add(self, returned: Returned) -> None:
        """Take up what became of some psets."""
        self._rows += map(self._kept, returned.rows)
        self.n_done += sum(len(rows.items) for rows in returned.rows)
        self.failures |= {failure.item: failure for failure in returned.failures}
        if returned.ended is not None:
            self._waiting.append(returned.ended.waited)
            self._memory.append(returned.ended.memory)

    def _kept(self, rows: Rows) -> Rows:
        if self.kept_names is None:
            return rows
        kept = {name: c for name, c in rows.columns.items() if name in self.kept_names}
        return replace(rows, columns=kept)

    @property
    def n_failed(self) -> int:
        """How many psets failed; those that were skipped did not."""
        return sum(failure.kind != SKIPPED for failure in self.failures.values())

    @property
    def first_failure(self) -> Failure | None:
        """The failure of the first item that failed."""
        failed = (failure for failure in self.failures.values() if failure.kind != SKIPPED)
        return min(failed, key=lambda failure: failure.item, default=None)

    def progress(self, active: int = 0) -> Progress:
        """Return how many psets have ended, and how."""
        kinds = [failure.kind for failure in self.failures.values()]
        return Progress(
            self.n_items,
            active,
            self.n_done + len(kinds),
            len(kinds) - kinds.count(SKIPPED),
            kinds.count("error"),
            kinds.count(SKIPPED),
        )

    def columns(self, space: ParameterSpace) -> dict[str, Column]:
        """Return parameters and results of the psets that have one, in the order of the space."""
        items, order = self._items()
        lengths = [len(rows.items) for rows in self._rows]
        merged = concatenate([rows.columns for rows in self._rows], lengths=lengths)
        outputs = unpacked({name: take(column, order) for name, column in merged.items()})
        return {**space.take(items), **outputs}

    def table(self, space: ParameterSpace) -> Results:
        """Return what `columns` does, and all that is known of how it came about."""
        items, order = self._items()
        columns = self.columns(space)
        told = functools.partial(self._told, items, order)
        glance = MapGlance(space, items, told, self.failures, self._waiting, self._memory)
        return Results(
            {name: comparable(column) for name, column in columns.items()},
            parameters=glance.parameters,
            glance=glance,
            places=Places(items),
        )

    def _items(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the items with a result, ascending, and where in the rows each of them is."""
        empty = np.empty(0, dtype=np.int64)
        items = np.concatenate([empty, *(rows.items for rows in self._rows)])
        order = np.argsort(items, kind="stable")
        return items[order], order

    def _told(
        self, items: npt.NDArray[np.int64], order: npt.NDArray[np.int64]
    ) -> dict[str, Column]:
        def gathered(name: str, dtype: Any) -> npt.NDArray[Any]:
            empty = np.empty(0, dtype=dtype)
            return np.concatenate([empty, *(getattr(rows, name) for rows in self._rows)])[order]

        lengths = [len(rows.items) for rows in self._rows]
        hosts = np.repeat(np.array([rows.host for rows in self._rows], dtype=str), lengths)
        pids = np.repeat(np.array([rows.pid for rows in self._rows], dtype=np.int64), lengths)
        return {
            "item": items,
            "start": gathered("start", np.float64),
            "duration": gathered("duration", np.float64),
            "attempt": gathered("attempt", np.int16),
            "host": hosts[order],
            "pid": pids[order],
        }
