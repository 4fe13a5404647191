"""What a task's run has, what it lacks, and why it is or is not up to date. Writes nothing."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from psyflow.bookkeeping import ItemsFile
from psyflow.fingerprint import Change, changes, parts_from_json
from psyflow.layout import Layout
from psyflow.merge import Items
from psyflow.plan import Plan, freeze_space, load_space
from psyflow.pspace import ParameterSpace
from psyflow.pspace.space import Selection
from psyflow.sources import Recovered, recover
from psyflow.tasks import TaskDef

__all__ = ["Assessment"]


@dataclass(frozen=True)
class _Space:
    space: ParameterSpace
    frozen: bytes
    digest: str


class Assessment:
    """One look at a task and its run.

    Parameters
    ----------
    task : TaskDef
    verify : bool
        Read every byte of the shards, and count only what is whole.
    """

    def __init__(self, task: TaskDef, *, verify: bool = False) -> None:
        self.task = task
        self.layout = Layout(task.folder, task.name, task.resultfile)
        self._verify = verify

    @functools.cached_property
    def plan(self) -> Plan | None:
        """The present plan, if there is one."""
        return Plan.read(self.layout.plan_file)

    @functools.cached_property
    def code_changes(self) -> list[Change]:
        """What ``execute`` and ``setup`` depend on and has changed since the plan."""
        if self.plan is None:
            return []
        return changes(parts_from_json(self.plan.fingerprint), self.task.fingerprint())

    @functools.cached_property
    def space(self) -> ParameterSpace:
        """The parameter space: the task's, or the frozen one if the task draws a new one each time."""
        return self._present.space

    @property
    def frozen_space(self) -> tuple[bytes, str]:
        """The pickled space and its digest."""
        return self._present.frozen, self._present.digest

    @functools.cached_property
    def is_complete(self) -> bool:
        """Whether the bookkeeping says at a glance that the result has exactly the space's rows."""
        about = ItemsFile(self.layout).about()
        return (
            about is not None
            and about.is_complete
            and about.space_digest == self._present.digest
            and about.result == str(self.layout.result)
            and about.excluded == sorted(set(self.task.exclude_from_result))
        )

    @functools.cached_property
    def recovered(self) -> Recovered:
        """What earlier runs left; reads every shard's index, so only if `is_complete` is False."""
        return recover(
            self.layout, self.space, self._present.digest, self.task.store, verify=self._verify
        )

    @property
    def n_items(self) -> int:
        """Number of psets in the space."""
        return len(self.space)

    @functools.cached_property
    def n_done(self) -> int:
        """Number of items with a result."""
        return self.n_items if self.is_complete else self.recovered.n_done

    @functools.cached_property
    def failed(self) -> Items:
        """Items that failed and have no result."""
        return np.empty(0, dtype=np.int64) if self.is_complete else self.recovered.failed

    def pending(self) -> Items:
        """Return the items without a result."""
        return np.empty(0, dtype=np.int64) if self.is_complete else self.recovered.pending()

    def missing(self) -> ParameterSpace:
        """Return the psets without a result, as a space."""
        return Selection(self.space, self.pending())

    @property
    def needs_merge(self) -> bool:
        """Whether the result is not what could be merged now."""
        if self.is_complete:
            return False
        return not (
            self.n_done == self.n_items
            and self.recovered.is_unknown
            and not self.recovered.outcomes.pieces
        )

    def reasons(self) -> list[str]:
        """Say why the task is not up to date; empty if it is."""
        reasons = [change.describe() for change in self.code_changes]
        n_missing = self.n_items - self.n_done
        if n_missing:
            failed = f", of which {len(self.failed)} failed" if len(self.failed) else ""
            reasons.append(f"{n_missing} of {self.n_items} items have no result{failed}")
        elif self.needs_merge:
            reasons.append(f"{self.layout.result} is not merged from what is there")
        return reasons

    @functools.cached_property
    def _present(self) -> _Space:
        space = _Space(self.task.pspace, *freeze_space(self.task.pspace))
        plan = self.plan
        if plan is None or plan.space_digest == space.digest:
            return space
        if changes(parts_from_json(plan.space_code), self.task.space_fingerprint()):
            return space
        again = self.task.reload().pspace
        if freeze_space(again)[1] == space.digest:
            return space
        # The same code gives another space each time: random numbers. They were drawn once.
        file = plan.frozen.space
        return _Space(load_space(file), file.read_bytes(), plan.space_digest)
