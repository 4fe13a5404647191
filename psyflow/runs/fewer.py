"""Fewer files: what a run that is over has left in one for each claim or pset."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from psyflow.command.packs import pack_left
from psyflow.command.place import STDOUT, USAGE
from psyflow.record.plan import Plan
from psyflow.system.reading import is_there
from psyflow.tasks import TaskDef
from psyflow.tasks.programs import take_command
from psyflow.work.claims import ClaimLog
from psyflow.work.psetfolders import Lock

__all__ = ["pack_outputs", "shorten_claims"]


def shorten_claims(plan: Plan) -> None:
    """Have one claim of each log stand for all: every item has an outcome."""
    for batch in set(plan.batch_of_job):
        items = plan.frozen.batch(batch)
        if is_there(items):
            ClaimLog(plan.frozen.claims(batch), len(np.load(items, mmap_mode="r"))).shorten()


def pack_outputs(plan: Plan, task: TaskDef) -> None:
    """Pack what programs left that were killed with their worker, such as by a timeout."""
    command, root = take_command(task.execute), plan.layout.psets
    if command is None or not command.packs(plan.n_items) or not root.is_dir():
        return
    with contextlib.ExitStack() as stack:
        left = [path for path in root.iterdir() if (path / STDOUT).is_file()]
        # Those that are kept as they are have a note of what ran in them.
        unnoted = [path for path in left if not (path / USAGE).exists()]
        pack_left(root, [path for path in unnoted if _is_free(path, stack)])


def _is_free(folder: Path, stack: contextlib.ExitStack) -> bool:
    """Lock the folder of a pset, if nobody is at work in it."""
    lock = Lock.take(folder.with_name(f".{folder.name}.lock"))
    if lock is not None:
        stack.callback(lock.leave)
    return lock is not None
