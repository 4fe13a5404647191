"""Where the folders of psets are, by the numbers of their items."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

from psyflow.record.frozen import FrozenSpace
from psyflow.record.layout import Layout
from psyflow.record.plan import Plan
from psyflow.work.psetfolders import Repetitions, folder_name

__all__ = ["Folders", "link_folders"]

MOST_LINKS = 500
"""More of them would help nobody, and are as many files."""


class Folders:
    """Tells of each item where its folder is.

    Parameters
    ----------
    layout : Layout
    frozen : FrozenSpace
    """

    def __init__(self, layout: Layout, frozen: FrozenSpace) -> None:
        self._root = layout.psets
        self._frozen = frozen
        self._repetitions = Repetitions(frozen.space, frozen.defaults)

    def of(self, items: Collection[int]) -> list[Path]:
        """Return the folders of some items, whether they are there or not."""
        keys = self._frozen.keys([*items])
        names = (
            folder_name((int(low), int(high)), self._repetitions.of(int(item)))
            for (low, high), item in zip(keys, items, strict=True)
        )
        return [self._root / name for name in names]


def link_folders(plan: Plan) -> None:
    """Have the folders of psets under the numbers of their items as well, unless they are many.

    A new space numbers its items anew, so links that are there may be of others by now.
    """
    layout, frozen = plan.layout, plan.load_space()
    items = range(len(frozen.space))
    folders = Folders(layout, frozen).of(items) if len(items) <= MOST_LINKS else []
    wanted = {
        layout.link(item): os.path.relpath(folder, layout.root)
        for item, folder in enumerate(folders)
        if folder.is_dir()
    }
    for link in layout.links():
        if link not in wanted or str(link.readlink()) != wanted[link]:
            link.unlink()
    for link, target in wanted.items():
        # Whatever else has the name is not psyflow's.
        with contextlib.suppress(FileExistsError):
            link.symlink_to(target)
