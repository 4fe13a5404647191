"""Whether an HDF5 file holds what was written to it.

PyTables says nothing when HDF5 cannot write what is left as it closes a file. Parts are gone then,
with or without their names, and what never reached the disk is read as zeros, whose checksum
nobody has asked for.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from psyflow.store._forms import Array
from psyflow.store._h5file import open_to_read
from psyflow.store.base import StorePath, not_written, reading_back

__all__ = ["Written"]

_READ_BYTES = 4 << 20


@dataclass(frozen=True)
class _Sum:
    """How many rows there are, and the CRC-32 of all their bytes."""

    rows: int = 0
    crc: int = 0

    def and_(self, array: Array) -> _Sum:
        crc = zlib.crc32(np.ascontiguousarray(array).data, self.crc)
        return _Sum(self.rows + len(array), crc)


class Written:
    """What was appended to the arrays of a file.

    Parameters
    ----------
    target : path
        What the file is to become, for messages.
    """

    def __init__(self, target: StorePath) -> None:
        self._target = target
        self._sums: dict[str, _Sum] = {}

    def append(self, node: Any, array: Array) -> None:
        """Append the rows of `array`, which is storable, to `node`."""
        path = node._v_pathname
        self._sums[path] = self._sums.get(path, _Sum())
        if len(array):
            node.append(array)
            self._sums[path] = self._sums[path].and_(array)

    def withdraw(self, node: Any) -> None:
        """Forget `node`, which will be removed; NotWrittenError if it is not what it should be."""
        self._compare(node)
        del self._sums[node._v_pathname]

    def check(self, path: Path) -> None:
        """Read all of the closed file `path`, and compare it with what was appended.

        Raises
        ------
        NotWrittenError
            If they differ, or it cannot be read.
        """
        with reading_back(self._target), contextlib.closing(open_to_read(path)) as file:
            nodes = {node._v_pathname: node for node in file.walk_nodes("/", "Array")}
            if nodes.keys() != self._sums.keys():
                raise not_written(self._target, f"{len(nodes)} of {len(self._sums)} arrays")
            for node in nodes.values():
                self._compare(node)

    def _compare(self, node: Any) -> None:
        total = _Sum()
        for block in _blocks(node):
            total = total.and_(block)
        if total != self._sums[node._v_pathname]:
            reason = f"{node._v_pathname} does not hold what was written to it"
            raise not_written(self._target, reason)


def _blocks(node: Any) -> Iterator[Array]:
    step = max(1, _READ_BYTES // max(1, node.rowsize))
    for start in range(0, node.nrows, step):
        yield node.read(start, min(start + step, node.nrows))
