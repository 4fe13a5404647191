"""What a task's run has, what it lacks, and why it is or is not up to date. Writes nothing."""

from __future__ import annotations

import enum
import functools
import warnings

import numpy as np

from psyflow.bookkeeping import ItemsFile
from psyflow.exceptions import PsyflowWarning, StoreError
from psyflow.fingerprint import Change, changes, parts_from_json
from psyflow.frozen import FrozenSpace
from psyflow.layout import Layout
from psyflow.merge import Items
from psyflow.plan import Plan
from psyflow.pspace import ParameterSpace
from psyflow.pspace.space import Selection
from psyflow.sources import Recovered, recover
from psyflow.tasks import TaskDef

__all__ = ["Assessment", "Choice"]


class Choice(enum.Enum):
    """Which of the items without a result are meant."""

    ALL = "all"
    FAILED = "failed"
    MISSING = "missing"


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
        return Plan.present(self.layout)

    @functools.cached_property
    def code_changes(self) -> list[Change]:
        """What ``execute`` and ``setup`` depend on and has changed since the plan."""
        if self.plan is None:
            return []
        return changes(parts_from_json(self.plan.fingerprint), self.task.fingerprint())

    @property
    def space(self) -> ParameterSpace:
        """The parameter space: the task's, or the frozen one if the task draws one each time."""
        return self.frozen.space

    @functools.cached_property
    def is_complete(self) -> bool:
        """Whether the bookkeeping says at a glance that the result has just the space's rows."""
        about = ItemsFile(self.layout).about()
        return (
            about is not None
            and about.is_complete
            and about.space_digest == self.frozen.digest
            and about.result == str(self.layout.result)
            and about.excluded == sorted(set(self.task.exclude_from_result))
        )

    @functools.cached_property
    def recovered(self) -> Recovered:
        """What earlier runs left; reads every shard's index, so only if `is_complete` is False."""
        return recover(
            self.layout,
            self.frozen,
            self.task.store,
            self.task.exclude_from_result,
            verify=self._verify,
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

    @functools.cached_property
    def skipped(self) -> Items:
        """Items that were skipped and have no result."""
        return np.empty(0, dtype=np.int64) if self.is_complete else self.recovered.skipped

    def pending(self, choice: Choice = Choice.ALL) -> Items:
        """Return the items without a result: all, those that failed, or those that did not run."""
        if self.is_complete:
            return np.empty(0, dtype=np.int64)
        if choice is Choice.FAILED:
            return self.failed
        is_missing = choice is Choice.MISSING
        return self.recovered.never_ran() if is_missing else self.recovered.pending()

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
            reasons.append(f"{n_missing} of {self.n_items} items have no result{self._why()}")
        elif self.needs_merge:
            reasons.append(f"{self.layout.result} is not merged from what is there")
        return reasons

    def _why(self) -> str:
        counts = {"failed": len(self.failed), "were skipped": len(self.skipped)}
        told = " and ".join(f"{n} {what}" for what, n in counts.items() if n)
        return f", of which {told}" if told else ""

    @functools.cached_property
    def frozen(self) -> FrozenSpace:
        """The parameter space, frozen."""
        present = self._freeze(self.task)
        plan = self.plan
        if plan is None or plan.space_digest == present.digest:
            return present
        if changes(parts_from_json(plan.space_code), self.task.space_fingerprint()):
            return present
        if self._freeze(self.task.reload()).digest == present.digest:
            return present
        # The same code gives another space each time: random numbers. They were drawn once.
        try:
            return plan.load_space()
        except StoreError as error:
            warnings.warn(PsyflowWarning(f"{error} The space is drawn anew."), stacklevel=2)
            return present

    @staticmethod
    def _freeze(task: TaskDef) -> FrozenSpace:
        return FrozenSpace.of(task.pspace, task.defaults)
