"""The result table of a run, with its bookkeeping, as it is put together block by block."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from psyflow.columns import Columns
from psyflow.exceptions import IneffectiveExcludeWarning
from psyflow.outcomes.table import BOOKKEEPING, OPTIONAL, Items, merged_blocks, nothing
from psyflow.pspace.streams import RandomStreams
from psyflow.record.arraysfile import Arrays, Deferred, Parts
from psyflow.record.bookkeeping import About, Stamp
from psyflow.record.plan import Plan
from psyflow.record.recover import Recovered

__all__ = ["MergedTable"]

_NO_KEYS = np.empty((0, 2), dtype=np.uint64)
_NO_NUMBERS = np.empty(0, dtype=np.int64)


# When items began and how long they took is 16 bytes for each. Of the many that are quick, it is
# packed until it is written, which takes a fifth of that and is not worth the time for few.
_TIMES = ("start", "duration")
_MANY = 1 << 22


class _Packed:
    """Part of a column of times, packed."""

    def __init__(self, column: npt.NDArray[np.float64]) -> None:
        self._n_rows = len(column)
        self._data = zlib.compress(np.ascontiguousarray(column).data, 1)

    def __len__(self) -> int:
        return self._n_rows

    def array(self) -> npt.NDArray[np.float64]:
        return np.frombuffer(zlib.decompress(self._data), dtype=np.float64)


def _unpacked(part: Any) -> npt.NDArray[Any]:
    return part.array() if isinstance(part, _Packed) else part


class MergedTable:
    """Yields the result's blocks, and collects the bookkeeping on the way.

    Parameters
    ----------
    recovered : Recovered
    streams : RandomStreams, optional
        Where the random numbers of the items come from.
    """

    def __init__(self, recovered: Recovered, streams: RandomStreams | None = None) -> None:
        self._streams = streams
        self._recovered = recovered
        self._frozen = recovered.frozen
        self._exclude = recovered.exclude
        self._outputs: dict[str, None] = {}
        self._seen: set[str] = set()
        self._items: list[range | Items] = []
        self._arrays: dict[str, list[Any]] = {name: [] for name in BOOKKEEPING}
        self._n_noted = 0

    def blocks(self) -> Iterator[Columns]:
        """Yield parameters and outputs, block by block, numbers packed (see `Numbers`)."""
        for items, columns, parts in self.results():
            parameters = self._frozen.space.take_packed(items)
            self._note(items, parts)
            self._outputs.update(dict.fromkeys(columns))
            row = {**parameters, **columns}
            self._seen.update(row)
            yield {name: column for name, column in row.items() if name not in self._exclude}
        if not self._seen:
            names = self._frozen.space.keys()
            yield {name: [] for name in names if name not in self._exclude}

    def results(self) -> Iterator[tuple[Items, Columns, Sequence[Arrays]]]:
        """Yield items, their results, and the bookkeeping of these, block by block."""
        for items, block in merged_blocks(self._recovered.table):
            yield items, block.columns, block.parts

    def warn_of_ineffective_excludes(self) -> None:
        """Warn of names to leave out that no row had; valid once all blocks are through."""
        earlier = self._recovered.earlier
        known = self._seen | (earlier.dropped if earlier is not None else set())
        for name in sorted(self._exclude - known if known else ()):
            warnings.warn(IneffectiveExcludeWarning(name), stacklevel=2)

    def about(self, plan: Plan, stamp: Stamp, checksum: int) -> About:
        """Return the header of the bookkeeping; valid once all blocks are through."""
        return About(
            run_id=plan.run_id,
            space_digest=plan.space_digest,
            fingerprint=plan.fingerprint_digest,
            result=plan.result,
            stamp=stamp,
            n_items=len(self._frozen),
            n_rows=self._recovered.n_done,
            n_failed=len(self._recovered.failed),
            outputs=[name for name in self._outputs if name not in self._exclude],
            excluded=sorted(self._exclude),
            dropped=sorted(self._exclude.intersection(self._outputs)),
            workers=self._recovered.outcomes.workers.names,
            job_ids=self._recovered.outcomes.workers.job_ids,
            seed=self._streams.seed if self._streams is not None else None,
            checksum=checksum,
            place=plan.place,
            contents=plan.contents or {},
            renewals=plan.renewals,
        )

    def bookkeeping(self) -> Parts:
        """Return the columns of the bookkeeping in parts; valid once all blocks are through."""
        # Where every item has a row, rows are numbered as items are. And most functions print
        # nothing, and run no programs: columns that say so would be more than half of the file.
        arrays: Parts = {
            name: (Deferred(_unpacked, parts) if name in _TIMES else parts)
            if parts
            else [_NO_NUMBERS]
            for name, parts in self._arrays.items()
            if name not in OPTIONAL or _tells_anything(name, parts)
        }
        is_complete = self._recovered.n_done == len(self._frozen)
        numbers = {} if is_complete else {"item": self._deferred(_as_array, _NO_NUMBERS)}
        return {**numbers, **self._keys(), **arrays}

    def _keys(self) -> Parts:
        """Return the columns of keys, which are as large as a result, and kept nowhere else."""
        frozen, streams = self._frozen, self._streams
        keys = {"key": self._deferred(lambda part: frozen.keys(_as_array(part)), _NO_KEYS)}
        if streams is not None and self._items:
            keys["seed_key"] = self._deferred(
                lambda part: streams.keys(frozen.space, _as_array(part)), _NO_KEYS
            )
        return keys

    def _deferred(
        self, make: Callable[[range | Items], npt.NDArray[Any]], none: npt.NDArray[Any]
    ) -> Sequence[npt.NDArray[Any]]:
        return Deferred(make, self._items) if self._items else [none]

    def _note(self, items: Items, parts: Sequence[Arrays]) -> None:
        self._items.append(_as_range(items))
        self._n_noted += len(items)
        for part in parts:
            for name, column in {**nothing(len(part["start"])), **part}.items():
                is_packed = name in _TIMES and self._n_noted > _MANY
                self._arrays[name].append(_Packed(column) if is_packed else column)


def _tells_anything(name: str, parts: Sequence[npt.NDArray[Any]]) -> bool:
    unknown = OPTIONAL[name]
    for part in parts:
        # Where nothing was noted, one number in memory stands for all.
        some = part[:1] if part.strides == (0,) else part
        is_unknown = np.isnan(some) if np.isnan(unknown) else some == unknown
        if not is_unknown.all():
            return True
    return False


def _as_range(items: Items) -> range | Items:
    """Return ascending numbers as a range, if they are one."""
    first, last = int(items[0]), int(items[-1])
    return range(first, last + 1) if last - first + 1 == len(items) else items


def _as_array(items: range | Items) -> Items:
    return np.arange(items.start, items.stop) if isinstance(items, range) else items
