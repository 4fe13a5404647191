"""Results of a task under an earlier name: its folder stays behind when its file is renamed."""

from __future__ import annotations

import shlex
from pathlib import Path

from psyflow.exceptions import StoreError
from psyflow.messages import shown_path
from psyflow.record.layout import Layout
from psyflow.record.plan import Plan
from psyflow.system.reading import is_there, names_in
from psyflow.tasks.taskdef import TASK_PREFIX

__all__ = ["about_left_behind", "left_behind"]


def about_left_behind(layout: Layout, task_file: Path, fingerprint: str) -> str:
    """Say how results of a task that was renamed are taken up; empty if there are none."""
    root = left_behind(layout, task_file, fingerprint)
    if root is None:
        return ""
    old, new = (shlex.quote(shown_path(path)) for path in (root, layout.root))
    return (
        f"{old} is of a task that is gone, and of the very same code: if this is its new name, "
        f"take up its results with: mv {old} {new}"
    )


def left_behind(layout: Layout, task_file: Path, fingerprint: str) -> Path | None:
    """Return the folder of a run beside `layout` whose task is gone, and had the very same code.

    Parameters
    ----------
    layout : Layout
        Of the run of a task that has never run.
    task_file : Path
    fingerprint : str
        The digest of what results of the task depend on.
    """
    if is_there(layout.root):
        return None  # `mv` would put one into the other
    for name in _names_beside(layout):
        # To see that a task is there takes less than to read a plan.
        if (task_file.parent / f"{TASK_PREFIX}{name}.py").exists():
            continue
        root = layout.root.parent / name
        plan = _plan_in(Layout(root, name, root / "result"))
        if plan is not None and _is_gone(plan) and plan.fingerprint_digest == fingerprint:
            return root
    return None


def _names_beside(layout: Layout) -> list[str]:
    try:
        return sorted(names_in(layout.root.parent))
    except PermissionError:
        return []  # nobody has to be able to list the folder


def _plan_in(layout: Layout) -> Plan | None:
    try:
        return Plan.read(layout.plan_file)
    except (StoreError, OSError):
        # Of whatever there is in the folder, only plans of this user's own psyflow count.
        return None


def _is_gone(plan: Plan) -> bool:
    return plan.is_at_home and not Path(plan.origin or plan.task_file).exists()
