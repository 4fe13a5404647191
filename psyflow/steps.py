"""What the jobs of a run do: split, process, merge."""

from __future__ import annotations

import functools
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.backend import Backend
from psyflow.bookkeeping import About, Arrays, ItemsFile, Stamp
from psyflow.claims import Owner
from psyflow.columns import Columns
from psyflow.exceptions import IneffectiveExcludeWarning
from psyflow.files import (
    atomic_path,
    keep_copy,
    make_folder,
    move,
    remove_temporaries,
    sync_folder,
)
from psyflow.frozen import FrozenSpace
from psyflow.layout import Layout
from psyflow.merge import BOOKKEEPING, Items, merged_blocks
from psyflow.plan import Plan
from psyflow.prepared import Prepared, Retries
from psyflow.rng import RandomStreams
from psyflow.sources import Earlier, Recovered, recover
from psyflow.supervisor import Supervisor
from psyflow.tasks import Config, TaskDef
from psyflow.worker import Work

__all__ = ["Merged", "MergedTable", "heading", "load_task", "merge", "process", "split"]


def heading(plan: Plan, step: str) -> str:
    """Return the line that tells in a log where the output of a job begins."""
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"=== {now} {plan.task}:{step} of {plan.run_id}, {Owner.here()}"


def load_task(plan: Plan) -> TaskDef:
    """Load the task as the plan froze it."""
    conf = plan.conf_file or Config()
    return TaskDef.load_frozen(plan.frozen.code, plan.task_file, conf, plan.base)


def split(plan: Plan, backend: Backend) -> None:
    """Write the batches of items that the process jobs draw from."""
    pending = np.load(plan.frozen.pending, mmap_mode="r")
    batches = backend.batches(pending, plan.n_jobs)
    make_folder(plan.frozen.batch(0).parent)
    for number, batch in enumerate(batches):
        with atomic_path(plan.frozen.batch(number)) as temporary:
            np.save(temporary, batch)
    print(f"{len(pending)} items in {len(batches)} batches.", flush=True)


def process(plan: Plan, job: int) -> int:
    """Evaluate the items of one process job, and return its exit status."""
    batch = plan.batch_of_job[job]
    work = Work(
        space=FrozenSpace.load(plan.frozen.space).space,
        items=np.load(plan.frozen.batch(batch), mmap_mode="r"),
        claims=plan.frozen.claims(batch),
        out=plan.layout.out,
        prefix=plan.layout.shard_prefix(plan.run_id, job),
        prepare=lambda worker: _prepare(plan, job, worker),
        n_workers=plan.batch_of_job.count(batch) * plan.pool_size,
        timeout=plan.timeout,
        retries=Retries(plan.retries, plan.retry_on),
        max_failures=plan.max_failures,
        max_tasks_per_child=plan.max_tasks_per_child,
        log=functools.partial(plan.layout.worker_log, job),
    )
    return Supervisor(work, plan.pool_size).run()


def _prepare(plan: Plan, job: int, worker: int) -> Prepared:
    task = load_task(plan)
    task.enter()
    proc_id = task.backend(task).proc_id(job, worker, plan.pool_size)
    extra = task.setup(proc_id) if task.setup is not None else {}

    def check(row: Mapping[str, Any]) -> None:
        task.store.check({name: row[name] for name in row if name not in plan.exclude})

    streams = None
    if task.seed is not None:
        streams = RandomStreams(task.seed, task.seed_by, task.defaults)
    return Prepared(task.execute, extra, check, streams)


@dataclass(frozen=True)
class Merged:
    """What a merge came to.

    Attributes
    ----------
    n_items, n_rows, n_failed : int
    """

    n_items: int
    n_rows: int
    n_failed: int


def merge(plan: Plan, task: TaskDef) -> Merged:
    """Write the result: a row for every item that is done, in item order, whatever ran them.

    The new bookkeeping is there before the new result gets its name, and shards go only after both
    are: dying at any line of this loses nothing. A result with rows or columns that the new one
    will not have is kept in the archive.
    """
    frozen = FrozenSpace.load(plan.frozen.space)
    recovered = recover(plan.layout, frozen, task.store, plan.exclude, verify=True)
    staged = plan.layout.staged_result
    make_folder(staged.parent)
    table = MergedTable(recovered, frozen, frozenset(plan.exclude))
    task.store.write(staged, table.blocks())
    stamp = Stamp.of(staged)
    assert stamp is not None
    items_file = ItemsFile(plan.layout)
    items_file.prepare(table.about(plan, stamp), table.bookkeeping())
    if recovered.earlier is not None:
        _keep(plan, recovered.earlier)
    move(staged, plan.layout.result)
    items_file.commit()
    if recovered.earlier is not None and recovered.earlier.path != plan.layout.result:
        recovered.earlier.path.unlink()
    if task.setup is None:
        # What `setup` gives may be named there too, and nobody here knows its names.
        table.warn_of_ineffective_excludes()
    merged = Merged(len(frozen), recovered.n_done, len(recovered.failed))
    if merged.n_rows == merged.n_items:
        _remove_shards(plan.layout)
    _remove_old_plans(plan)
    print(f"{merged.n_rows} of {merged.n_items} rows in {plan.layout.result}.", flush=True)
    return merged


class MergedTable:
    """Yields the result's blocks, and collects the bookkeeping on the way.

    Parameters
    ----------
    recovered : Recovered
    frozen : FrozenSpace
    exclude : frozenset of str
        Names to leave out.
    """

    def __init__(self, recovered: Recovered, frozen: FrozenSpace, exclude: frozenset[str]):
        self._recovered = recovered
        self._frozen = frozen
        self._exclude = exclude
        self._outputs: dict[str, None] = {}
        self._seen: set[str] = set()
        self._arrays: dict[str, list[npt.NDArray[Any]]] = {
            name: [] for name in ("item", "key", *BOOKKEEPING)
        }

    def blocks(self) -> Iterator[Columns]:
        """Yield parameters and outputs, block by block."""
        for items, block in merged_blocks(self._recovered.table):
            parameters = self._frozen.space.take(items)
            self._note(items, block.bookkeeping)
            self._outputs.update(dict.fromkeys(block.columns))
            row = {**parameters, **block.columns}
            self._seen.update(row)
            yield {name: column for name, column in row.items() if name not in self._exclude}
        if not self._seen:
            names = self._frozen.space.keys()
            yield {name: [] for name in names if name not in self._exclude}

    def warn_of_ineffective_excludes(self) -> None:
        """Warn of names to leave out that no row had; valid once all blocks are through."""
        for name in sorted(self._exclude - self._seen if self._seen else ()):
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
        )

    def bookkeeping(self) -> Arrays:
        """Return the columns of the bookkeeping; valid once all blocks are through."""
        return {
            name: np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
            for name, parts in self._arrays.items()
        }

    def _note(self, items: Items, bookkeeping: Arrays) -> None:
        self._arrays["item"].append(items)
        self._arrays["key"].append(self._frozen.keys(items))
        for name, column in bookkeeping.items():
            self._arrays[name].append(column)


def _keep(plan: Plan, earlier: Earlier) -> None:
    """Put a result in the archive that the new one does not wholly take up."""
    if earlier.is_kept_beside(plan.layout.result):
        archive = plan.layout.archive(earlier.run_id or f"before-{plan.run_id}")
        keep_copy(earlier.path, make_folder(archive) / earlier.path.name)
        print(f"The earlier result is in {archive}.", flush=True)


def _remove_shards(layout: Layout) -> None:
    for shard in layout.shards():
        shard.unlink()
    if layout.out.is_dir():
        remove_temporaries(layout.out)
        sync_folder(layout.out)


def _remove_old_plans(plan: Plan) -> None:
    """Remove what earlier plans froze, unless shards still go by it."""
    needed = {plan.run_id, *map(plan.layout.run_id_of, plan.layout.shards())}
    for folder in plan.layout.plans.iterdir():
        if folder.name not in needed:
            shutil.rmtree(folder)
