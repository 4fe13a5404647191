r"""What the results of a task depend on, so that a change of it can be seen and explained.

Code is read as syntax trees and never run: comments, docstrings, formatting and whatever `execute`
does not reach make no difference. Where a tree cannot tell what is used, everything that might be
is included.

Examples
--------
>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     task = Path(folder) / "task_a.py"
...     _ = task.write_text("N = 2\n\ndef execute(x):\n    return {'y': x * N}\n")
...     old = fingerprint_code(task, ["execute"])
...     _ = task.write_text("N = 3\n\ndef execute(x):  # the same\n    return {'y': x * N}\n")
...     [change.describe() for change in changes(old, fingerprint_code(task, ["execute"]))]
['N: line 1: `N = 2` -> `N = 3`']
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from psyflow.files import make_folder, write_atomic
from psyflow.fingerprint.modules import CONF_FILE, LocalModule, LocalModules
from psyflow.fingerprint.parts import (
    Change,
    Part,
    changes,
    file_part,
    parts_from_json,
    parts_to_json,
)
from psyflow.fingerprint.reach import NOT_FOLLOWED, Reach, open_task

__all__ = [
    "CONF_FILE",
    "Change",
    "NOT_FOLLOWED",
    "Part",
    "changes",
    "file_part",
    "fingerprint_code",
    "freeze_code",
    "local_modules",
    "parts_from_json",
    "parts_to_json",
    "space_part",
]


def fingerprint_code(path: str | os.PathLike[str], roots: Sequence[str]) -> dict[str, Part]:
    """Return everything that `roots` of a task file depend on.

    Parameters
    ----------
    path : path-like
        The task file. The local modules are those of its folder.
    roots : sequence of str
        Names such as ``["execute", "setup"]``. A name that the task file does not bind is looked
        up in `psy-conf.py` beside it; one that is in neither is left out.

    Returns
    -------
    dict of str to Part
        By qualified name: ``"execute"``, ``"helpers.f"``. Statements that do something when a
        module is imported are together one part, ``"<module>"`` or ``"helpers.<module>"``.

    Raises
    ------
    TaskFileError
        If a file cannot be read or is not Python.
    """
    modules, task, conf = open_task(_absolute(path))
    reach = Reach(modules)
    reach.start(task, roots)
    if conf:
        reach.start(conf, [name for name in roots if name not in task.index])
    return reach.parts()


def space_part(path: str | os.PathLike[str]) -> dict[str, Part]:
    """Return what the parameter space of a task file depends on.

    A space that differs from the last one although these parts do not was drawn at random.
    """
    return fingerprint_code(path, ["pspace"])


def local_modules(path: str | os.PathLike[str]) -> list[Path]:
    """List the files of the task folder that a task file imports, directly or not.

    An import counts wherever it stands, and with a module its packages' ``__init__.py``.

    Raises
    ------
    TaskFileError
        If a file cannot be read or is not Python.
    """
    modules, task, _ = open_task(_absolute(path))
    seen: dict[Path, LocalModule] = {}
    pending = [task]
    while pending:
        module = pending.pop()
        if module.path not in seen:
            seen[module.path] = module
            pending += _imported_modules(module, modules)
    return sorted(p for p in seen if p != task.path and p.is_file())


def freeze_code(
    task_path: str | os.PathLike[str],
    conf_path: str | os.PathLike[str] | None,
    folder: str | os.PathLike[str],
) -> None:
    """Copy a task file, its `psy-conf.py` and all the local modules they import to `folder`.

    The copies lie in `folder` as the files lie in the task folder.

    Raises
    ------
    TaskFileError
        If a file cannot be read or is not Python.
    """
    sources = [_absolute(p) for p in (task_path, conf_path) if p is not None]
    task_folder = sources[0].parent
    files = {file for source in sources for file in (source, *local_modules(source))}
    for file in sorted(files):
        copy = Path(folder) / file.relative_to(task_folder)
        make_folder(copy.parent)
        write_atomic(copy, file.read_bytes())


def _absolute(path: str | os.PathLike[str]) -> Path:
    # Links are not followed: a module is where the import system sees it.
    return Path(os.path.abspath(path))  # noqa: PTH100


def _imported_modules(module: LocalModule, modules: LocalModules) -> list[LocalModule]:
    """Return the modules that any statement of `module` imports, wherever it stands."""
    by_statement = [m for unit in module.units for i in unit.imports for m in modules.run_by(i)]
    return by_statement + [m for unit in module.units for m in modules.named_by(unit)]
