"""Arrays in one file as `numpy.savez` writes them, but part by part, and a text without NumPy.

A file that is damaged is as good as none, to whoever reads it here.
"""

from __future__ import annotations

import ast
import contextlib
import errno
import functools
import struct
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from psyflow.system.reading import ask_again

__all__ = ["Arrays", "Deferred", "Parts", "read_arrays", "read_text", "writing"]

_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    # A flipped bit may ask for an unknown compression, or for a password.
    NotImplementedError,
    RuntimeError,
)

_HASHES = frozenset({"key", "seed_key"})
_QUICKLY = 1

T = TypeVar("T")
Arrays: TypeAlias = "dict[str, npt.NDArray[Any]]"
Part: TypeAlias = "Sequence[npt.NDArray[Any]]"
Parts: TypeAlias = "Mapping[str, Part]"


class Deferred(Sequence["npt.NDArray[Any]"]):
    """Parts of a column that are made one by one, as they are written.

    Parameters
    ----------
    make : callable
        Returns a part, given what it is made of, which is as long.
    of : sequence
        What each part is made of.

    Attributes
    ----------
    n_rows : int
    """

    def __init__(self, make: Callable[[Any], npt.NDArray[Any]], of: Sequence[Sized]) -> None:
        self.n_rows = sum(map(len, of))
        self._make = make
        self._of = of

    def __len__(self) -> int:
        return len(self._of)

    def __getitem__(self, number: Any) -> Any:
        return self._make(self._of[number])


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Callable[[str, Part], None]]:
    """Make a file, and give what adds an array to it: its name, and its parts."""
    with zipfile.ZipFile(path, "x", compresslevel=_QUICKLY) as archive:
        yield functools.partial(_add, archive)


def _add(archive: zipfile.ZipFile, name: str, parts: Part) -> None:
    """Write as `numpy.savez` does, but without bringing the parts together in memory."""
    header = np.lib.format.header_data_from_array_1_0(parts[0])
    header["fortran_order"] = False
    if parts[0].ndim:
        n_rows = parts.n_rows if isinstance(parts, Deferred) else sum(map(len, parts))
        header["shape"] = (n_rows, *parts[0].shape[1:])
    # Nothing makes hashes smaller. All else says the same again and again, or nearly so.
    is_packed = name not in _HASHES and bool(parts[0].ndim)
    archive.compression = zipfile.ZIP_DEFLATED if is_packed else zipfile.ZIP_STORED
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array_header_1_0(file, header)
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype=parts[0].dtype).data)


def read_arrays(
    path: Path, names: Collection[str] | None = None, *, but: str = ""
) -> Arrays | None:
    """Return the arrays of a file; None if it is not there, or damaged.

    Parameters
    ----------
    path : Path
    names : collection of str, optional
        Of those to read; all by default.
    but : str
        The name of what is none of them.
    """
    with (
        _unless_damaged(),
        ask_again(lambda: np.load(path, allow_pickle=False), path) as file,
    ):
        wanted = set(file if names is None else names) - {but}
        return {name: file[name] for name in file if name in wanted}
    return None


def read_text(path: Path, name: str, read: Callable[[str], T]) -> T | None:
    """Return what `read` makes of a text, without NumPy: for most commands it is all they need.

    None if there is no such file, or it is damaged, or `read` cannot make anything of it.
    """
    with _unless_damaged(), ask_again(lambda: zipfile.ZipFile(path), path) as archive:
        return read(_text_in(archive.read(f"{name}.npy")))
    return None


def _text_in(entry: bytes) -> str:
    """Return the text that is all of an array in NumPy's format, which `writing` has added."""
    magic, major = entry[:6], entry[6:7]
    if magic != b"\x93NUMPY" or major not in (b"\1", b"\2", b"\3"):
        raise ValueError("no array of NumPy's")
    start, size = (8, "<H") if major == b"\1" else (8, "<I")
    (length,) = struct.unpack_from(size, entry, start)
    start += struct.calcsize(size)
    header = ast.literal_eval(entry[start : start + length].decode("latin-1"))
    order = {"<": "utf-32-le", ">": "utf-32-be"}[header["descr"][0]]
    if header["descr"][1] != "U" or header["shape"] != ():
        raise ValueError("no text")
    data = entry[start + length :]
    if len(data) != 4 * int(header["descr"][2:]):
        raise ValueError("no whole text")
    return data.decode(order).rstrip("\0")


@contextlib.contextmanager
def _unless_damaged() -> Iterator[None]:
    """Leave the block where a file is not there or damaged."""
    try:
        yield
    except FileNotFoundError:
        pass
    except OSError as error:
        # A damaged table of contents may point before the beginning of the file.
        if error.errno != errno.EINVAL:
            raise
    except _DAMAGED:
        pass
