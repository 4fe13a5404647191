"""What a map that is in no folder can tell of its psets besides their results."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from psyflow.columns import Column, unpacked
from psyflow.exceptions import UsageError
from psyflow.outcomes.records import SKIPPED, Failure
from psyflow.outcomes.table import Items
from psyflow.pspace import ParameterSpace
from psyflow.results.performance import Stats
from psyflow.store.comparing import comparable

__all__ = ["MapGlance"]

_OF_FAILURE = ("kind", "exception", "traceback", "attempt", "host", "start", "duration")


@dataclass
class MapGlance:
    """What became of the psets of a map.

    Attributes
    ----------
    space : ParameterSpace
    items : ndarray of int64
        Those with a result, ascending.
    tell : callable
        Returns how they came about, as columns.
    last : mapping from int to Failure
        The failures, and skips, of others.
    waiting, memory : list of float
        As of `Stats`.
    """

    space: ParameterSpace
    items: Items
    tell: Callable[[], dict[str, Column]]
    last: Mapping[int, Failure]
    waiting: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    task = None
    run_id = None

    @property
    def n_items(self) -> int:
        """How many psets there are."""
        return len(self.space)

    @property
    def n_done(self) -> int:
        """How many have a result."""
        return len(self.items)

    @functools.cached_property
    def parameters(self) -> list[str]:
        """Names of the parameters."""
        return list(self.space.keys())

    def missing(self) -> dict[str, Column]:
        """Return the psets without a result."""
        return self._psets(np.setdiff1d(np.arange(self.n_items), self.items))

    def failures(self) -> dict[str, Column]:
        """Return the psets that failed, with what is known of that."""
        found = [self.last[item] for item in self._ended(is_skipped=False)]
        table = {name: comparable([getattr(f, name) for f in found]) for name in _OF_FAILURE}
        return self._with_psets(found, table)

    def skipped(self) -> dict[str, Column]:
        """Return the psets that were skipped, with the reason."""
        found = [self.last[item] for item in self._ended(is_skipped=True)]
        return self._with_psets(found, {"reason": comparable([f.exception for f in found])})

    def _ended(self, *, is_skipped: bool) -> list[int]:
        is_so = (item for item, f in self.last.items() if (f.kind == SKIPPED) is is_skipped)
        return sorted(is_so)

    def _with_psets(self, found: list[Failure], table: dict[str, Column]) -> dict[str, Column]:
        psets = self._psets(np.array([failure.item for failure in found], dtype=np.int64))
        # A parameter may have the name of what is told here, which then ends in an underscore.
        return psets | {f"{name}_" if name in psets else name: c for name, c in table.items()}

    def _psets(self, items: Items) -> dict[str, Column]:
        return {name: comparable(c) for name, c in unpacked(self.space.take(items)).items()}

    def bookkeeping(self) -> dict[str, Column]:
        """Return how the rows came about, in their order."""
        return dict(self._told)

    @functools.cached_property
    def _told(self) -> dict[str, Column]:
        return self.tell()

    def stats(self) -> Stats:
        """Return how long the psets took that have a result."""
        starts, durations = (np.asarray(self._told[name]) for name in ("start", "duration"))
        return Stats.of(starts, durations, self.waiting, self.memory)

    def folder(self, item: int) -> NoReturn:
        """Raise UsageError: there is none."""
        raise UsageError("This map kept nothing in a folder. Give it one: workdir=DIR.")

    def item_of(self, row: int | Mapping[str, Any]) -> NoReturn:
        """Raise UsageError, for who asks wants a folder."""
        self.folder(0)

    def provenance(self) -> dict[str, Any]:
        """Return nothing: it is of here and now."""
        return {}

    def attributes(self) -> dict[str, Any]:
        """Return what a copy of the table says of its origin."""
        return {"n_items": self.n_items, "n_done": self.n_done}
