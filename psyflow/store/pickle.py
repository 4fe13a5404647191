"""`PickleStore`: any picklable values, exactly as they were put in."""

from __future__ import annotations

import mmap
import pickle
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

from psyflow.columns import Column
from psyflow.exceptions import DamagedFileError, StoreError, UnsupportedDataError
from psyflow.store.base import (
    Store,
    StorePath,
    TableLike,
    as_loaded_table,
    as_table,
    one_row,
    reading,
    saving,
)

__all__ = ["PickleStore"]

# `pickle.load` ignores what follows a pickle, so the file stays a plain pickle.
_FOOTER = struct.Struct("<8sQI")
_MAGIC = b"psyflow\n"


@dataclass(frozen=True)
class PickleStore(Store):
    """Store tables as pickles (``.pkl``): any picklable values, exactly as they were put in.

    The file is a pickle of a dict of columns, followed by a checksum. Loading a pickle can execute
    code that is in it: load only files that you trust.

    Parameters
    ----------
    protocol : int
        The pickle protocol.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "table.pkl"
    ...     PickleStore().save(path, {"a": [1, {"any": "thing"}]})
    ...     PickleStore().load(path)
    {'a': [1, {'any': 'thing'}]}
    """

    protocol: int = pickle.HIGHEST_PROTOCOL
    ext = ".pkl"

    def save(self, filename: StorePath, data: TableLike) -> None:
        """Make `filename` hold exactly the table `data`, whole and durable."""
        table = as_table(data)
        with saving(filename) as temporary, temporary.open("wb") as file:
            try:
                self._dump(table, file)
            except OSError:
                raise
            except Exception as error:
                raise self._unsupported(table, error) from error

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
        """
        with reading(filename, self.ext) as path:
            table = _load(path)
        return table if row is None else one_row(filename, table, row)

    def check(self, row: Mapping[str, Any]) -> None:
        """Raise UnsupportedDataError, naming the column, if a value cannot be pickled."""
        try:
            pickle.dumps(dict(row), self.protocol)
        except Exception as error:
            raise self._unsupported({n: [v] for n, v in row.items()}, error) from error

    def _dump(self, table: Mapping[str, Column], file: BinaryIO) -> None:
        writer = _ChecksumWriter(file)
        pickle.dump(table, writer, self.protocol)
        file.write(_FOOTER.pack(_MAGIC, writer.length, writer.crc))

    def _unsupported(self, table: Mapping[str, Column], error: Exception) -> Exception:
        for name, column in table.items():
            for value in column:
                try:
                    pickle.dumps(value, self.protocol)
                except Exception as reason:
                    return UnsupportedDataError(
                        f'Column "{name}" holds a value of type {type(value).__name__}, which '
                        f"cannot be pickled: {reason}. No store can hold it: leave it out, with "
                        f'exclude_from_result = ["{name}"], or return something simpler.'
                    )
        return UnsupportedDataError(f"The table cannot be pickled: {error}.")


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
    size = file.seek(0, 2)
    if size < _FOOTER.size:
        return False
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        magic, length, crc = _FOOTER.unpack_from(content, size - _FOOTER.size)
        if magic != _MAGIC:
            return False
        with memoryview(content) as view, view[: size - _FOOTER.size] as pickled:
            if length == len(pickled) and crc == zlib.crc32(pickled):
                return True
    raise DamagedFileError("The checksum does not match: the file was altered or cut short.")


def _load(path: Path) -> dict[str, Column]:
    with path.open("rb") as file:
        is_whole = _has_checksum(file)
        file.seek(0)
        try:
            table = pickle.load(file)
        except Exception as error:
            raise _load_error(error, is_whole) from error
        if not is_whole and file.read(1):
            raise DamagedFileError("The checksum was cut off: the file is not whole.")
    return as_loaded_table(table)


def _load_error(error: Exception, is_whole: bool) -> StoreError:
    reason = f"{type(error).__name__}: {error}"
    if is_whole:
        return StoreError(f"The file is whole, but its values cannot be made here ({reason}).")
    return DamagedFileError(f"The file is damaged, or not a pickle ({reason}).")
