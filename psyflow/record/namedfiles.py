"""Files that psets name: which have changed since these ran, and which the task makes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from psyflow.pspace import ParameterSpace
from psyflow.pspace.paths import paths_in
from psyflow.record.bookkeeping import About
from psyflow.record.frozen import FrozenSpace
from psyflow.record.layout import Layout
from psyflow.record.plan import Plan

if TYPE_CHECKING:
    from psyflow.outcomes.table import Items

__all__ = ["NamedFiles"]


@dataclass(frozen=True)
class NamedFiles:
    """The files that the psets of a space name, beside those that results are of.

    Attributes
    ----------
    layout : Layout
    frozen : FrozenSpace
    plan : Plan or None
    about : About or None
        What the bookkeeping says of the result.
    written : set of str
        Paths of files that the task is known to make.
    pending, never_ran : callable
        Give the items without a result, and those of them that were never evaluated.
    """

    layout: Layout
    frozen: FrozenSpace
    plan: Plan | None
    about: About | None
    written: set[str]
    pending: Callable[[], Items]
    never_ran: Callable[[], Items]

    @functools.cached_property
    def changed(self) -> list[str]:
        """Files whose contents are not those that results are of."""
        of_plan = self.plan.contents_here() if self.plan is not None else {}
        since = self.frozen.changed_since
        return sorted({*since(of_plan), *since(self._of_result)})

    @property
    def _of_result(self) -> dict[str, str]:
        return self.about.contents if self.about is not None else {}

    @functools.cached_property
    def items_with_changed(self) -> Items:
        """Items that have not run since such a file has changed."""
        if not self.changed:
            return np.empty(0, dtype=np.int64)
        return np.intersect1d(self.frozen.items_with(self.changed), self.never_ran())

    def about_changed(self) -> str:
        """Say which files have changed, and how many items have to run for it; or nothing."""
        if not self.changed or not (n_items := len(self.items_with_changed)):
            return ""
        first, *others = self.changed
        more = f" and {len(others)} more file{'s' * (len(others) > 1)} have" if others else " has"
        items = f"{n_items} items name" if n_items > 1 else "1 item names"
        return f"{first}{more} changed, which {items}"

    @functools.cached_property
    def made(self) -> set[str]:
        """Paths in psets that the task writes to.

        Their files were made by workers, or were not there when the plan was made by which their
        psets have run. All paths of a parameter are if one is, as far as that is possible: others
        may be of evaluations that were ended.
        """
        absent = self._absent_before() - self.written
        if not absent:
            return self.written
        space = self.frozen.space
        done = np.setdiff1d(self.frozen.items_with(absent), self.pending())
        of_done = _paths_of(space, done).items()
        names = [name for name, paths in of_done if paths & absent]
        everywhere = _paths_of(space, np.arange(len(space)), names)
        return self.written.union(*(paths & absent for paths in everywhere.values()))

    def _absent_before(self) -> set[str]:
        """Return the files that are there, but were not when earlier plans were made."""
        folders = self.layout.plan_folders()
        found = [self.plan, *(Plan.read(self.layout.plan(f.name).plan_file) for f in folders)]
        plans = [plan for plan in found if plan is not None]
        if any(plan.contents is None for plan in plans):
            return set()  # a plan of old does not tell
        known = [plan.contents_here() for plan in plans]
        new = set(self.frozen.contents).difference(self._of_result, *known)
        asked_for = set().union(*(plan.paths_here() for plan in plans)) if new else set()
        return new & asked_for

    def contents(self) -> dict[str, str]:
        """Return what a plan has to know of their contents."""
        found = self.frozen.contents
        return {path: found[path] for path in found if path not in self.made}


def _paths_of(
    space: ParameterSpace, items: Items, names: Collection[str] | None = None
) -> dict[str, set[str]]:
    """Return the paths in the psets of some items, for each parameter, or for some."""
    columns = space.take(items)
    return {name: paths_in(columns[name]) for name in (columns if names is None else names)}
