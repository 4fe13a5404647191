"""Removing what programs left in the folder of a pset, whatever rights they have taken there."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path, PurePath
from typing import TypeVar

__all__ = ["despite_rights", "prune"]

T = TypeVar("T")


def despite_rights(folder: Path, act: Callable[[], T]) -> T:
    """Do something in a folder, also if a program has taken the user's rights to what is in it.

    Parameters
    ----------
    folder : Path
    act : callable
        Called again, if need be.
    """
    try:
        return act()
    except PermissionError:
        _open_up(folder)
        return act()


def _open_up(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.chmod(folder.stat().st_mode | stat.S_IRWXU)
    for root, folders, _ in os.walk(folder):  # top down, so each is open before it is entered
        for path in (Path(root, name) for name in folders):
            if not path.is_symlink():
                with contextlib.suppress(OSError):
                    path.chmod(path.stat().st_mode | stat.S_IRWXU)


def prune(folder: Path, kept: Collection[str], besides: Iterable[str]) -> None:
    """Remove what is below a folder and neither matches a pattern nor is named in `besides`."""
    besides = set(besides)
    despite_rights(folder, lambda: _prune(folder, kept, besides))


def _prune(folder: Path, kept: Collection[str], besides: Collection[str]) -> None:
    for path in _below(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink():
            try:
                path.rmdir()
            except PermissionError:
                raise
            except OSError:
                pass  # there is something left in it
        elif name not in besides and not _matches(name, kept):
            path.unlink(missing_ok=True)


def _below(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, topdown=False, onerror=_raise):
        yield from (Path(root, name) for name in (*names, *folders))


def _raise(error: OSError) -> None:
    # What programs have left behind may remove something meanwhile, too.
    if not isinstance(error, FileNotFoundError):
        raise error


def _matches(name: str, patterns: Collection[str]) -> bool:
    return any(
        fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(PurePath(name).name, pattern)
        for pattern in patterns
    )
