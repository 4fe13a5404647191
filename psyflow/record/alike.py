"""What the jobs of a plan say of failures that are all of one kind, before there is a result."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from psyflow.record.plan import Plan
from psyflow.system.reading import read_whole
from psyflow.work.alike import MARK, Alike

__all__ = ["alike"]


def alike(plan: Plan) -> list[Alike]:
    """Return what each of the jobs has told, those that stop because of it first."""
    files = sorted(plan.frozen.leases.glob(f"{MARK}*"))
    found = [told for file in files for told in _told_in(file)]
    return sorted(found, key=lambda told: not told.stops)


def _told_in(file: Path) -> Iterator[Alike]:
    # A newer psyflow may tell it otherwise, and the plan may be removed at any moment.
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        told = json.loads(read_whole(file))
        yield Alike(
            n_failed=int(told["n_failed"]),
            item=int(told["item"]),
            kind=str(told["kind"]),
            exception=str(told["exception"]),
            traceback=str(told["traceback"]),
            stops=bool(told["stops"]),
        )
