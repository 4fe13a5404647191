"""`FrameStore`: data frames that pandas has pickled, as psweep and `psyflow.study` keep them."""

from __future__ import annotations

import importlib
import pickle
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psyflow.columns import Column
from psyflow.exceptions import DamagedFileError, StoreError, UnmakeableValuesError, UsageError
from psyflow.pspace.param import frame_columns
from psyflow.store.base import (
    Store,
    StorePath,
    TableLike,
    as_loaded_table,
    one_row,
    reading,
    reading_back,
    saving,
)
from psyflow.store.comparing import comparable
from psyflow.system.reading import checksum_of
from psyflow.system.trust import HOW_TO_MAKE, checked

if TYPE_CHECKING:
    import pandas

__all__ = ["PARAMETERS", "FrameStore", "read_frame", "write_frame"]

PARAMETERS = "parameters"
"""Where a frame says which of its columns are parameters, among its `attrs`."""
_STOP = b"."


@dataclass(frozen=True)
class FrameStore(Store):
    """Reads the data frames of ``.pk`` files as tables. Only `psyflow.study` writes these."""

    ext = ".pk"
    reads_back = True

    def save(self, filename: StorePath, data: TableLike) -> None:
        """Refuse it."""
        raise UsageError(
            f"{filename}: .pk files are data frames, which psyflow.study.df_write writes. Name a "
            ".pkl, .npz or .h5 file for a table of results."
        )

    def load(self, filename: StorePath, row: int | None = None) -> dict[str, Column]:
        """Load the frame in `filename` as a table, without its index."""
        with reading(filename, self.ext):
            frame = read_frame(filename)
            table = as_loaded_table(frame_columns(frame))
        found = {name: comparable(column) for name, column in table.items()}
        return found if row is None else one_row(filename, found, row)

    def parameters(self, filename: StorePath) -> list[str]:
        """Return the names of the parameters, as far as `psyflow.study` has noted them."""
        return list(read_frame(filename).attrs.get(PARAMETERS, ()))


def read_frame(filename: StorePath) -> pandas.DataFrame:
    """Return the data frame that a file holds.

    Raises
    ------
    MissingFileError
        If there is no such file.
    DamagedFileError
        If it is cut short, or holds no data frame.
    UnmakeableValuesError
        If it is whole, and a later pandas wrote it, or values are of classes that are not here.
    """
    pandas = _pandas()
    with reading(filename, FrameStore.ext) as path, path.open("rb") as file:
        try:
            # Not only its own frames: pandas also knows those of its earlier versions.
            frame = pandas.read_pickle(checked(file, path), compression=None)
        except (StoreError, MemoryError):
            raise
        except Exception as error:
            raise _load_error(path, error) from error
        if not isinstance(frame, pandas.DataFrame):
            raise DamagedFileError(f"It holds a {type(frame).__name__}, not a data frame.")
        return frame


def _load_error(path: Path, error: Exception) -> StoreError:
    reason = f"{type(error).__name__}: {error}"
    if path.read_bytes()[-1:] != _STOP:
        return DamagedFileError(f"It is cut short, or no pickle ({reason}).")
    return UnmakeableValuesError(
        f"The file seems whole, but pandas {_pandas().__version__} cannot make the frame in it "
        f"({reason}). If a later pandas wrote it: pip install --upgrade pandas. If the frame has "
        f"values of classes of your own: {HOW_TO_MAKE}"
    )


def write_frame(filename: StorePath, frame: pandas.DataFrame) -> None:
    """Make `filename` hold exactly `frame`, whole and durable.

    Raises
    ------
    NotWrittenError, MissingFileError
        If that fails. What was there is as it was.
    """
    data = pickle.dumps(_portable(frame), protocol=5)
    with saving(filename) as temporary:
        temporary.write_bytes(data)
        with reading_back(filename):
            if checksum_of(temporary) != zlib.crc32(data):
                raise DamagedFileError("The file does not hold what was written.")


def _portable(frame: pandas.DataFrame) -> pandas.DataFrame:
    """Return a frame that is read also where pyarrow, which may keep its text, is not there."""
    text = _pandas().StringDtype
    names = [name for name, dtype in frame.dtypes.items() if isinstance(dtype, text)]
    found = frame.astype(dict.fromkeys(names, object)) if names else frame
    if not isinstance(frame.columns.dtype, text):
        return found
    return found.set_axis(frame.columns.astype(object), axis=1)


def _pandas() -> Any:
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise StoreError(
            f"A data frame needs pandas ({error}). Type: pip install 'psyflow[pandas]'"
        ) from error
