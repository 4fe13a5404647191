"""`Store`, the interface of a file format for tables, and what all stores share."""

from __future__ import annotations

import contextlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from psyflow import columns, files
from psyflow.columns import Column, Columns, Numbers
from psyflow.exceptions import (
    DamagedFileError,
    MissingFileError,
    StoreError,
    UnsupportedDataError,
)

__all__ = [
    "AdaptedStore",
    "Store",
    "StorePath",
    "TableLike",
    "as_loaded_table",
    "as_store",
    "as_table",
    "check_row",
    "one_row",
    "reading",
    "saving",
    "takes_numbers",
    "write_packed",
]

_Write = TypeVar("_Write", bound=Callable[..., None])

StorePath: TypeAlias = str | os.PathLike[str]
TableLike: TypeAlias = "Mapping[str, Sequence[Any] | npt.NDArray[Any]]"


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

    Examples
    --------
    >>> from psyflow.store import NpzStore
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "table.npz"
    ...     NpzStore().save(path, {"a": [1, 2, 3], "b": ["x", "y", "z"]})
    ...     NpzStore().load(path, row=1)
    {'a': array([2]), 'b': ['y']}
    """

    ext: str

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

        By default the whole file is loaded and saved again.
        """
        table = as_table(data)
        if Path(filename).exists():
            table = columns.concatenate([self.load(filename), table])
        self.save(filename, table)

    def write(self, filename: StorePath, blocks: Iterable[Columns]) -> None:
        """Save the tables `blocks` below each other; a name that a block lacks gets NaN there.

        By default all blocks are brought together in memory.
        """
        self.save(filename, columns.concatenate(as_table(block) for block in blocks))

    def read(self, filename: StorePath, start: int, stop: int) -> dict[str, Column]:
        """Load the rows from `start` up to, but without, `stop`, as far as there are any.

        By default the whole file is loaded.
        """
        return {name: column[start:stop] for name, column in self.load(filename).items()}

    def length(self, filename: StorePath) -> int:
        """Return the number of rows in `filename`.

        By default the whole file is loaded.
        """
        return columns.table_length(self.load(filename))

    def warm_up(self) -> None:  # noqa: B027
        """Import what `write` needs, if that takes long: there is time while workers are busy.

        This may be called in a thread.
        """

    def check(self, row: Mapping[str, Any]) -> None:
        """Raise UnsupportedDataError, naming the column, if `row` could not be stored.

        By default it is saved in a temporary folder.
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


class AdaptedStore(Store):
    """Anything with `ext`, `save` and `load`, such as a plugin for psyrun, as a Store.

    Its own `append` is not used, because a crash could leave half of it.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.ext = inner.ext

    def __repr__(self) -> str:
        return f"AdaptedStore({self.inner!r})"

    def save(self, filename: StorePath, data: TableLike) -> None:
        """Save `data` to `filename`, whole and durable."""
        with saving(filename) as temporary:
            self.inner.save(os.fspath(temporary), as_table(data))

    def load(self, filename: StorePath, row: int | None = None) -> dict[str, Column]:
        """Load the table in `filename`, or one row of it."""
        with reading(filename, self.ext):
            table = as_loaded_table(self.inner.load(os.fspath(filename)))
        return table if row is None else one_row(filename, table, row)


def as_store(store: Any) -> Store:
    """Return `store` as a Store; TypeError if it has no `ext`, `save` and `load`.

    Examples
    --------
    >>> from psyflow.store import PickleStore
    >>> as_store(PickleStore(protocol=5))
    PickleStore(protocol=5)
    """
    if isinstance(store, Store):
        return store
    missing = [name for name in ("ext", "save", "load") if not hasattr(store, name)]
    if missing or isinstance(store, type):
        lacks = f"lacks {', '.join(missing)}" if missing else "is a class; call it"
        raise TypeError(f"{store!r} is not a store: it {lacks}.")
    return AdaptedStore(store)


# A method, not a store: a subclass that replaces the method is not asked to know of Numbers.
_TAKING_NUMBERS: set[Callable[..., None]] = set()


def takes_numbers(write: _Write) -> _Write:
    """Mark a `Store.write` that takes columns packed as `Numbers`."""
    _TAKING_NUMBERS.add(write)
    return write


def write_packed(store: Store, filename: StorePath, blocks: Iterable[Columns]) -> None:
    """Let `store` write `blocks`, whose columns may be packed as `Numbers`."""
    takes = type(store).write in _TAKING_NUMBERS
    store.write(filename, blocks if takes else map(columns.unpacked, blocks))


def as_table(data: TableLike, *, packed: bool = False) -> dict[str, Column]:
    """Return `data` with lists and arrays as columns, of equal length.

    Parameters
    ----------
    data : mapping from str to sequence
    packed : bool
        Whether columns that are packed as `Numbers` stay so.

    Raises
    ------
    StoreError
        If it is not a table.
    """
    table = {
        name: column if packed and isinstance(column, Numbers) else _as_column(name, column)
        for name, column in data.items()
    }
    try:
        columns.table_length(table)
    except ValueError as error:
        raise StoreError(str(error)) from None
    return table


def as_loaded_table(data: Any) -> dict[str, Column]:
    """Return what was loaded as a table; DamagedFileError if it is none."""
    if not isinstance(data, Mapping):
        raise DamagedFileError(f"It holds a {type(data).__name__}, not a dict of columns.")
    try:
        return as_table(data)
    except StoreError as error:
        raise DamagedFileError(f"It does not hold a table: {error}") from error


def _as_column(name: str, column: Sequence[Any] | npt.NDArray[Any]) -> Column:
    if not isinstance(name, str):
        raise UnsupportedDataError(
            f"Column names must be str, not {type(name).__name__}: {name!r}"
        )
    if isinstance(column, list) or (isinstance(column, np.ndarray) and column.ndim):
        return column
    if isinstance(column, str | bytes | Mapping | np.ndarray) or not hasattr(column, "__iter__"):
        raise UnsupportedDataError(
            f'Column "{name}" is a {type(column).__name__}, not a sequence.'
        )
    return list(column)


def one_row(filename: StorePath, table: Columns, row: int) -> dict[str, Column]:
    """Return row `row` of `table`, as columns of length 1."""
    check_row(filename, row, columns.table_length(table))
    return {name: column[row : row + 1] for name, column in table.items()}


def check_row(filename: StorePath, row: int, length: int) -> None:
    """Raise IndexError if a table of `length` rows has no row `row`."""
    if not 0 <= row < length:
        raise IndexError(f"{os.fspath(filename)} has no row {row}; it has {length} rows.")


@contextlib.contextmanager
def reading(filename: StorePath, ext: str) -> Iterator[Path]:
    """Turn whatever goes wrong while a file is decoded into DamagedFileError, naming the file."""
    path = Path(filename)
    try:
        # What the system says about a file, such as "permission denied", is no damage.
        path.open("rb").close()
    except FileNotFoundError:
        raise MissingFileError(f"There is no file {path}.") from None
    try:
        yield path
    except DamagedFileError as error:
        raise DamagedFileError(f"{path}: {error}") from error
    except StoreError as error:
        raise type(error)(f"{path}: {error}") from error
    except MemoryError:
        raise
    except Exception as error:
        raise DamagedFileError(
            f"{path} is damaged, or not a {ext} file of psyflow ({type(error).__name__}: "
            f"{_gist(error)}). Restore it from a copy, or remove it and run the task again."
        ) from error


def _gist(error: Exception) -> str:
    # HDF5 puts a trace of its own code, of many lines, before what happened.
    return str(error).rstrip().rpartition("\n")[2]


@contextlib.contextmanager
def saving(filename: StorePath) -> Iterator[Path]:
    """Give a temporary path to write to, which becomes `filename` when all went well."""
    path = Path(filename)
    if not path.parent.is_dir():
        raise MissingFileError(f"There is no folder {path.parent} to save {path.name} in.")
    with files.atomic_path(path) as temporary:
        yield temporary
