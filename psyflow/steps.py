"""What the jobs before and after the evaluation do: split and merge."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.backend import Backend
from psyflow.bookkeeping import About, Arrays, ItemsFile, Parts, Stamp
from psyflow.columns import Columns
from psyflow.exceptions import IneffectiveExcludeWarning, StoreError
from psyflow.files import (
    keep_copy,
    make_folder,
    move,
    remove_temporaries,
    sync_folder,
)
from psyflow.frozen import FrozenSpace
from psyflow.layout import Layout
from psyflow.merge import BOOKKEEPING, LOG_POSITIONS, Items, merged_blocks, nowhere
from psyflow.plan import Plan, save_items
from psyflow.rng import RandomStreams
from psyflow.sources import Earlier, Recovered, recover
from psyflow.store import Store
from psyflow.store.base import write_packed
from psyflow.tasks import TaskDef, streams_of

__all__ = ["Merged", "MergedTable", "merge", "remove_shards", "split"]


def split(plan: Plan, backend: Backend) -> None:
    """Write the batches of items that the process jobs draw from."""
    pending = np.load(plan.frozen.pending, mmap_mode="r")
    batches = backend.batches(pending, plan.n_jobs)
    make_folder(plan.frozen.batch(0).parent)
    for number, batch in enumerate(batches):
        save_items(plan.frozen.batch(number), batch)
    print(f"{len(pending)} items in {len(batches)} batches.", flush=True)


@dataclass(frozen=True)
class Merged:
    """What a merge came to.

    Attributes
    ----------
    n_items, n_rows, n_failed, n_skipped : int
    """

    n_items: int
    n_rows: int
    n_failed: int
    n_skipped: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether every item has a result, or was skipped."""
        return self.n_rows + self.n_skipped == self.n_items


def merge(plan: Plan, task: TaskDef) -> Merged:
    """Write the result: a row for every item that is done, in item order, whatever ran them.

    The new bookkeeping is there before the new result gets its name, and shards go only after both
    are: dying at any line of this loses nothing. A result with rows or columns that the new one
    will not have is kept in the archive.
    """
    frozen = plan.load_space()
    recovered = recover(plan.layout, frozen, task.store, plan.exclude, verify=True)
    staged = plan.layout.staged_result
    make_folder(staged.parent)
    table = MergedTable(recovered, frozen, frozenset(plan.exclude), streams_of(task))
    items_file = ItemsFile(plan.layout)
    _write(plan, task.store, staged, items_file, table)
    if recovered.earlier is not None:
        _keep(plan, recovered.earlier)
    move(staged, plan.layout.result)
    items_file.commit()
    if recovered.earlier is not None and recovered.earlier.path != plan.layout.result:
        recovered.earlier.path.unlink()
    if task.setup is None:
        # What `setup` gives may be named there too, and nobody here knows its names.
        table.warn_of_ineffective_excludes()
    merged = Merged(len(frozen), recovered.n_done, len(recovered.failed), len(recovered.skipped))
    if merged.n_rows == merged.n_items:
        remove_shards(plan.layout)
    _remove_old_plans(plan)
    print(f"{merged.n_rows} of {merged.n_items} rows in {plan.layout.result}.", flush=True)
    return merged


def _write(
    plan: Plan, store: Store, staged: Path, items_file: ItemsFile, table: MergedTable
) -> None:
    """Write the result, and beside that, as soon as it is known, the bookkeeping."""
    from concurrent.futures import Future, ThreadPoolExecutor  # nothing else needs them

    about: Future[About] = Future()
    prepared: list[Future[None]] = []
    with ThreadPoolExecutor(1, "psyflow-items") as beside:

        def blocks() -> Iterator[Columns]:
            yield from table.blocks()
            prepared.append(beside.submit(items_file.prepare, table.bookkeeping(), about.result))

        try:
            write_packed(store, staged, blocks())
            stamp = Stamp.of(staged)
            if stamp is None or not prepared:
                raise StoreError(f"{type(store).__name__} has not written all rows to {staged}.")
            about.set_result(table.about(plan, stamp))
        except BaseException as error:
            # Ctrl-C may come when it is known already; the thread waits for one or the other.
            if not about.done():
                about.set_exception(error)
            raise
    prepared[0].result()


class MergedTable:
    """Yields the result's blocks, and collects the bookkeeping on the way.

    Parameters
    ----------
    recovered : Recovered
    frozen : FrozenSpace
    exclude : frozenset of str
        Names to leave out.
    streams : RandomStreams, optional
        Where the random numbers of the items come from.
    """

    def __init__(
        self,
        recovered: Recovered,
        frozen: FrozenSpace,
        exclude: frozenset[str],
        streams: RandomStreams | None = None,
    ) -> None:
        self._streams = streams
        self._recovered = recovered
        self._frozen = frozen
        self._exclude = exclude
        self._outputs: dict[str, None] = {}
        self._seen: set[str] = set()
        self._arrays: dict[str, list[npt.NDArray[Any]]] = {
            name: [] for name in ("item", "key", *BOOKKEEPING)
        }

    def blocks(self) -> Iterator[Columns]:
        """Yield parameters and outputs, block by block, numbers packed (see `Numbers`)."""
        for items, block in merged_blocks(self._recovered.table):
            parameters = self._frozen.space.take_packed(items)
            self._note(items, block.parts)
            self._outputs.update(dict.fromkeys(block.columns))
            row = {**parameters, **block.columns}
            self._seen.update(row)
            yield {name: column for name, column in row.items() if name not in self._exclude}
        if not self._seen:
            names = self._frozen.space.keys()
            yield {name: [] for name in names if name not in self._exclude}

    def warn_of_ineffective_excludes(self) -> None:
        """Warn of names to leave out that no row had; valid once all blocks are through."""
        earlier = self._recovered.earlier
        known = self._seen | (earlier.dropped if earlier is not None else set())
        for name in sorted(self._exclude - known if known else ()):
            warnings.warn(IneffectiveExcludeWarning(name), stacklevel=2)

    def about(self, plan: Plan, stamp: Stamp) -> About:
        """Return the header of the bookkeeping; valid once all blocks are through."""
        return About(
            run_id=plan.run_id,
            space_digest=plan.space_digest,
            fingerprint=plan.fingerprint_digest,
            result=plan.result,
            stamp=stamp,
            n_items=len(self._frozen),
            n_rows=self._recovered.n_done,
            n_failed=len(self._recovered.failed),
            outputs=[name for name in self._outputs if name not in self._exclude],
            excluded=sorted(self._exclude),
            dropped=sorted(self._exclude.intersection(self._outputs)),
            workers=self._recovered.outcomes.workers,
            seed=self._streams.seed if self._streams is not None else None,
        )

    def bookkeeping(self) -> Parts:
        """Return the columns of the bookkeeping in parts; valid once all blocks are through."""
        # Where every item has a row, rows are numbered as items are. And most functions print
        # nothing: two columns that say so would be a third of the file.
        is_complete = self._recovered.n_done == len(self._frozen)
        return {
            name: parts or [np.empty(0, dtype=np.int64)]
            for name, parts in self._arrays.items()
            if not (name == "item" and is_complete)
            and (name not in LOG_POSITIONS or any(np.any(part >= 0) for part in parts))
        }

    def _note(self, items: Items, parts: Sequence[Arrays]) -> None:
        self._arrays["item"].append(items)
        self._arrays["key"].append(self._frozen.keys(items))
        if self._streams is not None:
            keys = self._streams.keys(self._frozen.space, items)
            self._arrays.setdefault("seed_key", []).append(keys)
        for part in parts:
            for name, column in {**nowhere(len(part["start"])), **part}.items():
                self._arrays[name].append(column)


def _keep(plan: Plan, earlier: Earlier) -> None:
    """Put a result in the archive that the new one does not wholly take up."""
    if earlier.is_kept_beside(plan.layout.result):
        archive = plan.layout.archive(earlier.run_id or f"before-{plan.run_id}")
        keep_copy(earlier.path, make_folder(archive) / earlier.path.name)
        print(f"The earlier result is in {archive}.", flush=True)


def remove_shards(layout: Layout) -> None:
    """Remove all shards, for what they hold is in the result, and what killed workers left."""
    for shard in layout.shards():
        shard.unlink()
    for folder in layout.plans.glob("*/claims/*"):
        remove_temporaries(folder)
    if layout.out.is_dir():
        remove_temporaries(layout.out)
        sync_folder(layout.out)


def _remove_old_plans(plan: Plan) -> None:
    """Remove what earlier plans froze, unless shards still go by it."""
    needed = {plan.run_id, *map(plan.layout.run_id_of, plan.layout.shards())}
    for folder in plan.layout.plans.iterdir():
        if folder.name not in needed:
            shutil.rmtree(folder)
