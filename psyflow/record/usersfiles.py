"""Tracebacks of frozen copies, told of the user's own files where these still say the same."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path

from psyflow.fingerprint.frozen import FrozenModules
from psyflow.record.layout import Layout
from psyflow.system.reading import read_whole

__all__ = ["of_users_files"]

_FRAME = re.compile(r'(?P<begin>^[\s|]*File ")(?P<file>.+)(?P<end>", line (?P<line>\d+))', re.M)
_EDITED = "Lines of files that were edited since, or are gone, are those of the copies that ran."


def of_users_files(text: str, layout: Layout, folder: Path) -> str:
    """Return a traceback that names the user's files instead of their frozen copies.

    Where a line is another one by now, the copy is named, and that is said at the end.

    Parameters
    ----------
    text : str
    layout : Layout
        Of the run, whose plans have the copies.
    folder : Path
        The task folder.
    """
    plans = Path(os.path.realpath(layout.plans))
    line_of = functools.partial(_line, functools.cache(_lines))
    is_edited = False

    def users(found: re.Match[str]) -> str:
        nonlocal is_edited
        copy, number = Path(os.path.realpath(found["file"])), int(found["line"])
        if not copy.is_relative_to(plans):
            return found[0]
        original, ran = _original(copy, plans, folder), line_of(copy, number)
        if original is None or ran is None or line_of(original, number) != ran:
            is_edited = True
            return found[0]
        return f"{found['begin']}{original}{found['end']}"

    told = _FRAME.sub(users, text)
    return f"{told.rstrip()}\n{_EDITED}" if is_edited else told


def _original(copy: Path, plans: Path, folder: Path) -> Path | None:
    """Return the file that a frozen one is a copy of; None if nobody knows."""
    run_id, code, *parts = copy.relative_to(plans).parts
    outside = _outside(str(plans / run_id / code), folder)
    if copy in outside:
        return outside[copy]
    inside = folder.joinpath(*parts)
    return inside if inside.is_file() else None


@functools.lru_cache(maxsize=16)
def _outside(code: str, folder: Path) -> dict[Path, Path]:
    """Return the originals of the copies of modules from outside the task folder."""
    frozen = FrozenModules(Path(code), folder).modules.values()
    return {Path(os.path.realpath(module.copy)): module.original for module in frozen}


def _line(lines_of: Callable[[Path], list[str]], file: Path, number: int) -> str | None:
    lines = lines_of(file)
    return lines[number - 1] if 0 < number <= len(lines) else None


def _lines(file: Path) -> list[str]:
    try:
        return read_whole(file).decode(errors="replace").splitlines()
    except OSError:
        return []
