"""Whose the folder of a run is."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from psyflow.exceptions import PsyflowError, TaskFileError
from psyflow.messages import shown_path
from psyflow.record.layout import Layout
from psyflow.record.plan import Plan
from psyflow.system.place import is_same_file

__all__ = ["check_folder", "writable"]

_OF_STUDY = (
    "To look at it, you need no more; to run it, ask them for the right to write, or copy the "
    "study to a folder of your own, and type it there."
)
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


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


@contextlib.contextmanager
def writable(root: Path, instead: str = "") -> Iterator[None]:
    """Have it said who may write to a folder, if this user may not.

    Parameters
    ----------
    root : Path
    instead : str
        What to do then, if it is no folder of a run.

    Raises
    ------
    PsyflowError
        In place of the error of the system.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
        raise PsyflowError(_about_unwritable(root, error, instead)) from error


def _about_unwritable(root: Path, error: OSError, instead: str) -> str:
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    found = there.stat()
    owner, group = _name(pwd.getpwuid, found.st_uid), _name(grp.getgrgid, found.st_gid)
    if error.errno == errno.EROFS:
        why = "it is on a file system that is mounted read-only"
    else:
        mode = stat.filemode(found.st_mode)
        why = f"it belongs to {owner}, group {group} ({mode}), and you are "
        why += _name(pwd.getpwuid, os.geteuid())
    return (
        f"{shown_path(there)} cannot be written: {why}. Nothing is changed. {instead or _OF_STUDY}"
    )


def _name(look_up: Callable[[int], Any], number: int) -> str:
    """Return the name of a user or a group; the number if it has none here."""
    try:
        return str(look_up(number)[0])
    except KeyError:
        return str(number)
