"""`Store`, the interface of a file format for tables, and what all stores share."""

from __future__ import annotations

import functools
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from psyflow import columns
from psyflow.columns import Column, Columns
from psyflow.exceptions import UnsupportedDataError
from psyflow.store._appending import appending
from psyflow.store._files import StorePath, not_written, reading, reading_back, saving
from psyflow.store._readback import Given
from psyflow.store._tables import TableLike, as_loaded_table, as_table, check_row, one_row
from psyflow.store.comparing import comparable

__all__ = [
    "Store",
    "StorePath",
    "TableLike",
    "Wanted",
    "append_whole",
    "appending",
    "as_loaded_table",
    "as_table",
    "check_row",
    "compare_with",
    "not_written",
    "one_row",
    "reading",
    "reading_back",
    "reads_all",
    "saving",
    "takes_numbers",
    "write_packed",
]

Wanted: TypeAlias = "Callable[[list[str]], Collection[str]]"
"""Given the names of the columns that there are, tells which of them are wanted."""

_Put: TypeAlias = "Callable[[StorePath, Iterable[Columns]], None]"
_Write = TypeVar("_Write", bound=Callable[..., None])


class Store(ABC):
    """A file format for tables.

    A plugin implements `ext`, `save` and `load`, can be constructed without arguments, and is
    named in the entry points ``psyflow.stores``: ``".ext" = "package.module:ClassName"``. All else
    has a default, to be replaced where the format can do better. `psyflow.testing.StoreTests`
    tests a store.

    Attributes
    ----------
    ext : str
        The extension of the format's files, with its dot.
    reads_back : bool
        Whether `save`, `append` and `write` themselves compare what is on the disk with what they
        were given, before it takes the file's name. Otherwise psyflow loads what they have
        written. A subclass has to say so again, for it may write something else.

    Examples
    --------
    >>> import tempfile
    >>> from psyflow.store import NpzStore
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/table.npz"
    ...     NpzStore().save(path, {"a": [1, 2, 3], "b": ["x", "y", "z"]})
    ...     NpzStore().load(path, row=1)
    {'a': array([2]), 'b': array(['y'], dtype='<U1')}
    """

    ext: str
    reads_back = False

    @abstractmethod
    def save(self, filename: StorePath, data: TableLike) -> None:
        """Make `filename` hold exactly the table `data`, whole and durable.

        Parameters
        ----------
        filename : path
        data : mapping from str to sequence
            Columns of equal length. An array's rows are along its first axis.

        Raises
        ------
        UnsupportedDataError
            If a column cannot be stored without changing the type of its values. Then `filename`
            is what it was before.
        """

    @abstractmethod
    def load(self, filename: StorePath, row: int | None = None) -> dict[str, Column]:
        """Load the table in `filename`.

        Parameters
        ----------
        filename : path
        row : int, optional
            Load this row only, as columns of length 1.

        Raises
        ------
        MissingFileError
            If there is no such file.
        DamagedFileError
            If it is cut short, altered, or not of this format.
        IndexError
            If there is no such row.
        """

    def append(self, filename: StorePath, data: TableLike) -> None:
        """Put the rows of `data` below the table in `filename`, which is created if need be.

        By default the whole file is loaded and saved again. Of several processes that append, one
        waits for the other.

        Parameters
        ----------
        filename : path
        data : mapping from str to sequence
            As for `save`. A name that only one of both has is NaN in the rows of the other.

        Raises
        ------
        UnsupportedDataError, MissingFileError, DamagedFileError
            As for `save` and `load`. The rows that were there still are.

        Examples
        --------
        >>> from psyflow.store import PickleStore
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for day in (1, 2):
        ...         PickleStore().append(f"{folder}/days.pkl", {"day": [day], "mm": [day / 2]})
        ...     PickleStore().load(f"{folder}/days.pkl")
        {'day': [1, 2], 'mm': [0.5, 1.0]}
        """
        table = as_table(data)
        with appending(filename):
            if Path(filename).exists():
                table = columns.concatenate([self.load(filename), table])
            _put(self, filename, [table], lambda path, blocks: self.save(path, *blocks))

    def write(self, filename: StorePath, blocks: Iterable[Columns]) -> None:
        """Save the tables `blocks` below each other; a name that a block lacks gets NaN there.

        By default all blocks are brought together in memory.

        Parameters
        ----------
        filename : path
        blocks : iterable of mappings from str to column
            Each is asked for when those before it are dealt with.

        Raises
        ------
        UnsupportedDataError
            As for `save`.
        """
        self.save(filename, columns.concatenate(as_table(block) for block in blocks))

    def read(self, filename: StorePath, start: int, stop: int) -> dict[str, Column]:
        """Load the rows from `start` up to, but without, `stop`, as far as there are any.

        By default the whole file is loaded.

        Parameters
        ----------
        filename : path
        start, stop : int
            From 0.

        Raises
        ------
        MissingFileError, DamagedFileError
            As for `load`.
        """
        return _cut(self.load(filename), start, stop)

    def load_some(self, filename: StorePath, wanted: Wanted) -> dict[str, Column]:
        """Load some columns of the table in `filename`, as users are to have them.

        By default the whole file is loaded. Lists of text, or of other single values that are not
        all numbers, become arrays.

        Parameters
        ----------
        filename : path
        wanted : callable
            Given the list of the names of all columns, returns those that are wanted.

        Returns
        -------
        dict from str to column
            In the order of the file.

        Raises
        ------
        MissingFileError, DamagedFileError
            As for `load`.

        Examples
        --------
        >>> from psyflow.store import NpzStore
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     NpzStore().save(f"{folder}/t.npz", {"a": [1, 2], "b": [3, 4]})
        ...     NpzStore().load_some(f"{folder}/t.npz", lambda names: ["b"])
        {'b': array([3, 4])}
        """
        table = self.load(filename)
        names = set(wanted(list(table)))
        return {name: comparable(column) for name, column in table.items() if name in names}

    def as_loaded(self, table: Columns) -> dict[str, Column]:
        """Return a table that is in no file as `load` would return it from one.

        By default lists stay lists.
        """
        return columns.unpacked(table)

    def length(self, filename: StorePath) -> int:
        """Return the number of rows in `filename`.

        By default the whole file is loaded.

        Raises
        ------
        MissingFileError, DamagedFileError
            As for `load`.
        """
        return columns.table_length(self.load(filename))

    def parameters(self, filename: StorePath) -> list[str]:
        """Return the names of the columns that are parameters, if the file itself says so."""
        return []

    def warm_up(self) -> None:  # noqa: B027
        """Import what `write` needs, if that takes long: there is time while workers are busy.

        This may be called in a thread.
        """

    def check(self, row: Mapping[str, Any]) -> None:
        """Raise UnsupportedDataError, naming the column, if `row` could not be stored.

        By default it is saved in a temporary folder.

        Parameters
        ----------
        row : mapping from str to value

        Raises
        ------
        UnsupportedDataError
            With the name of the column, and what to do.

        Examples
        --------
        >>> from psyflow.store import NpzStore
        >>> NpzStore().check({"a": 1.5, "b": [1, 2]})
        """
        with tempfile.TemporaryDirectory(prefix="psyflow-") as folder:
            for name, value in row.items():
                try:
                    self.save(Path(folder) / f"row{self.ext}", {name: columns.pack([value])})
                except Exception as error:
                    raise UnsupportedDataError(
                        f'Column "{name}" holds a value of type {type(value).__name__}, which '
                        f"{self!r} cannot store: {error} Use PickleStore instead: "
                        "store = PickleStore()."
                    ) from error


# A method, not a store: a subclass that replaces the method is not asked to know of Numbers.
_TAKING_NUMBERS: set[Callable[..., None]] = set()


def takes_numbers(write: _Write) -> _Write:
    """Mark a `Store.write` that takes columns packed as `Numbers`."""
    _TAKING_NUMBERS.add(write)
    return write


def write_packed(store: Store, filename: StorePath, blocks: Iterable[Columns]) -> None:
    """Let `store` write `blocks`, whose columns may be packed as `Numbers`, and read them back.

    Raises
    ------
    NotWrittenError
        If they are not there. Then `filename` is what it was before.
    """
    takes = type(store).write in _TAKING_NUMBERS
    _put(store, filename, blocks if takes else map(columns.unpacked, blocks), store.write)


def append_whole(store: Store, filename: StorePath, data: TableLike) -> None:
    """Let `store` append `data`, and read it back; NotWrittenError if it is not there."""
    if type(store).append is Store.append or _reads_back(store):
        store.append(filename, data)
        return
    with appending(filename), saving(filename) as temporary:
        n_before = 0
        if Path(filename).exists():
            shutil.copyfile(filename, temporary)
            n_before = store.length(temporary)
        given = Given()
        (table,) = given.noted([as_table(data)])
        store.append(temporary, table)
        with reading_back(filename):
            compare_with(store, temporary, given, n_before)


def _put(store: Store, filename: StorePath, blocks: Iterable[Columns], write: _Put) -> None:
    """Let `write`, of `store`, make a file of `blocks`, and read it back if it does not itself."""
    if _reads_back(store):
        write(filename, blocks)
        return
    given = Given()
    with saving(filename) as temporary:
        write(temporary, given.noted(blocks))
        with reading_back(filename):
            compare_with(store, temporary, given)


def reads_all(store: Store) -> bool:
    """Tell whether a store reads all rows to give some, so that this should happen once only."""
    return type(store).read is Store.read


def _reads_back(store: Store) -> bool:
    return bool(vars(type(store)).get("reads_back"))


def compare_with(store: Store, path: Path, given: Given, n_before: int = 0) -> None:
    """Read what a store has written, below rows that were there, and compare it with `given`."""
    if reads_all(store):
        table = store.load(path)
        n_rows, read = columns.table_length(table), functools.partial(_cut, table)
    else:
        n_rows, read = store.length(path), functools.partial(store.read, path)
    given.compare(n_rows, read, n_before)


def _cut(table: Columns, start: int, stop: int) -> dict[str, Column]:
    return {name: column[start:stop] for name, column in table.items()}
