"""Which store is for which file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psyflow.columns import Column, Columns
from psyflow.exceptions import StoreError, UsageError, did_you_mean
from psyflow.store.adapted import as_store
from psyflow.store.base import (
    Store,
    StorePath,
    TableLike,
    Wanted,
    append_whole,
    as_table,
    write_packed,
)

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["AutodetectStore", "is_known_extension", "known_extensions", "store_for"]

_GROUPS = ("psyrun.stores", "psyflow.stores")
_BUILTIN = {
    ".pkl": "psyflow.store.pickle:PickleStore",
    ".npz": "psyflow.store.npz:NpzStore",
    ".h5": "psyflow.store.h5:H5Store",
}
_READ_ONLY = {".pk": "psyflow.store.frame:FrameStore"}
_OWN = _BUILTIN | _READ_ONLY


def _builtin(ext: str) -> EntryPoint | None:
    from importlib.metadata import EntryPoint  # slow to import, and seldom needed

    return EntryPoint(ext, _OWN[ext], _GROUPS[-1]) if ext in _OWN else None


def _plugins() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    # psyrun, where it is installed, names its own stores for the same extensions: ours come last.
    found = {ep.name.lower(): ep for group in _GROUPS for ep in entry_points(group=group)}
    return {ext: ep for ext, ep in found.items() if ext not in _BUILTIN}


def known_extensions() -> list[str]:
    """Return the extensions of files that a store writes.

    Examples
    --------
    >>> {".h5", ".npz", ".pkl"} <= set(known_extensions())
    True
    """
    return sorted(_BUILTIN.keys() | _plugins())


def is_known_extension(ext: str) -> bool:
    """Tell whether there is a store for an extension; for most, without looking at plugins.

    Examples
    --------
    >>> is_known_extension(".npz"), is_known_extension("")
    (True, False)
    """
    return ext in _OWN or (ext != "" and ext in _plugins())


def store_for(filename: StorePath) -> Store:
    """Return the store for `filename`, by its extension in upper or lower case.

    Parameters
    ----------
    filename : path

    Raises
    ------
    UsageError
        If there is none for this extension.
    StoreError
        If a plugin's store cannot be imported or made.

    Examples
    --------
    >>> store_for("result.NPZ")
    NpzStore()
    """
    ext = Path(filename).suffix.lower()
    entry_point = _builtin(ext) or _plugins().get(ext)
    if entry_point is None:
        raise _unknown(filename, ext)
    try:
        return as_store(entry_point.load()())
    except Exception as error:
        raise StoreError(
            f"The store for {ext} files, {entry_point.value}, cannot be used: {error!r}."
        ) from error


def _unknown(filename: StorePath, ext: str) -> UsageError:
    known = known_extensions()
    what = f'There is no store for "{ext}" files' if ext else "A file needs an extension"
    return UsageError(
        f"{what}: {os.fspath(filename)}.{did_you_mean(ext, known)} Known: {', '.join(known)}."
    )


@dataclass(frozen=True)
class AutodetectStore(Store):
    """The store for each file's extension; pickle where there is no file name to look at.

    Another extension is a UsageError, as for `store_for`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     AutodetectStore().save(f"{folder}/a.npz", {"a": [1, 2]})
    ...     AutodetectStore().load(f"{folder}/a.npz")
    {'a': array([1, 2])}
    """

    ext = ".pkl"
    reads_back = True

    def save(self, filename: StorePath, data: TableLike) -> None:
        """Save `data` in the format that `filename` names."""
        write_packed(store_for(filename), filename, [as_table(data)])

    def load(
        self, filename: StorePath, row: int | None = None, **options: Any
    ) -> dict[str, Column]:
        """Load `filename`; `options`, such as ``ragged=True``, are passed on to its store."""
        return store_for(filename).load(filename, row, **options)

    def append(self, filename: StorePath, data: TableLike) -> None:
        """Put the rows of `data` below the table in `filename`."""
        append_whole(store_for(filename), filename, data)

    def write(self, filename: StorePath, blocks: Iterable[Columns]) -> None:
        """Save the tables `blocks` below each other."""
        write_packed(store_for(filename), filename, blocks)

    def read(self, filename: StorePath, start: int, stop: int) -> dict[str, Column]:
        """Load the rows from `start` up to, but without, `stop`."""
        return store_for(filename).read(filename, start, stop)

    def load_some(self, filename: StorePath, wanted: Wanted) -> dict[str, Column]:
        """Load some columns of the table in `filename`."""
        return store_for(filename).load_some(filename, wanted)

    def length(self, filename: StorePath) -> int:
        """Return the number of rows in `filename`."""
        return store_for(filename).length(filename)

    def warm_up(self) -> None:
        """Import what the store for `ext` needs."""
        store_for(f"row{self.ext}").warm_up()

    def check(self, row: Mapping[str, Any]) -> None:
        """Raise UnsupportedDataError if the store for `ext` could not hold `row`."""
        store_for(f"row{self.ext}").check(row)
