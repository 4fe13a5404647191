"""The result that earlier runs have left, as a source of outcomes."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from psyflow.exceptions import (
    DamagedFileError,
    MissingFileError,
    PsyflowError,
    PsyflowWarning,
    StoreError,
    TaskFileError,
    UnmakeableValuesError,
    UntrustedFileError,
)
from psyflow.outcomes.table import BOOKKEEPING, Block, Items, Piece
from psyflow.outcomes.workers import Workers
from psyflow.pspace.keys import match
from psyflow.record.arraysfile import Arrays
from psyflow.record.bookkeeping import About, ItemsFile
from psyflow.record.layout import Layout
from psyflow.record.numbering import Numbering
from psyflow.record.plan import Plan
from psyflow.record.renewals import Renewals
from psyflow.store import Store, known_extensions, store_for
from psyflow.store.base import reads_all
from psyflow.system.files import keep_copy, make_folder
from psyflow.system.place import is_same_file
from psyflow.system.reading import is_there
from psyflow.system.trust import Origin, found_in

__all__ = ["Earlier", "EarlierResult", "keep_plan", "results_of", "with_own_result"]

# For a store that reads some rows at a time: to open its file takes as long as thousands of them.
ROWS_PER_PIECE = 1 << 13
MOST_ROWS_PER_PIECE = 1 << 16
BYTES_PER_PIECE = 2 << 20


@dataclass(frozen=True)
class Earlier:
    """A result that a merge is going to replace.

    Attributes
    ----------
    path : Path
    run_id : str or None
        None if nobody knows.
    is_outlived : bool
        Whether it holds rows or columns that the new one will not.
    is_own : bool
        Whether a merge in this very folder of a run has written it.
    dropped : frozenset of str
        Outputs that were left out of it.
    """

    path: Path
    run_id: str | None
    is_outlived: bool
    is_own: bool = False
    dropped: frozenset[str] = frozenset()

    def is_kept_beside(self, result: Path) -> bool:
        """Tell whether a merge that writes `result` puts this one in the archive."""
        return self.is_outlived or not is_same_file(self.path, result)


def keep_plan(layout: Layout, run_id: str | None, archive: Path) -> None:
    """Keep in the archive what tells whose a result is that goes there, and what its items are."""
    if run_id is None:
        return
    plan, run = layout.plan(run_id), layout.moved_to(archive)
    kept = make_folder(run.plan(run_id).folder)
    for source in (plan.space, plan.keys, plan.plan_file, plan.meaning):
        if is_there(source):
            keep_copy(source, kept / source.name)
    if is_there(plan.plan_file):
        keep_copy(plan.plan_file, run.plan_file)


def _check_unowned(layout: Layout, about: About | None) -> None:
    """Raise TaskFileError if the result of `layout` is that of another run."""
    if layout.result.parent == layout.root or not is_there(layout.result):
        return
    if about is not None and (owner := _original_of(layout, about)) is not None:
        raise TaskFileError(
            f'The result file of "{layout.task}", {layout.result}, is that of {owner}, of which '
            f"{layout.root} is a copy. Set another `resultfile` in one of them."
        )
    if about is not None and is_same_file(Path(about.result), layout.result):
        return
    for file in sorted(layout.root.parent.glob("*/plan.json")):
        plan = _plan_of_another(file) if file.parent != layout.root else None
        # The rows of a task that was renamed may be taken over.
        is_its = plan is not None and is_same_file(plan.layout.result, layout.result)
        if plan is not None and is_its and Path(plan.task_file).exists():
            raise TaskFileError(
                f'The result file of "{layout.task}", {layout.result}, is that of "{plan.task}" '
                f"({plan.task_file}). Set another `resultfile` in one of them."
            )


def _original_of(layout: Layout, about: About) -> Path | None:
    """Return the run's folder that wrote the result, if that is another one and still there."""
    if about.place is None or about.place.is_here(layout.root):
        return None
    original = Path(about.place.path)
    is_there = about.place.is_here(original)
    # In a copy, a path within the study leads to the copy's own result.
    written = _plan_of_another(original / "plan.json") if is_there else None
    is_its = written is not None and is_same_file(written.layout.result, layout.result)
    return original if is_its else None


def _plan_of_another(file: Path) -> Plan | None:
    try:
        return Plan.read(file)
    except PsyflowError:
        # What is wrong with it concerns the task that it is of.
        return None


def _in_other_formats(layout: Layout) -> list[Path]:
    """Return the files that a run with another store may have left as its result."""
    result = layout.result
    # A file of another format is psyflow's own only in the run's folder: a merge removes it.
    is_ours = result.parent == layout.root
    # Seldom are there any, and asking for all plugins' extensions takes its time.
    if not is_ours or set(result.parent.glob(f"{escape(result.stem)}.*")) <= {result}:
        return []
    others = (result.with_suffix(extension) for extension in known_extensions())
    return [path for path in others if path != result and path.exists()]


def results_of(layout: Layout, plan: Plan | None) -> list[Path]:
    """Return the files that count as results of a run, or would if the others were gone.

    The first is the one that it has made, under the name that the task had for it then. What
    merely bears the name of a result counts as one as soon as no bookkeeping tells of another.

    Parameters
    ----------
    layout : Layout
        As the task has it now.
    plan : Plan or None
        The present one.
    """
    found: dict[Path, Path] = {}
    for path in [*_recorded(layout, plan), layout.result, *_in_other_formats(layout)]:
        if is_there(path):
            # By way of links, a name in a folder may be there twice.
            found.setdefault(path.parent.resolve() / path.name, path)
    return list(found.values())


def with_own_result(archived: Layout) -> Layout:
    """Return the paths of a run in the archive, with its result under the name that it has there.

    That is the one which the task had for it once.
    """
    recorded = [Path(name).name for name in _names_in(archived)]
    found = (archived.root / name for name in recorded)
    return replace(archived, result=next(filter(is_there, found), archived.result))


def _names_in(archived: Layout) -> Iterator[str]:
    if (about := ItemsFile(archived).about()) is not None:
        yield about.result
    if (plan := _plan_of_another(archived.plan_file)) is not None:
        yield plan.result


def _recorded(layout: Layout, plan: Plan | None) -> Iterator[Path]:
    """Yield the results that records in a run's folder name, and that are the run's own."""
    about = ItemsFile(layout).about()
    if about is not None:
        result = Path(about.result)
        is_own = about.place is not None and about.place.is_here(layout.root)
        if is_own or is_same_file(result.parent, layout.root):
            yield result
    # Elsewhere another task may have the name by now: only the bookkeeping knows the content.
    if plan is not None and is_same_file(Path(plan.result).parent, layout.root):
        yield Path(plan.result)


class EarlierResult:
    """The result file as a source of outcomes."""

    def __init__(
        self,
        layout: Layout,
        store: Store,
        numbering: Numbering,
        workers: Workers,
        exclude: frozenset[str],
        *,
        verify: bool = False,
    ) -> None:
        self._layout = layout
        self._store = store
        self._numbering = numbering
        self._workers = workers
        self._renumbered: npt.NDArray[np.int32] | None = None
        self._exclude = exclude
        self._verify = verify
        self._items_file = ItemsFile(layout)
        self.is_unknown = False
        self.summary: Earlier | None = None

    def pieces(self) -> Iterator[Piece]:
        """Yield the result's rows; none if there is no result that can be read."""
        about = self._items_file.about()
        _check_unowned(self._layout, about)
        if about is not None and (items := self._items_of_rows()) is not None:
            yield from self._known_pieces(about, items)
        elif (path := self._unknown_result()) is not None:
            yield from self._unknown_pieces(path)

    def _items_of_rows(self) -> Items | None:
        """Return the items as of the result's plan; None if its bookkeeping is damaged."""
        is_damaged = self._verify and not self._rows
        return None if is_damaged else self._items_file.arrays(["item"]).get("item")

    @functools.cached_property
    def _rows(self) -> Arrays:
        """How each row was made: as large as the result, and what only looks needs none of it."""
        return self._items_file.arrays(BOOKKEEPING)

    def _unknown_result(self) -> Path | None:
        """Return a result that no bookkeeping describes, in the format of any store."""
        result = self._layout.result
        return result if is_there(result) else next(iter(_in_other_formats(self._layout)), None)

    def _known_pieces(self, about: About, of_rows: Items) -> Iterator[Piece]:
        path = Path(about.result)
        lacks_columns = not self._exclude.issuperset(about.dropped)
        items = self._known_items(about, of_rows)
        is_outlived = (
            lacks_columns or not self._exclude.isdisjoint(about.outputs) or bool(np.any(items < 0))
        )
        is_own = about.place is not None and about.place.is_here(self._layout.root)
        self.summary = Earlier(path, about.run_id, is_outlived, is_own, frozenset(about.dropped))
        if not lacks_columns:
            yield from self._cut(path, items, about)

    def _unknown_pieces(self, path: Path) -> Iterator[Piece]:
        items = self._unknown_items(path)
        self.is_unknown = bool(np.any(items >= 0))
        self.summary = Earlier(path, None, not len(items) or bool(np.any(items < 0)))
        yield from self._cut(path, items, None)

    def _known_items(self, about: About, of_rows: Items) -> Items:
        try:
            renumber = self._numbering(about.run_id)
        except (LookupError, UntrustedFileError) as error:
            if isinstance(error.__cause__, UnmakeableValuesError):
                return np.full(len(of_rows), -1, dtype=np.int64)
            keys = self._items_file.arrays(["key"]).get("key")
            if keys is None:
                return self._unknown_items(Path(about.result))
            # Of old, a table without rows had no key of two halves either.
            found = match(keys.reshape(-1, 2), self._numbering.keys())
            renewed = Renewals.from_json(about.renewals).times_of(of_rows)
            return self._numbering.that_count(found, about.contents, renewed)
        return of_rows if renumber is None else renumber[of_rows]

    def _unknown_items(self, path: Path) -> Items:
        """Tell a result's items by the parameters in it."""
        try:
            with found_in(self._origin(None)):
                columns = self._store_of(path).load(path)
        except (MissingFileError, UntrustedFileError):
            raise
        except StoreError as error:
            warnings.warn(f"{error} Its items run again.", PsyflowWarning, stacklevel=2)
            return np.empty(0, dtype=np.int64)
        return self._numbering.items_of(columns)

    def _origin(self, about: About | None) -> Origin:
        if about is not None:
            return self._layout.origin(about.run_id)
        # It is looked at before anything is planned, and so as part of the folder that was there.
        plan = Plan.present(self._layout)
        return self._layout.origin(plan.run_id if plan is not None else None)

    def _store_of(self, path: Path) -> Store:
        extension, its = path.suffix.lower(), self._store.ext.lower()
        is_fitting = path.suffix == self._layout.result.suffix
        # In the archive, the result may be one of another store, under the name of that.
        if is_fitting and (extension == its or extension not in known_extensions()):
            return self._store
        return store_for(path)

    def _cut(self, path: Path, items: Items, about: About | None) -> Iterator[Piece]:
        if not len(items):
            return
        store, origin = self._store_of(path), self._origin(about)
        row_bytes = path.stat().st_size / len(items)
        fitting = min(int(BYTES_PER_PIECE / max(row_bytes, 1)), MOST_ROWS_PER_PIECE)
        step = len(items) if reads_all(store) else max(fitting, ROWS_PER_PIECE)
        for start in range(0, len(items), step):
            stop = min(start + step, len(items))
            load = self._loader(store, path, origin, start, stop, about)
            yield Piece(items[start:stop], int(row_bytes * (stop - start)), load, path)

    def _loader(
        self,
        store: Store,
        path: Path,
        origin: Origin,
        start: int,
        stop: int,
        about: About | None,
    ) -> Callable[[], Block]:
        def load() -> Block:
            with found_in(origin):
                columns = store.read(path, start, stop)
            if about is None:
                parameters = self._numbering.names()
                outputs = {n: c for n, c in columns.items() if n not in parameters}
                return Block(outputs, _unknown_bookkeeping(stop - start, self._workers))
            about.check(columns, stop - start)
            outputs = {n: columns[n] for n in about.outputs}
            return Block(outputs, self._bookkeeping(about, start, stop))

        return load

    def _bookkeeping(self, about: About, start: int, stop: int) -> Arrays:
        if not self._rows:
            raise DamagedFileError(f"The bookkeeping of {about.result} is damaged.")
        if self._renumbered is None:
            numbers = self._workers.numbers(about.workers, about.job_ids_of_workers())
            self._renumbered = np.array(numbers, dtype=np.int32)
        some = {name: column[start:stop] for name, column in self._rows.items()}
        if np.any(self._renumbered != np.arange(len(self._renumbered))):
            some["worker"] = self._renumbered[some["worker"]]
        return some


def _unknown_bookkeeping(n_rows: int, workers: Workers) -> Arrays:
    return {
        "start": np.full(n_rows, np.nan),
        "duration": np.full(n_rows, np.nan),
        "attempt": np.zeros(n_rows, dtype=np.int16),
        "worker": np.full(n_rows, workers.number("unknown"), dtype=np.int32),
    }
