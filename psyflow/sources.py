"""What earlier runs left that the present space still asks for.

Outcomes are in the shards of this and earlier plans, and in the result. Each belongs to a frozen
space of its own; where that is not the present one, keys tell which item is which.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np

from psyflow.bookkeeping import About, Arrays, ItemsFile
from psyflow.columns import Columns, table_length
from psyflow.exceptions import (
    DamagedFileError,
    DamagedShardWarning,
    PsyflowError,
    PsyflowWarning,
    StoreError,
    TaskFileError,
)
from psyflow.frozen import FrozenSpace
from psyflow.layout import Layout
from psyflow.merge import (
    BOOKKEEPING,
    Block,
    Items,
    Outcomes,
    Piece,
    Table,
    read_outcomes,
)
from psyflow.plan import Plan
from psyflow.pspace import Param
from psyflow.pspace.keys import match
from psyflow.store import Store, known_extensions, store_for

__all__ = ["Earlier", "Recovered", "recover"]

ROWS_PER_PIECE = 1 << 13


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
    dropped : frozenset of str
        Outputs that were left out of it.
    """

    path: Path
    run_id: str | None
    is_outlived: bool
    dropped: frozenset[str] = frozenset()

    def is_kept_beside(self, result: Path) -> bool:
        """Tell whether a merge that writes `result` puts this one in the archive."""
        return self.is_outlived or self.path != result


@dataclass
class Recovered:
    """What there is for the items of a space.

    Attributes
    ----------
    table : Table
        Where each item's result is.
    outcomes : Outcomes
        Of the shards; its failures may be of items that have a result by now.
    failed : ndarray of int64
        Items with a failure and no result, ascending.
    skipped : ndarray of int64
        Items without a result that were skipped, ascending.
    is_unknown : bool
        Whether rows come from a result without bookkeeping.
    earlier : Earlier or None
        The result that is there.
    """

    table: Table
    outcomes: Outcomes
    failed: Items
    skipped: Items
    is_unknown: bool
    earlier: Earlier | None

    @property
    def n_done(self) -> int:
        """Number of items that have a result."""
        return int(np.count_nonzero(self.table.piece_of >= 0))

    def pending(self) -> Items:
        """Return the items without a result, ascending."""
        return np.flatnonzero(self.table.piece_of < 0)

    def never_ran(self) -> Items:
        """Return the items with neither a result nor a failure nor a skip, ascending."""
        return np.setdiff1d(self.pending(), np.concatenate([self.failed, self.skipped]))


def recover(
    layout: Layout,
    frozen: FrozenSpace,
    store: Store,
    exclude: Collection[str] = (),
    *,
    verify: bool = False,
) -> Recovered:
    """Find out what earlier runs left for the items of a space. Writes nothing.

    Parameters
    ----------
    layout : Layout
    frozen : FrozenSpace
        The present space.
    store : Store
        Of the result.
    exclude : collection of str
        Names that the result need not have.
    verify : bool
        Read every byte of the shards, and do without what is damaged.
    """
    numbering = _Numbering(layout, frozen)
    shards = [shard for shard in layout.shards() if numbering.knows(layout.run_id_of(shard))]
    outcomes = read_outcomes(
        shards, lambda shard: numbering(layout.run_id_of(shard)), verify=verify
    )
    earlier = _Result(layout, store, numbering, outcomes.workers, frozenset(exclude))
    # Shards come first: they are what the result was made from, if it is older than they are.
    pieces = [*outcomes.pieces, *earlier.pieces()]
    table = Table.index(pieces, len(frozen))
    failed, skipped = (_left(some, table) for some in (outcomes.failed, outcomes.skipped))
    return Recovered(table, outcomes, failed, skipped, earlier.is_unknown, earlier.summary)


def _left(items: Items, table: Table) -> Items:
    """Return those of `items` that have no result."""
    items = items[items < len(table.piece_of)]
    return items[table.piece_of[items] < 0]


def _check_unowned(layout: Layout) -> None:
    """Raise TaskFileError if the result of `layout` is that of another task."""
    if layout.result.parent == layout.root or not layout.result.exists():
        return
    for file in sorted(layout.root.parent.glob("*/plan.json")):
        plan = _plan_of_another(file) if file.parent != layout.root else None
        # The rows of a task that was renamed may be taken over.
        if plan and plan.layout.result == layout.result and Path(plan.task_file).exists():
            raise TaskFileError(
                f'The result file of "{layout.task}", {layout.result}, is that of "{plan.task}" '
                f"({plan.task_file}). Set another `resultfile` in one of them."
            )


def _plan_of_another(file: Path) -> Plan | None:
    try:
        return Plan.read(file)
    except PsyflowError:
        # What is wrong with it concerns the task that it is of.
        return None


class _Numbering:
    """Turns the item numbers of earlier plans into those of the present space."""

    def __init__(self, layout: Layout, frozen: FrozenSpace) -> None:
        self._layout = layout
        self._frozen = frozen
        self._digest = frozen.digest
        self._known: dict[str, Items | None] = {}
        self._keys: Any = None

    def names(self) -> list[str]:
        """Return the parameter names of the present space."""
        return list(self._frozen.space.keys())

    def keys(self) -> Any:
        """Return the keys of the present space."""
        if self._keys is None:
            self._keys = self._frozen.keys()
        return self._keys

    def knows(self, run_id: str) -> bool:
        """Tell whether the items of `run_id` can be numbered; warn if not."""
        try:
            self(run_id)
        except LookupError as error:
            message = (
                f"{error.args[0]} So nobody can tell whose outcomes the shards {run_id}.* in "
                f"{self._layout.out} hold; their items run again."
            )
            warnings.warn(message, DamagedShardWarning, stacklevel=2)
            return False
        return True

    def items_of(self, columns: Columns) -> Items:
        """Tell the items of rows by the parameters in them; −1 where nobody can say."""
        names = [name for name in self.names() if name in columns]
        n_rows = table_length(columns)
        if any(n not in columns and n not in self._frozen.defaults for n in self.names()):
            return np.full(n_rows, -1, dtype=np.int64)
        rows = Param.from_psets({name: columns[name] for name in names})
        return match(self._frozen.keys_of(rows), self.keys())

    def __call__(self, run_id: str) -> Items | None:
        """Return the array that renumbers, or None if the numbers are the same.

        Raises
        ------
        LookupError
            If the plan is gone or damaged.
        """
        if run_id not in self._known:
            self._known[run_id] = self._renumber(run_id)
        return self._known[run_id]

    def _renumber(self, run_id: str) -> Items | None:
        path = self._layout.plan(run_id).plan_file
        try:
            plan = Plan.read(path)
            if plan is None:
                raise LookupError(f"{path} is gone.")
            if plan.space_digest == self._digest:
                return None
            space = plan.load_space().space
        except StoreError as error:
            raise LookupError(str(error)) from error
        return match(self._frozen.keys_of(space), self.keys())


class _Result:
    """The result file as a source of outcomes."""

    def __init__(
        self,
        layout: Layout,
        store: Store,
        numbering: _Numbering,
        workers: list[str],
        exclude: frozenset[str],
    ) -> None:
        self._layout = layout
        self._store = store
        self._numbering = numbering
        self._workers = workers
        self._exclude = exclude
        self.is_unknown = False
        self.summary: Earlier | None = None

    def pieces(self) -> Iterator[Piece]:
        """Yield the result's rows; none if there is no result that can be read."""
        items_file = ItemsFile(self._layout)
        about, arrays = items_file.about(), items_file.arrays()
        if about is None or about.result != str(self._layout.result):
            _check_unowned(self._layout)
        if about is not None and arrays:
            yield from self._known_pieces(about, arrays)
        elif (path := self._unknown_result()) is not None:
            yield from self._unknown_pieces(path)

    def _unknown_result(self) -> Path | None:
        """Return a result that no bookkeeping describes, in the format of any store."""
        result = self._layout.result
        # A file of another format is psyflow's own only in the run's folder: a merge removes it.
        is_ours = result.parent == self._layout.root
        # Seldom are there any, and asking for all plugins' extensions takes its time.
        if is_ours and not result.exists() and any(result.parent.glob(f"{escape(result.stem)}.*")):
            others = [result.with_suffix(ext) for ext in known_extensions()]
            return next((path for path in others if path.exists()), None)
        return result if result.exists() else None

    def _known_pieces(self, about: About, arrays: Arrays) -> Iterator[Piece]:
        path = Path(about.result)
        lacks_columns = not self._exclude.issuperset(about.dropped)
        items = self._known_items(about, arrays)
        is_outlived = (
            lacks_columns or not self._exclude.isdisjoint(about.outputs) or bool(np.any(items < 0))
        )
        self.summary = Earlier(path, about.run_id, is_outlived, frozenset(about.dropped))
        if not lacks_columns:
            yield from self._cut(path, items, about, arrays)

    def _unknown_pieces(self, path: Path) -> Iterator[Piece]:
        items = self._unknown_items(path)
        self.is_unknown = bool(np.any(items >= 0))
        self.summary = Earlier(path, None, not len(items) or bool(np.any(items < 0)))
        yield from self._cut(path, items, None, {})

    def _known_items(self, about: About, arrays: Arrays) -> Items:
        try:
            renumber = self._numbering(about.run_id)
        except LookupError:
            return match(arrays["key"], self._numbering.keys())
        items: Items = arrays["item"]
        return items if renumber is None else renumber[items]

    def _unknown_items(self, path: Path) -> Items:
        """Tell a result's items by the parameters in it."""
        try:
            columns = self._store_of(path).load(path)
        except DamagedFileError as error:
            warnings.warn(f"{error} Its items run again.", PsyflowWarning, stacklevel=2)
            return np.empty(0, dtype=np.int64)
        return self._numbering.items_of(columns)

    def _store_of(self, path: Path) -> Store:
        return self._store if path.suffix == self._layout.result.suffix else store_for(path)

    def _cut(
        self, path: Path, items: Items, about: About | None, arrays: Arrays
    ) -> Iterator[Piece]:
        if not len(items):
            return
        store = self._store_of(path)
        row_bytes = path.stat().st_size / len(items)
        # A store that cannot read some rows reads all of them, so that has to happen once only.
        step = len(items) if type(store).read is Store.read else ROWS_PER_PIECE
        for start in range(0, len(items), step):
            stop = min(start + step, len(items))
            load = self._loader(store, path, start, stop, about, arrays)
            yield Piece(items[start:stop], int(row_bytes * (stop - start)), load)

    def _loader(
        self,
        store: Store,
        path: Path,
        start: int,
        stop: int,
        about: About | None,
        arrays: Arrays,
    ) -> Callable[[], Block]:
        def load() -> Block:
            columns = store.read(path, start, stop)
            if about is None:
                parameters = self._numbering.names()
                outputs = {n: c for n, c in columns.items() if n not in parameters}
                return Block(outputs, _unknown_bookkeeping(stop - start, self._workers))
            outputs = {n: columns[n] for n in about.outputs if n in columns}
            return Block(outputs, self._bookkeeping(about, arrays, start, stop))

        return load

    def _bookkeeping(self, about: About, arrays: Arrays, start: int, stop: int) -> Arrays:
        number = {w: _number_of(w, self._workers) for w in about.workers}
        renumber = np.array([number[w] for w in about.workers], dtype=np.int32)
        some = {n: arrays[n][start:stop] for n in BOOKKEEPING if n in arrays}
        return {**some, "worker": renumber[some["worker"]]}


def _number_of(worker: str, workers: list[str]) -> int:
    if worker not in workers:
        workers.append(worker)
    return workers.index(worker)


def _unknown_bookkeeping(n_rows: int, workers: list[str]) -> Arrays:
    return {
        "start": np.full(n_rows, np.nan),
        "duration": np.full(n_rows, np.nan),
        "attempt": np.zeros(n_rows, dtype=np.int16),
        "worker": np.full(n_rows, _number_of("unknown", workers), dtype=np.int32),
    }
