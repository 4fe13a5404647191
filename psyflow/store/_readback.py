"""Whether a store gives back what it was given to write.

psyflow's own stores compare the bytes in a file with those that were written. What a store of
somebody else's makes of a table is not known here, so what it loads is compared: the names, the
numbers of rows, and values as far as they can be, because a format may well change their kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from psyflow.columns import Column, Columns, table_length
from psyflow.repeats import is_repeated

__all__ = ["Given"]

# A format may write numbers as text, or in single precision.
_TOLERANCE = 1e-6
_TEXTS = (str, bytes)

# A number or a text for each row; None where nothing can be compared.
_Gist: TypeAlias = "npt.NDArray[Any] | list[bytes] | None"


class Given:
    """What a store was given to write.

    Examples
    --------
    >>> given = Given()
    >>> list(given.noted([{"a": [1, 2]}]))
    [{'a': [1, 2]}]
    >>> given.compare(2, lambda start, stop: {"a": np.zeros(2)})
    Traceback (most recent call last):
        ...
    ValueError: column "a" holds other values
    """

    def __init__(self) -> None:
        self._blocks: list[tuple[int, dict[str, _Gist]]] = []

    def noted(self, blocks: Iterable[Columns]) -> Iterator[Columns]:
        """Yield `blocks`, and take note of what is in them."""
        for block in blocks:
            gists = {name: _gist(column) for name, column in block.items()}
            self._blocks.append((table_length(block), gists))
            yield block

    def compare(self, n_rows: int, read: Callable[[int, int], Columns], n_before: int = 0) -> None:
        """Raise ValueError if what is read is not what was noted.

        Parameters
        ----------
        n_rows : int
            How many rows there are now.
        read : callable
            Returns the rows from a first one up to, but without, another.
        n_before : int
            How many rows there are before those that were noted.
        """
        start = n_before
        for n, gists in self._blocks:
            if n:
                _compare_block(n, gists, read(start, start + n))
            start += n
        if n_rows != start:
            raise ValueError(f"{n_rows} of {start} rows are there")


def _compare_block(n: int, gists: dict[str, _Gist], block: Columns) -> None:
    for name, gist in gists.items():
        if name not in block:
            raise ValueError(f'column "{name}" is missing')
        if len(block[name]) != n:
            raise ValueError(f'column "{name}" lacks rows')
        if not _are_alike(gist, _gist(block[name])):
            raise ValueError(f'column "{name}" holds other values')


def _are_alike(one: _Gist, other: _Gist) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.allclose(one, other, rtol=_TOLERANCE, atol=0, equal_nan=True)
    # If one is text and the other is not, the format changes kinds.
    return not (isinstance(one, list) and isinstance(other, list)) or one == other


def _gist(column: Column) -> _Gist:
    if is_repeated(column):
        one = _gist(column[:1].copy())
        return np.repeat(one, len(column)) if isinstance(one, np.ndarray) else None
    if isinstance(column, np.ndarray):
        if column.dtype.kind in "US" and column.ndim == 1:
            return _texts(column.tolist())
        if column.dtype.kind != "O":
            return _numbers(column)
    types = set(map(type, column))
    if types and all(issubclass(kind, _TEXTS) for kind in types):
        return _texts(column)
    numbers = (bool, int, float, complex, np.number, np.bool_)
    are_numbers = all(issubclass(kind, numbers) for kind in types)
    return _numbers(np.array(column)) if are_numbers else None


def _texts(column: Iterable[Any]) -> list[bytes]:
    # NumPy strips NULs at the end, and other tools take text for bytes.
    texts = (v.encode("utf-8", "replace") if isinstance(v, str) else v for v in column)
    return [text.rstrip(b"\0") for text in texts]


def _numbers(array: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    if array.dtype.kind not in "biufc":
        return None
    numbers = array.astype(complex if array.dtype.kind == "c" else float)
    if numbers.ndim == 1:
        return numbers
    total: npt.NDArray[Any] = np.nansum(abs(numbers).reshape(len(numbers), -1), axis=1)
    return total
