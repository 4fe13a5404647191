"""Evaluating one item in the foreground, for a debugger."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psyflow.columns import without
from psyflow.exceptions import UsageError
from psyflow.record.assess import Assessment
from psyflow.tasks import TaskDef, streams_of, takes_context
from psyflow.tasks.repeating import withheld
from psyflow.work.context import Context, Contexts
from psyflow.work.rows import beside, result_row

__all__ = ["FIRST_FAILED", "ItemCall", "item_number"]

FIRST_FAILED = "first-failed"


def item_number(assessment: Assessment, text: str) -> int:
    """Return the number of the item that `text` names: a number, or ``first-failed``.

    Raises
    ------
    UsageError
        If there is no such item.
    """
    if text == FIRST_FAILED:
        if not len(assessment.failed):
            raise UsageError(f'Task "{assessment.task.name}" has no failed items.')
        return int(assessment.failed[0])
    n_items = assessment.n_items
    if not n_items:
        raise UsageError(f'The parameter space of task "{assessment.task.name}" is empty.')
    if not text.isdecimal() or int(text) >= n_items:
        raise UsageError(
            f'There is no item "{text}" in task "{assessment.task.name}". '
            f"Its items are 0 to {n_items - 1}; {FIRST_FAILED} is the first that failed."
        )
    return int(text)


@dataclass(frozen=True)
class ItemCall:
    """The call of ``execute`` for one item, as a worker makes it.

    Attributes
    ----------
    task : TaskDef
    pset : dict
    given : mapping
        The arguments that psyflow gives: ``rng`` to a task with a ``seed``, ``ctx`` if it is asked
        for.
    """

    task: TaskDef
    pset: dict[str, Any]
    given: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, assessment: Assessment, item: int, scratch: Path) -> ItemCall:
        """Return the call for an item of a task's space.

        What it does to its folder, ``ctx.dir``, it does to a copy in the folder `scratch`.
        """
        task, space = assessment.task, assessment.space
        given: dict[str, Any] = {}
        if (streams := streams_of(task)) is not None:
            given["rng"] = next(streams.generators(space, [item]))
        if takes_context(task):
            given["ctx"] = _context(assessment, item, scratch)
        return cls(task, space[item], given)

    def __call__(
        self, call: Callable[..., Any] = lambda function, **kwargs: function(**kwargs)
    ) -> dict[str, Any]:
        """Do it in this process, ``setup`` included, and return the result row.

        Parameters
        ----------
        call : callable
            Calls the function it is given with the keyword arguments it is given; a debugger does
            so in its own way.

        Raises
        ------
        Exception
            Whatever ``setup`` or ``execute`` raises.
        TypeError
            If what ``execute`` returns is no result.
        StoreError
            If the store cannot hold it.
        """
        task = self.task
        with _surroundings(task):
            proc_id = task.backend(task).proc_id(0, 0, task.pool_size)
            extra = task.setup(proc_id) if task.setup is not None else {}
            arguments = without(withheld(task), self.pset)
            returned = call(task.function, **extra, **self.given, **arguments)
        outputs = without(task.exclude_from_result, beside(self.pset, result_row(returned)))
        task.store.check(outputs)
        return {**without(task.exclude_from_result, self.pset), **outputs}


def _context(assessment: Assessment, item: int, scratch: Path) -> Context:
    kept = Contexts(assessment.layout.psets, "process:0", assessment.task.defaults)
    folder = kept.folder(assessment.space, item)
    if folder.is_dir():
        shutil.copytree(folder, scratch / folder.name)
    return Context(scratch / folder.name)


@contextlib.contextmanager
def _surroundings(task: TaskDef) -> Iterator[None]:
    """Be where the task's workers are; working directory and `sys.path` come back."""
    path = list(sys.path)
    with contextlib.chdir("."):
        task.enter()
        try:
            yield
        finally:
            sys.path[:] = path
