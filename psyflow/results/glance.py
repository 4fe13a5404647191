"""What a loaded table can tell of its run besides the columns: looked up when it is asked for."""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from psyflow.columns import Column
from psyflow.exceptions import UsageError
from psyflow.outcomes.records import Failure
from psyflow.outcomes.table import FailureRecord, Items
from psyflow.pspace import Param, ParameterSpace
from psyflow.record.attempts import last_of
from psyflow.record.bookkeeping import ItemsFile
from psyflow.record.merged import MergedTable
from psyflow.record.plan import Plan
from psyflow.record.recover import Recovered, recover
from psyflow.record.usersfiles import of_users_files
from psyflow.reprs import safe_repr
from psyflow.results.origins import (
    in_bytes,
    names_of_keys,
    of_failed_programs,
    of_programs,
    of_workers,
)
from psyflow.results.performance import Stats
from psyflow.results.usercode import code_of
from psyflow.store.comparing import comparable
from psyflow.system.trust import trusting
from psyflow.work.psetfolders import Repetitions, folder_name

if TYPE_CHECKING:
    from psyflow.command.packs import Unpacked

__all__ = ["Glance", "RunGlance"]

_OF_FAILURE = ("kind", "exception", "traceback", "attempt", "host", "start", "duration")
_OF_BOOKKEEPING = ("item", "start", "duration", "attempt")


class Glance(Protocol):
    """What can be told of the psets that a table has rows of, and of those that have none."""

    @property
    def n_items(self) -> int:
        """How many psets there are."""

    @property
    def n_done(self) -> int:
        """How many of them have a result."""

    @property
    def task(self) -> str | None:
        """Name of the task, if there is one."""

    @property
    def run_id(self) -> str | None:
        """Id of the run, if it is in a folder."""

    @property
    def parameters(self) -> list[str]:
        """Names of the parameters."""

    @property
    def space(self) -> ParameterSpace:
        """All psets."""

    def missing(self) -> dict[str, Column]:
        """Return the psets without a result."""

    def failures(self) -> dict[str, Column]:
        """Return the psets that failed and have no result, with what is known of that."""

    def skipped(self) -> dict[str, Column]:
        """Return the psets that were skipped and have no result, with the reason."""

    def bookkeeping(self) -> dict[str, Column]:
        """Return how the rows came about, in their order."""

    def folder(self, item: int) -> Path:
        """Return the folder in which a pset keeps things, whether it is there or not."""

    def item_of(self, row: int | Mapping[str, Any]) -> int:
        """Return the number of the item that has the parameters of a row, or the number itself."""

    def provenance(self) -> dict[str, Any]:
        """Return when, where and with what the rows were made."""

    def attributes(self) -> dict[str, Any]:
        """Return what a copy of the table says of its origin: numbers and texts, or None."""

    def stats(self) -> Stats:
        """Return how long the psets took."""


@dataclass
class RunGlance:
    """A run of which a table was loaded; what else is asked of it is as it is by then.

    Attributes
    ----------
    plan : Plan
    n_items, n_done : int
        How many psets it asks for, and has a result of.
    trust : bool
        Whether what may run somebody else's code is loaded all the same.
    """

    plan: Plan
    n_items: int
    n_done: int
    trust: bool = False

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.plan.task

    @property
    def run_id(self) -> str:
        """Id of the run."""
        return self.plan.run_id

    @functools.cached_property
    def parameters(self) -> list[str]:
        """Names of the parameters."""
        return list(self._recovered.frozen.space.keys())

    @functools.cached_property
    def space(self) -> ParameterSpace:
        """The parameter space that the run froze."""
        with self._loading():
            return self.plan.load_space().space

    def missing(self) -> dict[str, Column]:
        """Return the psets without a result."""
        with self._loading():
            return self._psets(self._recovered.pending())

    def failures(self) -> dict[str, Column]:
        """Return the psets that failed and have no result, with what is known of that."""
        recovered = self._recovered
        found = self._last(recovered.failed, recovered.outcomes.failures)
        table = {name: comparable([getattr(f, name) for _, f, _ in found]) for name in _OF_FAILURE}
        table["traceback"] = comparable(self._of_users_files([f.traceback for _, f, _ in found]))
        printed = np.array([f.printed or (-1, -1) for _, f, _ in found], dtype=np.int64)
        start, stop = printed.reshape(-1, 2).T
        logs = comparable([log for _, _, log in found])
        table |= {"log": logs, "log_start": start, "log_stop": stop}
        return self._with_psets(found, table | of_failed_programs([f for _, f, _ in found]))

    def _of_users_files(self, tracebacks: list[str]) -> list[str]:
        """Return tracebacks with the user's files in place of their copies."""
        layout, folder = self.plan.layout, Path(self.plan.task_file).parent
        told = {text: of_users_files(text, layout, folder) for text in set(tracebacks)}
        return [told[text] for text in tracebacks]

    def skipped(self) -> dict[str, Column]:
        """Return the psets that were skipped and have no result, with the reason."""
        recovered = self._recovered
        found = self._last(recovered.skipped, recovered.outcomes.skips)
        reasons = comparable([failure.exception for _, failure, _ in found])
        return self._with_psets(found, {"reason": reasons})

    def bookkeeping(self) -> dict[str, Column]:
        """Return how the rows came about, in their order."""
        items_file = ItemsFile(self.plan.layout)
        about = items_file.about()
        if about is not None and about.is_complete and about.run_id == self.run_id:
            arrays = items_file.arrays()
            workers, job_ids = about.workers, about.job_ids_of_workers()
        else:
            arrays = self._gathered()
            of_shards = self._recovered.outcomes.workers
            workers, job_ids = of_shards.names, of_shards.job_ids
        told: dict[str, Column] = {name: arrays[name] for name in _OF_BOOKKEEPING}
        told["key"] = names_of_keys(arrays["key"])
        peak = arrays.get("peak_kib", np.full(len(told["item"]), -1))
        told["peak_memory"] = in_bytes(peak)
        return told | of_workers(arrays, workers, job_ids) | of_programs(arrays)

    def stats(self) -> Stats:
        """Return how long the psets took that have a result."""
        told = self.bookkeeping()
        starts, durations = np.asarray(told["start"]), np.asarray(told["duration"])
        return Stats.of(starts, durations, memory=np.asarray(told["peak_memory"]))

    def folder(self, item: int) -> Path:
        """Return the folder in which a pset keeps things, whether it is there or not."""
        frozen = self._recovered.frozen
        if not 0 <= item < len(frozen):
            raise UsageError(
                f"There is no item {item}: the run has the items 0 to {len(frozen) - 1}."
            )
        ((low, high),) = frozen.keys([item]).tolist()
        name = folder_name((low, high), self._repetitions.of(item))
        return self._unpacked.folder(name)

    @functools.cached_property
    def _unpacked(self) -> Unpacked:
        from psyflow.command.packs import Unpacked

        return Unpacked(self.plan.layout.psets)

    def item_of(self, row: int | Mapping[str, Any]) -> int:
        """Return the number of the item that has the parameters of a row, or the number itself.

        Raises
        ------
        UsageError
            If none has, or several have, or if the row lacks parameters; or if it is neither.
        """
        if not isinstance(row, Mapping):
            try:
                return operator.index(row)
            except TypeError as error:
                raise UsageError(
                    f"{safe_repr(row, 40)} is neither the number of an item nor a row."
                ) from error
        frozen, names = self._recovered.frozen, self.parameters
        lacking = [name for name in names if name not in row]
        if lacking:
            raise UsageError(
                f'A row without "{lacking[0]}" does not tell which pset it is of. Give the number '
                "of the item."
            )
        key = frozen.keys_of(Param.from_psets([{name: row[name] for name in names}]))
        found = np.flatnonzero((frozen.keys() == key).all(axis=1))
        if len(found) != 1:
            raise UsageError(
                f"{len(found) or 'No'} psets of the run are those of this row. Give the number of "
                "the item."
            )
        return int(found[0])

    @functools.cached_property
    def _repetitions(self) -> Repetitions:
        frozen = self._recovered.frozen
        return Repetitions(frozen.space, frozen.defaults)

    def provenance(self) -> dict[str, Any]:
        """Return when, where and with what the run was made."""
        return dict(self.plan.made_by)

    def attributes(self) -> dict[str, Any]:
        """Return what a copy of the table says of its origin: numbers and texts, or None."""
        made_by = self.provenance()
        packages = made_by.get("packages") or {}
        return {
            "task": self.task,
            "run": self.run_id,
            "commit": made_by.get("git_commit"),
            "psyflow": packages.get("psyflow"),
            "n_items": self.n_items,
            "n_done": self.n_done,
        }

    def _gathered(self) -> dict[str, Any]:
        """Return the bookkeeping of rows that are not all merged yet."""
        with self._loading():
            merged = MergedTable(self._recovered)
            for _ in merged.blocks():
                pass
        arrays = {
            name: np.concatenate(list(parts)) for name, parts in merged.bookkeeping().items()
        }
        arrays.setdefault("item", np.arange(self.n_items, dtype=np.int64))
        return arrays

    @functools.cached_property
    def _recovered(self) -> Recovered:
        with self._loading():
            return recover(self.plan)

    @contextlib.contextmanager
    def _loading(self) -> Iterator[None]:
        with trusting(self.trust), code_of(self.plan):
            yield

    def _last(
        self, items: Items, records: Sequence[FailureRecord]
    ) -> list[tuple[int, Failure, str]]:
        last = last_of(self.plan.layout, items, records)
        return [(found.item, found.failure, str(found.log)) for found in last]

    def _with_psets(
        self, found: list[tuple[int, Failure, str]], table: dict[str, Column]
    ) -> dict[str, Column]:
        items = np.array([item for item, _, _ in found], dtype=np.int64)
        with self._loading():
            psets = self._psets(items)
        # A parameter may have the name of what is told here, which then ends in an underscore.
        return psets | {f"{name}_" if name in psets else name: c for name, c in table.items()}

    def _psets(self, items: Items) -> dict[str, Column]:
        columns = self._recovered.frozen.space.take(items)
        return {name: comparable(column) for name, column in columns.items()}
