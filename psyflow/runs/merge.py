"""The step after the evaluation: shards, and the result that is there, become one result."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from psyflow.columns import Columns
from psyflow.exceptions import (
    PsyflowWarning,
    StoreError,
    UnreadableError,
    UnsupportedDataError,
)
from psyflow.outcomes.beside import PACKED_SUFFIX, packed_file
from psyflow.outcomes.states import State, Tally
from psyflow.record.bookkeeping import ItemsFile, Stamp
from psyflow.record.earlier import Earlier, keep_plan
from psyflow.record.jobs import Jobs
from psyflow.record.layout import Layout
from psyflow.record.merged import MergedTable
from psyflow.record.plan import Plan
from psyflow.record.reads import note_edited
from psyflow.record.recover import Recovered, recover
from psyflow.reprs import safe_repr
from psyflow.runs.fewer import pack_outputs, shorten_claims
from psyflow.runs.misfits import misfits
from psyflow.store import Store
from psyflow.store.base import write_packed
from psyflow.system.files import keep_copy, make_folder, move, remove_temporaries, sync_folder
from psyflow.system.lease import is_over, server_time
from psyflow.system.place import is_same_file
from psyflow.system.reading import checksum_of, is_there
from psyflow.tasks import TaskDef, streams_of
from psyflow.work.capture import say
from psyflow.work.takeover import lease_name

__all__ = ["Merged", "merge", "remove_shards", "write_result"]

_SHOWN = 100


@dataclass(frozen=True)
class Merged:
    """What a merge came to.

    Attributes
    ----------
    tally : Tally
        Those that are done are the rows of the result.
    n_misfits : int
        How many results cannot be in the file with the others; they are kept for another store.
    misfit : str
        The first of them, and why.
    """

    tally: Tally
    n_misfits: int = 0
    misfit: str = ""

    @property
    def about_misfits(self) -> str:
        """Say how many results are not in the file, and why; empty if none are."""
        rows = "1 row is" if self.n_misfits == 1 else f"{self.n_misfits} rows are"
        return f"{rows} left out, the first with {self.misfit}" if self.n_misfits else ""


def merge(plan: Plan, task: TaskDef, check: Callable[[], None] = lambda: None) -> Merged:
    """Write the result: a row for every item that is done, in item order, whatever ran them.

    The new bookkeeping is there before the new result gets its name, and shards go only after both
    are: dying at any line of this loses nothing. A result with rows or columns that the new one
    will not have is kept in the archive. What cannot be read is left out, and has to run again.

    Parameters
    ----------
    plan : Plan
    task : TaskDef
    check : callable
        Raises if this process may not replace the result after all.
    """
    recovered = recover(plan, task.store)
    _note_edited(plan, recovered)
    staged = plan.layout.staged_result
    make_folder(staged.parent)
    items_file = ItemsFile(plan.layout)
    written = _write_what_fits(plan, task, recovered, items_file)
    recovered, table = written.recovered, written.table
    check()
    if recovered.earlier is not None:
        _keep(plan, recovered.earlier)
    move(staged, plan.layout.result)
    items_file.commit()
    if task.setup is None:
        # What `setup` gives may be named there too, and nobody here knows its names.
        table.warn_of_ineffective_excludes()
    tally = recovered.tally
    merged = Merged(tally, written.n_misfits, written.misfit)
    say(f"{tally[State.DONE]} of {tally.n_items} rows in {plan.layout.result}.")
    if merged.n_misfits:
        say(merged.about_misfits)
    _tidy(plan, task, recovered, is_complete=not tally.n_missing)
    return merged


def _note_edited(plan: Plan, recovered: Recovered) -> None:
    """Note which files were written to: in a copy of the study, nobody could tell any more."""
    for run_id, files in recovered.edited.items():
        note_edited(plan.layout.plan(run_id), files)
    if about := recovered.about_edited():
        message = f"{plan.task}: {about}. To run them again, type: psy run {plan.task}"
        warnings.warn(PsyflowWarning(message), stacklevel=3)


def _tidy(plan: Plan, task: TaskDef, recovered: Recovered, *, is_complete: bool) -> None:
    """Remove what the result has made needless; if that fails, the result is none the worse."""
    try:
        if recovered.earlier is not None:
            _remove_replaced(plan, recovered.earlier)
        # Before shards go: what cannot be read of them is nowhere else.
        _put_aside(plan, recovered.unreadable)
        if not len(recovered.never_ran()):
            shorten_claims(plan)
        pack_outputs(plan, task)
        if is_complete:
            remove_shards(plan.layout, plan.run_id)
        _remove_old_plans(plan)
    except OSError as error:
        message = f"{plan.task}: the result is there, and what it makes needless stays: {error}."
        warnings.warn(PsyflowWarning(message), stacklevel=3)


@dataclass(frozen=True)
class _Written:
    """What a staged result has, and what cannot be in it: see `Merged`."""

    recovered: Recovered
    table: MergedTable
    n_misfits: int
    misfit: str


def _write_what_fits(
    plan: Plan, task: TaskDef, recovered: Recovered, items_file: ItemsFile
) -> _Written:
    """Write all results but those that cannot be read, or be in one file with the others."""
    n_misfits, misfit, is_readable = 0, "", False
    while True:
        table = MergedTable(recovered, streams_of(task))
        try:
            write_result(plan, task.store, plan.layout.staged_result, items_file, table)
            return _Written(recovered, table, n_misfits, misfit)
        except UnreadableError:
            if is_readable:
                raise
        except UnsupportedDataError as error:
            if is_readable:
                items = misfits(recovered, error.column)
                if not len(items):
                    raise
                first = safe_repr(dict(recovered.frozen.space[int(items[0])]), _SHOWN)
                misfit = misfit or f"{first}. {error}"
                n_misfits += len(items)
                recovered = recovered.without_items(items)
                continue
        # Whoever looks for misfits has to be able to read them all.
        recovered, is_readable = recovered.readable(), True


def write_result(
    plan: Plan, store: Store, staged: Path, items_file: ItemsFile, table: MergedTable
) -> None:
    """Write a result, and beside that, as soon as it is known, the bookkeeping.

    Neither has its final name then.
    """
    from concurrent.futures import Future, ThreadPoolExecutor  # nothing else needs them

    about: Future[str] = Future()
    prepared: list[Future[None]] = []
    with ThreadPoolExecutor(1, "psyflow-items") as beside:

        def blocks() -> Iterator[Columns]:
            yield from table.blocks()
            prepared.append(beside.submit(items_file.prepare, table.bookkeeping(), about.result))

        try:
            _put(store, staged, blocks())
            stamp = Stamp.of(staged)
            if stamp is None or not prepared:
                raise StoreError(f"{type(store).__name__} has not written all rows to {staged}.")
            header = table.about(plan, stamp, checksum_of(staged))
            about.set_result(header.to_json(plan.layout.root, Path(plan.base)))
        except BaseException as error:
            # Ctrl-C may come when it is known already; the thread waits for one or the other.
            if not about.done():
                about.set_exception(error)
            raise
    prepared[0].result()


def _put(store: Store, staged: Path, blocks: Iterator[Columns]) -> None:
    try:
        write_packed(store, staged, blocks)
    except UnsupportedDataError as error:
        # Each row alone was fine, or its item would have failed.
        raise UnsupportedDataError(
            f"{error} All results are kept: with another store in the task file, `psy run` only "
            "merges them.",
            column=error.column,
        ) from error


def _keep(plan: Plan, earlier: Earlier) -> None:
    """Put a result in the archive that the new one does not wholly take up."""
    if earlier.is_kept_beside(plan.layout.result):
        layout = plan.layout
        archive = make_folder(layout.archive(earlier.run_id or f"before-{plan.run_id}"))
        if is_there(layout.items_file):
            # It tells which code has made the rows, should they be wanted again.
            keep_copy(layout.items_file, archive / layout.items_file.name)
        keep_plan(layout, earlier.run_id, archive)
        keep_copy(earlier.path, archive / earlier.path.name)
        say(f"The earlier result is in {archive}.")


def _put_aside(plan: Plan, unreadable: Iterable[Path]) -> None:
    """Put shards into the archive that cannot be read as a whole, so that their items run again.

    What of them can be read is in the result by now.
    """
    layout = plan.layout
    for shard in sorted(unreadable):
        if shard.parent == layout.out:
            archive = make_folder(layout.archive(layout.run_id_of(shard)) / layout.out.name)
            packed_file(shard).unlink(missing_ok=True)
            move(shard, archive / shard.name)
            say(f"{shard.name} is in {archive} now.")


def _remove_replaced(plan: Plan, earlier: Earlier) -> None:
    """Remove the result that the new one replaces, if that has another name and it is this run's.

    Two names may be of one file, and what a record says of a place outside of the run's folder may
    be true of the folder that this is a copy of.
    """
    is_own = earlier.path.parent == plan.layout.root or earlier.is_own
    if is_own and not is_same_file(earlier.path, plan.layout.result):
        earlier.path.unlink(missing_ok=True)


def remove_shards(layout: Layout, over: str | None = None) -> None:
    """Remove all shards, for what they hold is in the result, and what killed workers left.

    Those of jobs that live stay: such a job may have been taken for dead.

    Parameters
    ----------
    layout : Layout
    over : str, optional
        The run id of a plan whose jobs are over, whatever their leases say.
    """
    living = _living_jobs(layout, over)
    # Nobody would look for what is packed of a shard that is gone.
    for file in [*layout.packed(), *layout.shards()]:
        if lease_name(file.name.removesuffix(PACKED_SUFFIX)) not in living:
            file.unlink()
    living_plans = set(map(layout.run_id_of, map(Path, living)))
    for plan in layout.plan_folders():
        if plan.name not in living_plans:
            for folder in [layout.plan(plan.name).leases, *plan.glob("claims/*")]:
                remove_temporaries(folder)
    if layout.out.is_dir():
        remove_temporaries(layout.out)
        sync_folder(layout.out)


def _living_jobs(layout: Layout, over: str | None) -> set[str]:
    """Return the names of the leases of the jobs that live, but for those of plan `over`."""
    others = [lease for lease in Jobs(layout).leases() if lease.parents[1].name != over]
    now = server_time(layout.root) if others else 0.0
    return {lease.name for lease in others if not is_over(lease, now)}


def _remove_old_plans(plan: Plan) -> None:
    """Remove what earlier plans froze, unless shards, or jobs that live, still go by it."""
    living = map(Path, _living_jobs(plan.layout, plan.run_id))
    needed = {plan.run_id, *map(plan.layout.run_id_of, [*plan.layout.shards(), *living])}
    for folder in plan.layout.plan_folders():
        if folder.name not in needed:
            shutil.rmtree(folder)
