"""Removing what psyflow has made for a run, and nothing else."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from psyflow import refusals
from psyflow.bookkeeping import ItemsFile
from psyflow.exceptions import UsageError
from psyflow.files import remove_temporaries
from psyflow.layout import Layout
from psyflow.run import Run

__all__ = ["clear", "generated", "refuse_if_alive"]


def generated(layout: Layout) -> list[Path]:
    """Return every file and folder that psyflow made for a run and `clear` removes."""
    made = [
        layout.plan_file,
        layout.plans,
        layout.out,
        layout.jobs_file,
        layout.items_file,
        layout.new_items_file,
        layout.staged_result,
        layout.psets,
        layout.root / "archive",
        *layout.logs(),
    ]
    # A result of unknown origin in a place of the user's choice may be anybody's.
    if layout.result.parent == layout.root or ItemsFile(layout).about() is not None:
        made.insert(0, layout.result)
    return [path for path in made if path.exists()]


def refuse_if_alive(run: Run) -> None:
    """Raise UsageError if jobs of a run are alive, so that nothing may be removed."""
    if alive := run.alive():
        raise UsageError(refusals.not_cleaned(run.task, alive))


def clear(run: Run) -> list[Path]:
    """Remove every file that psyflow made for a run, and return what was removed.

    Raises
    ------
    UsageError
        If jobs of the run are alive.
    RunHeldError
        If somebody else holds the run.
    """
    refuse_if_alive(run)
    layout = run.layout
    if not layout.root.exists():
        return _removed(layout)
    run.take_hold()
    removed = _removed(layout)
    remove_temporaries(layout.root)
    shutil.rmtree(layout.hold)
    with contextlib.suppress(OSError):
        # Stays if it holds something that psyflow did not make.
        layout.root.rmdir()
    return removed


def _removed(layout: Layout) -> list[Path]:
    paths = generated(layout)
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return paths
