"""Whose the folder of a run is."""

from __future__ import annotations

import os
from pathlib import Path

from psyflow.exceptions import TaskFileError
from psyflow.record.layout import Layout
from psyflow.record.plan import Plan
from psyflow.system.place import is_same_file

__all__ = ["check_folder"]


def check_folder(layout: Layout, task_file: Path) -> Plan | None:
    """Return the present plan of a run; raise TaskFileError if it is that of another task file.

    One that is there no more has been moved or renamed, and its results go on with this one.
    """
    plan = Plan.present(layout)
    if plan is None:
        return None
    place, root = plan.place, plan.layout.root
    # Where the folder is moved or copied along with its task, the record leads to the new one.
    has_stayed = place is not None and place.path == os.path.realpath(root) and plan.is_at_home
    owner = Path(plan.origin if has_stayed and plan.origin else plan.task_file)
    if owner.exists() and not is_same_file(owner, task_file):
        raise TaskFileError(
            f'The folder of task "{plan.task}", {root}, is that of {owner}. '
            "Set another `workdir` or `name` in one of them."
        )
    return plan
