"""What earlier runs left that the present space still asks for.

Outcomes are in the shards of this and earlier plans, and in the result. Each belongs to a frozen
space of its own; where that is not the present one, keys tell which item is which.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from psyflow.exceptions import (
    PsyflowWarning,
    StoreError,
    UnmakeableValuesError,
    UnreadableError,
    UsageError,
)
from psyflow.outcomes.reading import Outcomes, read_outcomes
from psyflow.outcomes.shard import Frame, ShardReader
from psyflow.outcomes.states import State, Tally
from psyflow.outcomes.table import Items, Piece, Table
from psyflow.record.earlier import Earlier, EarlierResult
from psyflow.record.edits import Edits
from psyflow.record.frozen import FrozenSpace
from psyflow.record.jobids import JobIds
from psyflow.record.layout import Layout
from psyflow.record.numbering import Numbering
from psyflow.record.plan import Plan
from psyflow.store import Store, store_for
from psyflow.store.holding import Holding

__all__ = ["Recovered", "find", "recover", "store_of"]


@dataclass
class Recovered:
    """What there is for the items of a space.

    Attributes
    ----------
    frozen : FrozenSpace
        The space.
    exclude : frozenset of str
        Names that the result need not have.
    table : Table
        Where each item's result is.
    outcomes : Outcomes
        Of the shards; its failures may be of items that have a result by now.
    ended : mapping from State to ndarray of int64
        Items without a result, ascending, by how their last evaluation ended.
    is_unknown : bool
        Whether rows come from a result without bookkeeping.
    earlier : Earlier or None
        The result that is there.
    unreadable : frozenset of Path
        Files with outcomes that are left out, because they cannot be read.
    unsure : ndarray of int64
        Items without a result that have rows of unknown contents of files, ascending.
    edited : mapping from str to set of str
        By the run ids of plans, the files that were written to since; see `Edits`.
    """

    frozen: FrozenSpace
    exclude: frozenset[str]
    table: Table
    outcomes: Outcomes
    ended: Mapping[State, Items]
    is_unknown: bool
    earlier: Earlier | None
    unreadable: frozenset[Path] = frozenset()
    unsure: Items = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    edited: Mapping[str, set[str]] = field(default_factory=dict)

    def about_edited(self) -> str:
        """Say which files were written to, and how many items have to run again for that."""
        n_items = len(self.unsure)
        if not n_items:
            return ""
        first, *others = sorted(set().union(*self.edited.values()))
        more = f" and {len(others)} more file{'s' * (len(others) > 1)}" if others else ""
        results = f"results of {n_items} items are" if n_items > 1 else "the result of 1 item is"
        return (
            f"{first}{more} changed after the run had begun, so nobody knows of which content "
            f"{results}"
        )

    @property
    def n_done(self) -> int:
        """Number of items that have a result."""
        return int(np.count_nonzero(self.table.piece_of >= 0))

    @property
    def tally(self) -> Tally:
        """How many items have a result, and how the others ended."""
        without_row = {state: len(items) for state, items in self.ended.items()}
        return Tally(len(self.frozen), {State.DONE: self.n_done, **without_row})

    @property
    def failed(self) -> Items:
        """Items with a failure and no result, ascending."""
        return self.ended[State.FAILED]

    @property
    def skipped(self) -> Items:
        """Items without a result that were skipped, ascending."""
        return self.ended[State.SKIPPED]

    def pending(self) -> Items:
        """Return the items without a result, ascending."""
        return np.flatnonzero(self.table.piece_of < 0)

    def never_ran(self) -> Items:
        """Return the items without any outcome, ascending."""
        has_none = self.table.piece_of < 0
        for items in self.ended.values():
            has_none[items] = False
        return np.flatnonzero(has_none)

    def unmakeable(self) -> str:
        """Say why values that the earlier result has cannot be made here; empty if they can."""
        path = self.earlier and self.earlier.path
        used = np.flatnonzero(np.bincount(self.table.piece_of[self.table.piece_of >= 0])).tolist()
        pieces = (self.table.pieces[number] for number in used)
        # What is pickled is one piece; of other formats, there is nothing that cannot be made.
        piece = next((piece for piece in pieces if piece.file == path), None)
        try:
            if piece is not None:
                piece.read()
        except UnreadableError as error:
            # What is damaged is left out by the merge, as far as it is.
            return str(error) if isinstance(error.__cause__, UnmakeableValuesError) else ""
        return ""

    def readable(self) -> Recovered:
        """Return the same without the outcomes that cannot be read, of which this warns."""
        return self._without([piece for piece in self.table.pieces if not _can_be_read(piece)])

    def without_earlier(self) -> Recovered:
        """Return the same without what only the earlier result has."""
        path = self.earlier and self.earlier.path
        return self._without([piece for piece in self.table.pieces if piece.file == path])

    def without_items(self, items: Items) -> Recovered:
        """Return the same without the results of some items."""
        piece_of = self.table.piece_of.copy()
        piece_of[items] = -1
        return replace(self, table=replace(self.table, piece_of=piece_of))

    def _without(self, pieces: Sequence[Piece]) -> Recovered:
        gone = set(map(id, pieces))
        left = [piece for piece in self.table.pieces if id(piece) not in gone]
        table = Table.index(left, len(self.frozen))
        unreadable = frozenset(piece.file for piece in pieces if piece.file is not None)
        # Another day, what it has may be readable again.
        earlier = self.earlier and replace(self.earlier, is_outlived=True)
        return replace(
            self,
            table=table,
            ended=_without_result(self.outcomes, table),
            earlier=earlier,
            unreadable=unreadable,
        )


def recover(plan: Plan, store: Store | None = None) -> Recovered:
    """Find out what there is for the items of a plan, as far as it is whole. Writes nothing.

    Parameters
    ----------
    plan : Plan
    store : Store, optional
        Of the result; that of the frozen task if None.

    Raises
    ------
    StoreError
        If the frozen space cannot be loaded.
    """
    frozen = plan.load_space()
    code = plan.fingerprint_digest
    return find(plan.layout, frozen, store or store_of(plan), plan.exclude, code, verify=True)


def store_of(plan: Plan, result: str | None = None) -> Store:
    """Return the store of a plan's result, which may be a class of the task's own.

    Parameters
    ----------
    plan : Plan
    result : str, optional
        The result that is there, should it be that of an earlier plan.
    """
    try:
        return store_for(result or plan.result)
    except UsageError:
        # No entry point makes it known, but the frozen code does.
        return plan.load_task().store


def find(
    layout: Layout,
    frozen: FrozenSpace,
    store: Store,
    exclude: Collection[str] = (),
    code: str = "",
    *,
    verify: bool = False,
) -> Recovered:
    """Find out what earlier runs left for the items of any space. Writes nothing.

    Parameters
    ----------
    layout : Layout
    frozen : FrozenSpace
        The present space.
    store : Store
        Of the result.
    exclude : collection of str
        Names that the result need not have.
    code : str
        Digest of the present fingerprint.
    verify : bool
        Read every byte of the shards, and do without what is damaged.
    """
    numbering = Numbering(layout, frozen)
    names = frozenset(exclude)
    holding = Holding(store, names)
    shards = [shard for shard in layout.shards() if numbering.knows(layout.run_id_of(shard))]
    origin = functools.cache(layout.origin)  # shards may be thousands, and plans are few
    outcomes = read_outcomes(
        shards,
        lambda shard: numbering(layout.run_id_of(shard)),
        origin=lambda shard: origin(layout.run_id_of(shard)),
        takes=lambda reader, frame: _takes(holding, reader, frame),
        job_id=JobIds(layout).of,
        verify=verify,
    )
    edits = Edits(layout, frozen, code)
    outcomes.pieces = [edits.without(piece) for piece in outcomes.pieces]
    earlier = EarlierResult(layout, store, numbering, outcomes.workers, names, verify=verify)
    # Shards come first: they are what the result was made from, if it is older than they are.
    pieces = [*outcomes.pieces, *earlier.pieces()]
    table = Table.index(pieces, len(frozen))
    return Recovered(
        frozen,
        names,
        table,
        outcomes,
        _without_result(outcomes, table),
        earlier.is_unknown,
        earlier.summary,
        unsure=_left(edits.unsure(), table),
        edited=edits.files,
    )


def _takes(holding: Holding, reader: ShardReader, frame: Frame) -> bool:
    """Tell whether a store can hold rows that the one of their run could not."""
    try:
        if reader.refused_by(frame) == holding.name:
            return False
        return holding.holds(reader.rows(frame).columns)
    except StoreError:
        # Then they are what the failure beside them says; reading an intact one fails if it is
        # not this user's, or needs a class that is gone.
        return False


def _can_be_read(piece: Piece) -> bool:
    try:
        piece.read()
    except UnreadableError as error:
        message = f"{error} Its {len(piece.items)} items have to run again."
        warnings.warn(PsyflowWarning(message), stacklevel=2)
        return False
    return True


def _without_result(outcomes: Outcomes, table: Table) -> dict[State, Items]:
    return {state: _left(items, table) for state, items in outcomes.ended.items()}


def _left(items: Items, table: Table) -> Items:
    """Return those of `items` that have no result."""
    items = items[items < len(table.piece_of)]
    return items[table.piece_of[items] < 0]
