"""From outcomes in any order to one table in item order, each item once, in bounded memory.

What holds outcomes is cut into *pieces*: a frame of a shard, or a block of rows of an earlier
result. A piece knows its items without being loaded, so who has what is settled first, for all
items at once, and the values are then read block by block.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.columns import Columns, concatenate, cut, take
from psyflow.exceptions import (
    StoreError,
    UnreadableError,
    UntrustedFileError,
)
from psyflow.outcomes.frames import Frame
from psyflow.outcomes.records import OF_PROGRAMS, UNKNOWN, Failure
from psyflow.outcomes.shard import ShardReader

__all__ = [
    "BOOKKEEPING",
    "Block",
    "FailureRecord",
    "LOG_POSITIONS",
    "MergedBlock",
    "OPTIONAL",
    "Piece",
    "Table",
    "merged_blocks",
    "nothing",
]

BLOCK_BYTES = 16 << 20
BLOCK_ROWS = 1 << 16
CACHE_BYTES = 32 << 20
_FEW_ROWS = 1 << 10
LOG_POSITIONS = ("log_start", "log_stop")
OPTIONAL: dict[str, np.generic] = {
    "log_start": np.int64(UNKNOWN),
    "log_stop": np.int64(UNKNOWN),
    "peak_kib": np.int32(UNKNOWN),
    **OF_PROGRAMS,
}
"""What bookkeeping may lack, and what stands for that where it does."""
BOOKKEEPING = ("start", "duration", "attempt", "worker", *OPTIONAL)

Items: TypeAlias = "npt.NDArray[np.int64]"
Bookkeeping: TypeAlias = "dict[str, npt.NDArray[np.generic]]"


@dataclass
class Block:
    """Some rows: what the function returned, and the bookkeeping.

    Attributes
    ----------
    columns : mapping from str to column
    bookkeeping : dict from str to ndarray
        ``start``, ``duration``, ``attempt``, ``worker``, a number of `Workers`, ``log_start`` and
        ``log_stop``, from which byte to which of the worker's log the item printed,
        ``peak_kib``, see `Rows`, and `OF_PROGRAMS`. What is `OPTIONAL` is left out where nothing
        is known of it.
    """

    columns: Columns
    bookkeeping: Bookkeeping


@dataclass(frozen=True)
class Piece:
    """Outcomes that are loaded together.

    Attributes
    ----------
    items : ndarray of int64, shape (n,)
        Item numbers in the present space; −1 for rows whose pset is no longer asked for.
    n_bytes : int
        About what it takes in memory.
    load : callable
        Reads the rows.
    file : Path or None
        Where they are.
    """

    items: Items
    n_bytes: int
    load: Callable[[], Block]
    file: Path | None = None

    def read(self) -> Block:
        """Read the rows.

        Raises
        ------
        UnreadableError
            If that cannot be done, though they are there.
        UntrustedFileError
            If they could be, with trust.
        FileNotFoundError
            If they are gone.
        """
        try:
            return self.load()
        except (FileNotFoundError, UntrustedFileError):
            raise
        except StoreError as error:
            raise UnreadableError(str(error)) from error


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """A failure, or a skip, in a shard, which is not read yet.

    Attributes
    ----------
    item : int
        Number in the present space; −1 if the pset is no longer asked for. What `read` gives has
        the number in the space of its own plan.
    reader : ShardReader
    frame : Frame
    place : int
        Which of the frame's items.
    """

    item: int
    reader: ShardReader
    frame: Frame
    place: int = 0

    def read(self) -> Failure:
        """Read the failure; raises DamagedFileError if it is not what was written."""
        return self.reader.failures(self.frame)[self.place]


@dataclass
class Table:
    """Which row of which piece each item's result is.

    Attributes
    ----------
    pieces : sequence of Piece
    piece_of : ndarray of int32, shape (number of items,)
        −1 for items without a result.
    row_of : ndarray of int32 or int64, shape (number of items,)
    """

    pieces: Sequence[Piece]
    piece_of: npt.NDArray[np.int32]
    row_of: npt.NDArray[Any]

    @classmethod
    def index(cls, pieces: Sequence[Piece], n_items: int) -> Table:
        """Settle for each item which row it is taken from: the first that has it."""
        piece_of = np.full(n_items, -1, dtype=np.int32)
        longest = max((len(piece.items) for piece in pieces), default=0)
        row_of = np.zeros(n_items, dtype=np.int32 if longest < 1 << 31 else np.int64)
        for number, piece in enumerate(pieces):
            place = _free_place(piece.items, piece_of)
            if place is not None:
                piece_of[place] = number
                row_of[place] = np.arange(len(piece.items))
                continue
            rows = np.flatnonzero((piece.items >= 0) & (piece.items < n_items))
            rows = rows[piece_of[piece.items[rows]] == -1]
            # Backwards: of several assignments to one place, the last stays.
            rows = rows[::-1]
            piece_of[piece.items[rows]] = number
            row_of[piece.items[rows]] = rows
        return cls(pieces, piece_of, row_of)

    def done(self) -> Items:
        """Return the items that have a result, ascending."""
        return np.flatnonzero(self.piece_of >= 0)


def _free_place(items: Items, piece_of: npt.NDArray[np.int32]) -> slice | None:
    """Return where `items` are if they follow each other, and no piece has any of them yet."""
    if not len(items) or not 0 <= items[0] <= items[-1] < len(piece_of):
        return None
    place = slice(int(items[0]), int(items[-1]) + 1)
    if len(items) != place.stop - place.start or not _follow_each_other(items):
        return None
    return place if (piece_of[place] == -1).all() else None


def _follow_each_other(numbers: Items) -> bool:
    return bool((numbers[1:] - numbers[:-1] == 1).all())


class _Cache:
    """Keeps the blocks that were read last, as far as they fit."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._n_bytes = 0

    def __getitem__(self, number: int) -> Block:
        if number in self._blocks:
            self._blocks.move_to_end(number)
            return self._blocks[number]
        self._n_bytes += self._pieces[number].n_bytes
        while self._blocks and self._n_bytes > CACHE_BYTES:
            dropped, _ = self._blocks.popitem(last=False)
            self._n_bytes -= self._pieces[dropped].n_bytes
        block = self._blocks[number] = self._pieces[number].read()
        return block


@dataclass
class MergedBlock:
    """Rows of several pieces, in item order.

    Attributes
    ----------
    columns : mapping from str to column
    parts : list of dict from str to ndarray
        The bookkeeping, in parts that follow each other.
    """

    columns: Columns
    parts: list[Bookkeeping]

    @property
    def bookkeeping(self) -> Bookkeeping:
        """The bookkeeping as a whole, with all that any part has."""
        names = [name for name in OPTIONAL if any(name in part for part in self.parts)]
        parts = [{**nothing(len(part["start"]), names), **part} for part in self.parts]
        return {name: np.asarray(column) for name, column in concatenate(parts).items()}


def merged_blocks(table: Table) -> Iterator[tuple[Items, MergedBlock]]:
    """Yield the rows of all done items, in item order, as (items, block) pairs."""
    # The numbers of ten million items would take 80 MB.
    done = range(len(table.piece_of)) if np.all(table.piece_of >= 0) else table.done()
    cache = _Cache(table.pieces)
    for start, stop in _cuts(table, done):
        items = _part(done, start, stop)
        where = _as_slice(items)
        yield items, _gather(cache, table.piece_of[where], table.row_of[where])


def _part(done: range | Items, start: int, stop: int) -> Items:
    if isinstance(done, range):
        return np.arange(start, min(stop, len(done)))
    return done[start:stop]


def _cuts(table: Table, done: range | Items) -> Iterator[tuple[int, int]]:
    """Cut `done` into ranges of about BLOCK_BYTES, and at most BLOCK_ROWS, each."""
    n_bytes = np.array([piece.n_bytes for piece in table.pieces])
    row_bytes = n_bytes / np.array([max(1, len(piece.items)) for piece in table.pieces])
    # Pieces of few rows take many bytes for each.
    if n_bytes[row_bytes > BLOCK_BYTES / BLOCK_ROWS].sum() <= BLOCK_BYTES:
        yield from ((n, min(n + BLOCK_ROWS, len(done))) for n in range(0, len(done), BLOCK_ROWS))
        return
    start = 0
    while start < len(done):
        end_bytes = np.cumsum(row_bytes[table.piece_of[_part(done, start, start + BLOCK_ROWS)]])
        fitting = int(np.searchsorted(end_bytes, BLOCK_BYTES, side="right"))
        yield start, start + max(1, fitting)
        start += max(1, fitting)


def _as_slice(items: Items) -> Items | slice:
    """Return the slice of which `items`, ascending, are the numbers, if there is one."""
    first, last = int(items[0]), int(items[-1])
    return slice(first, last + 1) if last - first + 1 == len(items) else items


def _gather(cache: _Cache, piece_of: npt.NDArray[np.int32], row_of: Items) -> MergedBlock:
    numbers, starts = _runs(piece_of)
    if len(set(numbers)) < len(numbers):
        # Each piece once, because it may not be in the cache any more when its turn comes again.
        order = np.argsort(piece_of, kind="stable")
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        whole = _gather(cache, piece_of[order], row_of[order])
        return _merged([_take_block(Block(whole.columns, whole.bookkeeping), back)])
    runs = zip(numbers, np.split(row_of, starts[1:]), strict=True)
    return _merged([_take_block(cache[number], rows) for number, rows in runs])


def _merged(blocks: Sequence[Block]) -> MergedBlock:
    # A block without columns, of functions that returned empty dicts, has rows all the same.
    lengths = [len(block.bookkeeping["start"]) for block in blocks]
    columns = concatenate((block.columns for block in blocks), lengths=lengths)
    merged = MergedBlock(columns, [block.bookkeeping for block in blocks])
    # What is done to each part takes longer than its few numbers do.
    has_small_parts = len(blocks) * _FEW_ROWS > sum(lengths)
    return MergedBlock(columns, [merged.bookkeeping]) if has_small_parts else merged


def nothing(n_rows: int, names: Iterable[str] = tuple(OPTIONAL)) -> Bookkeeping:
    """Return what stands in optional bookkeeping of which nothing is known."""
    return {name: np.broadcast_to(OPTIONAL[name], n_rows) for name in names}


def _runs(piece_of: npt.NDArray[np.int32]) -> tuple[list[int], Items]:
    """Return which pieces follow each other, and where each begins."""
    starts = np.append(0, np.flatnonzero(piece_of[1:] != piece_of[:-1]) + 1)
    return piece_of[starts].tolist(), starts


def _take_block(block: Block, rows: Items) -> Block:
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 != len(rows) or not _follow_each_other(rows):
        return Block(
            {name: take(column, rows) for name, column in block.columns.items()},
            {name: column[rows] for name, column in block.bookkeeping.items()},
        )
    if len(rows) == len(block.bookkeeping["start"]):
        return block
    return Block(
        # Not views, which would keep the whole piece in memory; of the bookkeeping, all is kept.
        {name: cut(column, first, last + 1) for name, column in block.columns.items()},
        {name: column[first : last + 1] for name, column in block.bookkeeping.items()},
    )
