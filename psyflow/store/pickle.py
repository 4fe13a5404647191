"""`PickleStore`: any picklable values, exactly as they were put in."""

from __future__ import annotations

import pickle
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from psyflow.columns import Column
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
)
from psyflow.store.comparing import comparable
from psyflow.system.faithful import FaithfulPickler, faithfully
from psyflow.system.trust import HOW_TO_MAKE, Unpickler, checked

__all__ = ["PickleStore"]

# `pickle.load` ignores what follows a pickle, so the file stays a plain pickle.
_FOOTER = struct.Struct("<8sQI")
_MAGIC = b"psyflow\n"
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class PickleStore(Store):
    """Store tables as pickles (``.pkl``): any picklable values, exactly as they were put in.

    Lists of text, and of other single values that are not all numbers, are loaded as arrays. The
    file is a pickle of a dict of columns, followed by a checksum. Loading a pickle can execute
    code that is in it: load only files that you trust. (What `psyflow.load` and `psy` find in the
    folder of a run, without its being named, they load only if it holds plain values, or if your
    own `psy` wrote it.)

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
        table = as_table(data)
        with saving(filename) as temporary:
            with temporary.open("wb") as file:
                try:
                    footer = self._dump(table, file)
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

    def _dump(self, table: Mapping[str, Column], file: BinaryIO) -> bytes:
        """Write `table` and a footer, and return the footer."""
        writer = _ChecksumWriter(file)
        once = {name: _Repeated(c) if is_repeated(c) else c for name, c in table.items()}
        FaithfulPickler(writer, self.protocol).dump(once)
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
        file.seek(0)
        try:
            pickled = checked(file, path)
            table = Unpickler(pickled).load()
        except UntrustedFileError:
            raise
        except Exception as error:
            raise _load_error(error, is_whole) from error
        if not is_whole and pickled.read(1):
            raise DamagedFileError("The checksum was cut off: the file is not whole.")
    return {name: comparable(column) for name, column in as_loaded_table(table).items()}


def _load_error(error: Exception, is_whole: bool) -> StoreError:
    reason = f"{type(error).__name__}: {error}"
    if is_whole:
        return UnmakeableValuesError(
            f"The file is whole, but its values cannot be made here ({reason}). {HOW_TO_MAKE}"
        )
    return DamagedFileError(f"The file is damaged, or not a pickle ({reason}).")
