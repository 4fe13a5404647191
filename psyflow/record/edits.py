"""Which rows may be of other contents of files than their plan has noted.

A file that was written to since the plan was made had any content in between, whatever it has now.
So rows in shards that depend on it are of no known content, until a merge has found it as it was.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.command.files import frozen_name
from psyflow.fingerprint.files import stamp_of
from psyflow.outcomes.table import Items, Piece
from psyflow.record.frozen import FrozenSpace
from psyflow.record.layout import Layout, home_of
from psyflow.record.plan import Plan
from psyflow.record.reads import files_edited, files_made, paths_made
from psyflow.system.place import absolute
from psyflow.tasks.programs import TEMPLATES

__all__ = ["Edits"]

Mask: TypeAlias = "npt.NDArray[np.bool_]"


class Edits:
    """Tells rows of shards that count from those of which nobody knows what they are of.

    Parameters
    ----------
    layout : Layout
    frozen : FrozenSpace
        The present space.
    code : str
        Digest of the present fingerprint. What is kept of other code is so though its files have
        changed.

    Attributes
    ----------
    files : dict from str to set of str
        By the run ids of plans, the files that were written to, from the task folder on.
    """

    def __init__(self, layout: Layout, frozen: FrozenSpace, code: str) -> None:
        self._layout = layout
        self._frozen = frozen
        self._code = code
        self._masks: dict[str, Mask | None] = {}
        self._unsure: list[Items] = []
        self.files: dict[str, set[str]] = {}

    def without(self, piece: Piece) -> Piece:
        """Return a piece of a shard with −1 for the items whose rows do not count."""
        assert piece.file is not None
        run_id = self._layout.run_id_of(piece.file)
        if run_id not in self._masks:
            looked_at = self._look_at(run_id)
            self._masks[run_id] = looked_at if looked_at.any() else None
        if (mask := self._masks[run_id]) is None:
            return piece
        is_asked_for = (piece.items >= 0) & (piece.items < len(mask))
        is_unsure = is_asked_for & mask[np.where(is_asked_for, piece.items, 0)]
        self._unsure.append(piece.items[is_unsure])
        return replace(piece, items=np.where(is_unsure, -1, piece.items))

    def unsure(self) -> Items:
        """Return the items of the rows that did not count, ascending."""
        found = [items for items in self._unsure if len(items)]
        # As a rule there are none, and `unique` has NumPy import its masked arrays.
        return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)

    def _look_at(self, run_id: str) -> Mask:
        """Tell which items depend on files that were written to since a plan was made."""
        mask = np.zeros(len(self._frozen), dtype=bool)
        plan = Plan.read(self._layout.plan(run_id).plan_file)
        if plan is None or not plan.stamps:
            return mask
        files = self._files_edited(plan)
        if files:
            self.files[run_id] = files
        if not files.isdisjoint(_files_of_code(plan)):
            return ~mask
        paths = [path for path in plan.contents_here() if _name_of(path, plan) in files]
        mask[self._frozen.items_with(paths)] = True
        return mask

    def _files_edited(self, plan: Plan) -> set[str]:
        found = self._edited_since(plan)
        if plan.fingerprint_digest != self._code:
            found.difference_update(_files_of_code(plan))
        return found | files_edited(plan.frozen)

    def _edited_since(self, plan: Plan) -> set[str]:
        """Return the files that others than the task's workers have written to."""
        # In a copy of the study all files are new.
        if plan.place is None or not plan.place.is_here(home_of(plan.layout.root)):
            return set()
        folder = Path(plan.task_file).parent
        stamps = ((name, stamp, stamp_of(folder / name)) for name, stamp in plan.stamps.items())
        # One that is gone was there for whoever has a result.
        edited = {name for name, stamp, now in stamps if now not in (stamp, None)}
        if not edited:
            return edited
        frozen = plan.frozen.code / TEMPLATES
        edited = {name for name in edited if not (frozen / frozen_name(name)).is_file()}
        return edited - {_name_of(path, plan) for path in self._made}

    @functools.cached_property
    def _made(self) -> set[str]:
        """What the task's workers have written to, as psets name it."""
        return files_made(self._layout) | paths_made(self._layout, self._frozen.space)


def _files_of_code(plan: Plan) -> Iterator[str]:
    """Give the files of `file_dep`, and whatever else counts for all items."""
    for part in plan.fingerprint.values():
        yield from part.get("files") or [part["file"]]


def _name_of(path: str, plan: Plan) -> str:
    folder = Path(plan.task_file).parent
    return os.path.relpath(absolute(folder / path), folder)
