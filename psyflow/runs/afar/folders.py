"""The folders of psets on the side of a run whose items are evaluated elsewhere."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from psyflow.outcomes.table import Items
from psyflow.record.plan import Plan
from psyflow.runs.afar.kept import Kept, lay_out, pieces_of, remove_left
from psyflow.runs.folders import Folders

__all__ = ["FoldersHere"]


class FoldersHere:
    """What comes back of folders, and what goes along of those that are there from before.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._root = plan.layout.psets
        remove_left(self._root)
        self._are_there = self._root.is_dir() and any(self._root.iterdir())

    def going_along(self, items: Items) -> list[Kept]:
        """Return what an earlier evaluation of some items has left."""
        # What comes meanwhile is of items that are through.
        folders = self._folders.of(items.tolist()) if self._are_there else []
        return [kept for folder in folders for kept in self._kept_in(folder)]

    def _kept_in(self, folder: Path) -> Iterator[Kept]:
        with self._folders.outputs(folder) as found:
            if found is not None:
                yield from pieces_of(found, folder.name)

    @functools.cached_property
    def _folders(self) -> Folders:
        return Folders(self._plan.layout, self._plan.load_space())

    def take(self, kept: Iterable[Kept], translated: Callable[[str], str]) -> None:
        """Lay out what has come."""
        for piece in kept:
            lay_out(piece, self._root, translated)
