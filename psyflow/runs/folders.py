"""Where the folders of psets are, by the numbers of their items."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Collection
from contextlib import AbstractContextManager
from pathlib import Path

from psyflow.command.call import MANY
from psyflow.command.packs import Packs, outputs
from psyflow.record.frozen import FrozenSpace
from psyflow.record.layout import Layout
from psyflow.record.plan import Plan
from psyflow.work.psetfolders import Repetitions, folder_name

__all__ = ["Folders", "link_folders"]

MOST_LINKS = MANY
"""Folders of more psets are packed."""


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

    def outputs(
        self, folder: Path, wanted: Collection[str] | None = None
    ) -> AbstractContextManager[Path | None]:
        """Give, for a while, a folder with what there is in one of `of`, which may be packed.

        None if there is nothing. Of what is packed, the files that are `wanted` suffice.
        """
        return outputs(self._root, folder.name, self._packs, wanted)

    @functools.cached_property
    def _packs(self) -> Packs:
        return Packs(self._root)


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
