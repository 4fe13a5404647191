"""Removing what psyflow has made for a run, and nothing else."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from psyflow.exceptions import UsageError
from psyflow.record import refusals
from psyflow.record.bookkeeping import ItemsFile
from psyflow.record.layout import ARCHIVE, PSET, RUN_ID, SHARD, Layout
from psyflow.runs.run import Run
from psyflow.system.files import remove_temporaries
from psyflow.system.place import is_same_file

__all__ = ["clear", "generated", "refuse_if_alive"]

_FOLDERS = {"plans": RUN_ID, "out": SHARD, "psets": PSET}
"""What psyflow puts into the folders of a run: whole names."""


def generated(layout: Layout) -> list[Path]:
    """Return every file and folder that psyflow made for a run and `clear` removes.

    A folder is among them if there is nothing else in it; otherwise what of it is psyflow's.
    """
    files = [
        layout.plan_file,
        layout.jobs_file,
        layout.items_file,
        layout.new_items_file,
        layout.staged_result,
        layout.id_file,
        layout.told_file,
        layout.why_archived,
        layout.experiment_file,
        *layout.logs(),
    ]
    made = [*(path for path in files if path.exists()), *layout.links()]
    if _is_own_result(layout):
        made.insert(0, layout.result)
    for folder, names in _FOLDERS.items():
        path = layout.root / folder
        entries = path.glob("*") if path.is_dir() else ()
        made += _whole(path, [entry for entry in entries if names.fullmatch(entry.name)])
    return made + _archived(layout)


def _is_own_result(layout: Layout) -> bool:
    if layout.result.parent == layout.root:
        return layout.result.exists()
    # A result of unknown origin in a place of the user's choice may be anybody's, and a copy's
    # records lead to that of the original.
    about = ItemsFile(layout).about()
    if about is None or not is_same_file(Path(about.result), layout.result):
        return False
    return about.place is None or about.place.is_here(layout.root)


def _archived(layout: Layout) -> list[Path]:
    """Return what psyflow put into the archive, of which each folder is laid out as a run's."""
    found: list[Path] = []
    for folder in sorted(layout.archives.glob("*")):
        if ARCHIVE.fullmatch(folder.name):
            place = Layout(folder, layout.task, folder / layout.result.name)
            results = [path for path in folder.glob("result.*") if path != place.result]
            found += _whole(folder, [*generated(place), *results])
    return _whole(layout.archives, found)


def _whole(folder: Path, made: list[Path]) -> list[Path]:
    """Return `folder` instead of what was made in it, if there is nothing else."""
    is_whole = folder.is_dir() and not folder.is_symlink() and set(made) == set(folder.iterdir())
    return [folder] if is_whole else made


def refuse_if_alive(run: Run) -> None:
    """Raise UsageError if jobs of a run are alive, so that nothing may be removed."""
    if alive := run.alive():
        raise UsageError(refusals.not_replaced(run.task, alive))


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
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return paths
