"""Code that was edited while a run was at work with a copy of it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from psyflow.record.plan import Plan

__all__ = ["edited_meanwhile"]


def edited_meanwhile(plan: Plan) -> list[str]:
    """Return which modules in the task folder are not what the plan has frozen, by their paths.

    Whether that matters to the results, a look at the files does not say.
    """
    folder, code = Path(plan.task_file).parent, plan.frozen.code
    names = sorted(path.relative_to(code).as_posix() for path in code.rglob("*.py"))
    return [name for name in names if _differ(folder / name, code / name)]


def _differ(present: Path, frozen: Path) -> bool:
    # What is of another place, or was removed, has no file here.
    with contextlib.suppress(OSError):
        return present.read_bytes() != frozen.read_bytes()
    return False
