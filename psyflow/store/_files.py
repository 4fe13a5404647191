"""Files of tables: read with a name to every error, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from psyflow.exceptions import DamagedFileError, MissingFileError, NotWrittenError, StoreError
from psyflow.system import files
from psyflow.system.reading import ask_again

__all__ = ["StorePath", "not_written", "reading", "reading_back", "saving"]

StorePath: TypeAlias = str | os.PathLike[str]


@contextlib.contextmanager
def reading(filename: StorePath, ext: str) -> Iterator[Path]:
    """Turn whatever goes wrong while a file is decoded into DamagedFileError, naming the file.

    Parameters
    ----------
    filename : path
    ext : str
        The format's extension, for the message.

    Yields
    ------
    pathlib.Path

    Raises
    ------
    MissingFileError
        If there is no such file.
    DamagedFileError
        For any exception of the block that is neither a StoreError nor a MemoryError.

    Examples
    --------
    >>> import json, tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +ELLIPSIS
    ...     _ = Path(folder, "table.json").write_text("[1, 2")
    ...     with reading(f"{folder}/table.json", ".json") as path:
    ...         json.loads(path.read_text())
    Traceback (most recent call last):
        ...
    psyflow.exceptions.DamagedFileError: .../table.json is damaged, or not a .json file...
    """
    path = Path(filename)
    try:
        # What the system says about a file, such as "permission denied", is no damage.
        ask_again(lambda: path.open("rb"), path).close()
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


@contextlib.contextmanager
def reading_back(target: StorePath) -> Iterator[None]:
    """Turn whatever goes wrong while a new file is read back into NotWrittenError.

    Parameters
    ----------
    target : path
        What the file was to become.
    """
    try:
        yield
    except (MemoryError, NotWrittenError):
        raise
    except Exception as error:
        raise not_written(target, error) from error


def not_written(target: StorePath, reason: object) -> NotWrittenError:
    """Return the error that `target` could not be written whole, for `reason`."""
    return NotWrittenError(
        f"{os.fspath(target)} could not be written whole, and was left as it is. "
        f"Is the disk full? ({_gist(reason)})"
    )


def _gist(error: object) -> str:
    # HDF5 puts a trace of its own code, of many lines, before what happened.
    return str(error).rstrip().rpartition("\n")[2]


@contextlib.contextmanager
def saving(filename: StorePath) -> Iterator[Path]:
    """Give a temporary path to write to, which becomes `filename` when all went well.

    Parameters
    ----------
    filename : path
        What is there stays as it is if the block raises.

    Yields
    ------
    pathlib.Path
        In the same folder; there is no file yet.

    Raises
    ------
    MissingFileError
        If there is no such folder.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with saving(f"{folder}/table.json") as temporary:
    ...         _ = temporary.write_text('{"a": [1, 2]}')
    ...     Path(folder, "table.json").read_text()
    '{"a": [1, 2]}'
    """
    path = Path(filename)
    if not path.parent.is_dir():
        raise MissingFileError(f"There is no folder {path.parent} to save {path.name} in.")
    with files.atomic_path(path) as temporary:
        yield temporary
