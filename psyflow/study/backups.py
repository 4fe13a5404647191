"""Copies of the folder of a study, and of its database."""

from __future__ import annotations

import datetime
import itertools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from psyflow.study.database import HIDDEN
from psyflow.system.files import atomic_path, make_folder

if TYPE_CHECKING:
    import pandas

__all__ = ["back_up", "copy_database"]


def back_up(folder: Path, frame: pandas.DataFrame) -> Path | None:
    """Copy a folder to a name that tells its last run, and return where; None without any runs.

    The copy has its name only when it is whole.
    """
    if not len(frame) or not folder.is_dir():
        return None
    stem = f"{folder.name}.bak_{_last_run(frame)}"
    names = itertools.chain([stem], (f"{stem}_{n}" for n in itertools.count(2)))
    free = (folder.with_name(name) for name in names)
    target = next(path for path in free if not path.exists())
    partial = folder.with_name(f".{target.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    shutil.copytree(folder, partial, symlinks=True, ignore=shutil.ignore_patterns(HIDDEN))
    return partial.rename(target)


def _last_run(frame: pandas.DataFrame) -> str:
    last = frame.iloc[-1]
    when, run_id = last.get("_time_utc"), last.get("_run_id", "unknown")
    if not isinstance(when, datetime.datetime):
        when = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    return f"{when.isoformat()[:26]}Z_run_id_{run_id}"


def copy_database(database: Path, folder: Path) -> None:
    """Put a copy of a database, and of nothing else, into a folder; what is there goes."""
    target = make_folder(folder) / database.name
    if not database.exists():
        target.unlink(missing_ok=True)
        return
    with atomic_path(target) as temporary:
        shutil.copyfile(database, temporary)
