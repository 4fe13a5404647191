"""Putting the rows of a folder into a file: those of a run, or of result files.

So the results of several folders can be gathered in one file. Rows that a folder has already given
are replaced, so that giving them again changes nothing.
"""

from __future__ import annotations

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from psyflow.columns import Columns, table_length, take, unpacked
from psyflow.exceptions import UsageError
from psyflow.pspace import Param
from psyflow.pspace.keys import Keys, column_keys, isin, match, no_keys
from psyflow.record.frozen import FrozenSpace
from psyflow.record.merged import MergedTable
from psyflow.record.plan import Plan
from psyflow.record.recover import recover
from psyflow.results.usercode import code_of
from psyflow.store import Store
from psyflow.store.base import reads_all
from psyflow.system.files import TEMPORARY_MARK
from psyflow.system.trust import Origin, found_in

__all__ = ["FilesOf", "RowsOf", "RunOf", "blocks_of", "code_for", "gather", "rows_of"]

ROWS_PER_BLOCK = 1 << 13


class RowsOf(ABC):
    """The rows of a folder, and which rows of a file they take the place of."""

    @abstractmethod
    def blocks(self) -> Iterator[Columns]:
        """Yield the rows."""

    @abstractmethod
    def key(self, rows: Columns) -> Keys:
        """Return what tells rows apart."""

    @abstractmethod
    def replaced(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Return for each row of a file, given their keys, whether the folder's take its place."""


class RunOf(RowsOf):
    """What is done of a run, in item order; psets tell rows apart.

    Parameters
    ----------
    folder : Path
        The run's.
    """

    def __init__(self, folder: Path) -> None:
        plan = Plan.read(folder / "plan.json")
        if plan is None:
            raise FileNotFoundError(f"{folder / 'plan.json'} is gone.")
        self._recovered = recover(plan)

    def blocks(self) -> Iterator[Columns]:
        """Yield parameters and outputs."""
        yield from map(unpacked, MergedTable(self._recovered).blocks())

    @property
    def _frozen(self) -> FrozenSpace:
        return self._recovered.frozen

    def _names(self) -> list[str]:
        return [n for n in self._frozen.space.keys() if n not in self._recovered.exclude]  # noqa: SIM118

    def key(self, rows: Columns) -> Keys:
        """Return the keys of the psets, as far as they are in the result."""
        there = {name: rows[name] for name in self._names() if name in rows}
        n_rows = table_length(rows)
        return self._frozen.keys_of(Param.from_psets(there)) if there else no_keys(n_rows)

    def replaced(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Return whether the run has a row of the same pset."""
        own = self._frozen.keys(self._recovered.table.done(), self._names())
        return isin(keys, own) if len(own) else np.zeros(len(keys), dtype=np.bool_)


class FilesOf(RowsOf):
    """The rows of result files in a folder, of which nobody knows the parameters.

    Parameters
    ----------
    files : list of Path
    store : Store
    """

    def __init__(self, files: list[Path], store: Store) -> None:
        self._files = files
        self._store = store

    def blocks(self) -> Iterator[Columns]:
        """Yield the rows of all files."""
        for file in self._files:
            yield from _found_blocks(self._store, file)

    def key(self, rows: Columns) -> Keys:
        """Return the keys of whole rows."""
        return column_keys(rows, table_length(rows))

    def replaced(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Return whether there is an equal row; of several, so many as there are."""
        own = [self.key(block) for block in self.blocks()]
        return match(keys, np.concatenate([no_keys(0), *own])) >= 0


def rows_of(source: Path, store: Store, target: Path) -> RowsOf:
    """Return the rows of a folder, of a run or with result files in the format of `target`.

    Raises
    ------
    UsageError
        If there are none.
    """
    run_folder = _run_folder(source)
    if run_folder is not None:
        return RunOf(run_folder)
    return FilesOf(_result_files(source, target), store)


def code_for(source: Path) -> contextlib.AbstractContextManager[object]:
    """Have the classes of a run at hand while its rows are read, if `source` is its folder."""
    folder = _run_folder(source)
    plan = Plan.read(folder / "plan.json") if folder else None
    return contextlib.nullcontext() if plan is None else code_of(plan)


def gather(rows: RowsOf, store: Store, target: Path) -> Iterator[Columns]:
    """Yield the rows that `target` has and `rows` has not, and then those of `rows`."""
    keys = [rows.key(block) for block in blocks_of(store, target)]
    is_kept = ~rows.replaced(np.concatenate([no_keys(0), *keys]))
    start = 0
    for block in blocks_of(store, target):
        kept = np.flatnonzero(is_kept[start : start + table_length(block)])
        start += table_length(block)
        yield {name: take(column, kept) for name, column in block.items()}
    yield from rows.blocks()


def blocks_of(store: Store, file: Path) -> Iterator[Columns]:
    """Yield the rows of a file."""
    if reads_all(store):
        yield store.load(file)
        return
    for start in range(0, store.length(file), ROWS_PER_BLOCK):
        yield store.read(file, start, start + ROWS_PER_BLOCK)


def _found_blocks(store: Store, file: Path) -> Iterator[Columns]:
    """Yield the rows of a file that nobody has named, only the folder that it is in."""
    blocks = blocks_of(store, file)
    while True:
        with found_in(Origin(file.parent, None)):
            block = next(blocks, None)
        if block is None:
            return
        yield block


def _run_folder(source: Path) -> Path | None:
    """Return the run's folder if `source` is one, or the shards' folder in one."""
    for folder in (source, source.absolute().parent):
        if (folder / "plan.json").is_file() and source.name in (folder.name, "out"):
            return folder
    return None


def _result_files(source: Path, target: Path) -> list[Path]:
    """Return the files to merge; the numbers in their names are compared as numbers."""
    ext = target.suffix.lower()
    found = [
        path
        for path in source.iterdir()
        if path.suffix.lower() == ext
        and path.is_file()
        and not path.name.startswith(TEMPORARY_MARK)
        and not (target.exists() and path.samefile(target))
    ]
    if not found:
        raise UsageError(f"There are no {ext} files in {source} to merge.")
    return sorted(found, key=lambda path: _natural(path.name))


def _natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts ``"9.npz"`` before ``"10.npz"``.

    Examples
    --------
    >>> sorted(["10.npz", "9.npz", "a.npz"], key=_natural)
    ['9.npz', '10.npz', 'a.npz']
    """
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
