"""`PickleStore`: any picklable values, exactly as they were put in."""

from __future__ import annotations

import json
import pickle
import struct
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from psyflow import columns
from psyflow.columns import Column, Columns
from psyflow.exceptions import (
    DamagedFileError,
    StoreError,
    UnmakeableValuesError,
    UnsupportedDataError,
    UntrustedFileError,
)
from psyflow.repeats import is_repeated
from psyflow.store.base import (
    Store,
    StorePath,
    TableLike,
    Wanted,
    as_loaded_table,
    as_table,
    one_row,
    reading,
    reading_back,
    saving,
    takes_numbers,
)
from psyflow.store.comparing import comparable, is_of_numbers
from psyflow.system.faithful import FaithfulPickler, faithfully
from psyflow.system.trust import HOW_TO_MAKE, Unpickler, checked

__all__ = ["PickleStore"]

# `pickle.load` ignores what follows a pickle, so the file stays a plain pickle.
_FOOTER = struct.Struct("<8sQI")
_MAGIC = b"psyflow\n"
# Between the two, there may be a note of the columns that are lists of Python numbers of one type:
# to look at the types of all values takes as long as a third of unpickling them.
_NOTE = struct.Struct("<I8s")
_NOTE_MAGIC = b"psycols\n"
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class PickleStore(Store):
    """Store tables as pickles (``.pkl``): any picklable values, exactly as they were put in.

    Lists of text, and of other single values that are not all numbers, are loaded as arrays. The
    file is a pickle of a dict of columns, followed by a note and a checksum. Loading a pickle can
    execute code that is in it: load only files that you trust. (What `psyflow.load` and `psy` find
    in the folder of a run, without its being named, they load only if it holds plain values, or if
    your own `psy` wrote it.)

    Parameters
    ----------
    protocol : int
        The pickle protocol.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "table.pkl"
    ...     PickleStore().save(path, {"a": [1, {"any": "thing"}]})
    ...     PickleStore().load(path)
    {'a': [1, {'any': 'thing'}]}
    """

    protocol: int = pickle.HIGHEST_PROTOCOL
    ext = ".pkl"
    reads_back = True

    def save(self, filename: StorePath, data: TableLike) -> None:
        """Make `filename` hold exactly the table `data`, whole and durable.

        Raises
        ------
        UnsupportedDataError
            If a value cannot be pickled.
        """
        self._save(filename, as_table(data), [])

    @takes_numbers
    def write(self, filename: StorePath, blocks: Iterable[Columns]) -> None:
        """Save the tables `blocks` below each other; a name that a block lacks gets NaN there.

        All blocks are brought together in memory.
        """
        if type(self).save is not PickleStore.save:
            # A subclass may save in a way of its own.
            super().write(filename, map(columns.unpacked, blocks))
            return
        tables = [as_table(block, packed=True) for block in blocks]
        names = dict.fromkeys(name for table in tables for name in table)
        numbers = [name for name in names if all(map(is_of_numbers, _parts(name, tables)))]
        table = columns.unpacked(columns.concatenate(tables))
        self._save(filename, table, numbers)

    def _save(
        self, filename: StorePath, table: Mapping[str, Column], numbers: Collection[str]
    ) -> None:
        with saving(filename) as temporary:
            with temporary.open("wb") as file:
                try:
                    footer = self._dump(table, numbers, file)
                except OSError:
                    raise
                except Exception as error:
                    raise self._unsupported(table, error) from error
            with reading_back(filename), temporary.open("rb") as file:
                _check_whole(file, footer)

    def load(
        self, filename: StorePath, row: int | None = None, ragged: bool = False
    ) -> dict[str, Column]:
        """Load the table in `filename`.

        Parameters
        ----------
        filename : path
        row : int, optional
            Load this row only, as columns of length 1.
        ragged : bool
            Accepted as by the other stores; arrays always come back as they were.

        Raises
        ------
        MissingFileError, DamagedFileError, IndexError
            As for `Store.load`.
        UnmakeableValuesError
            If a class of its values is missing here.
        """
        with reading(filename, self.ext) as path:
            table = _load(path)
        return table if row is None else one_row(filename, table, row)

    def load_some(self, filename: StorePath, wanted: Wanted) -> dict[str, Column]:
        """Load the table in `filename`, and return some columns of it."""
        table = self.load(filename)
        names = set(wanted(list(table)))
        return {name: column for name, column in table.items() if name in names}

    def check(self, row: Mapping[str, Any]) -> None:
        """Raise UnsupportedDataError, naming the column, if a value cannot be pickled."""
        try:
            faithfully(dict(row), self.protocol)
        except Exception as error:
            raise self._unsupported({n: [v] for n, v in row.items()}, error) from error

    def _dump(
        self, table: Mapping[str, Column], numbers: Collection[str], file: BinaryIO
    ) -> bytes:
        """Write `table`, a note and a footer, and return the footer."""
        writer = _ChecksumWriter(file)
        once = {name: _Repeated(c) if is_repeated(c) else c for name, c in table.items()}
        FaithfulPickler(writer, self.protocol).dump(once)
        if numbers:
            note = json.dumps(list(numbers)).encode()
            writer.write(note + _NOTE.pack(len(note), _NOTE_MAGIC))
        footer = _FOOTER.pack(_MAGIC, writer.length, writer.crc)
        file.write(footer)
        return footer

    def _unsupported(self, table: Mapping[str, Column], error: Exception) -> Exception:
        for name, column in table.items():
            for value in chain(column, [column]):
                try:
                    faithfully(value, self.protocol)
                except UnsupportedDataError as reason:
                    return UnsupportedDataError(f'Column "{name}" holds {reason}.')
                except Exception as reason:
                    return UnsupportedDataError(
                        f'Column "{name}" holds a value of type {type(value).__name__}, which '
                        f"cannot be pickled: {reason}. No store can hold it: leave it out, with "
                        f'exclude_from_result = ["{name}"], or return something simpler.'
                    )
        return UnsupportedDataError(f"The table cannot be pickled: {error}.")


def _parts(name: str, tables: Sequence[Columns]) -> Iterator[Column]:
    """Yield what tables have of a column; one that lacks it has no number there."""
    return (table.get(name, []) for table in tables)


class _Repeated:
    """Is pickled as a view of one array, where a column of it would be as many arrays."""

    def __init__(self, column: Column) -> None:
        self._value, self._n = np.ascontiguousarray(column[0]), len(column)

    def __reduce__(self) -> tuple[Any, ...]:
        return np.broadcast_to, (self._value, (self._n, *self._value.shape))


class _ChecksumWriter:
    """A file to pickle to that knows the length and CRC-32 of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.length = 0
        self.crc = 0

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._file.write(view)
        self.length += view.nbytes
        self.crc = zlib.crc32(view, self.crc)
        return view.nbytes


def _has_checksum(file: IO[bytes]) -> bool:
    """Tell whether the file ends in a checksum; DamagedFileError if that is wrong."""
    size = file.seek(0, 2) - _FOOTER.size
    if size < 0:
        return False
    file.seek(size)
    magic, length, crc = _FOOTER.unpack(file.read(_FOOTER.size))
    if magic != _MAGIC:
        return False
    if length == size and crc == _crc(file, size):
        return True
    raise DamagedFileError("The checksum does not match: the file was altered or cut short.")


def _columns_of_numbers(file: IO[bytes]) -> set[str]:
    """Return which columns of a whole file are known to be lists of numbers."""
    end = file.seek(0, 2) - _FOOTER.size - _NOTE.size
    if end < 0:
        return set()
    file.seek(end)
    length, magic = _NOTE.unpack(file.read(_NOTE.size))
    if magic != _NOTE_MAGIC or length > end:
        return set()
    file.seek(end - length)
    return set(json.loads(file.read(length)))


def _crc(file: IO[bytes], size: int) -> int:
    """Return the CRC-32 of the first `size` bytes."""
    file.seek(0)
    # Not mapped into memory: where the disk fails to give a page, that ends the process.
    crc = 0
    while size > 0 and (block := file.read(min(size, _BLOCK_BYTES))):
        crc, size = zlib.crc32(block, crc), size - len(block)
    return crc


def _check_whole(file: IO[bytes], footer: bytes) -> None:
    """Raise DamagedFileError if what is before `footer` is not what `footer` says."""
    is_whole = _has_checksum(file)
    if not is_whole or file.seek(-len(footer), 2) < 0 or file.read() != footer:
        raise DamagedFileError("The footer is not the one that was written.")


def _load(path: Path) -> dict[str, Column]:
    with path.open("rb") as file:
        is_whole = _has_checksum(file)
        try:
            numbers = _columns_of_numbers(file) if is_whole else set()
            file.seek(0)
            pickled = checked(file, path)
            table = Unpickler(pickled).load()
        except UntrustedFileError:
            raise
        except Exception as error:
            raise _load_error(error, is_whole) from error
        if not is_whole and pickled.read(1):
            raise DamagedFileError("The checksum was cut off: the file is not whole.")
    found = as_loaded_table(table)
    return {name: c if name in numbers else comparable(c) for name, c in found.items()}


def _load_error(error: Exception, is_whole: bool) -> StoreError:
    reason = f"{type(error).__name__}: {error}"
    if is_whole:
        return UnmakeableValuesError(
            f"The file is whole, but its values cannot be made here ({reason}). {HOW_TO_MAKE}"
        )
    return DamagedFileError(f"The file is damaged, or not a pickle ({reason}).")
