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

from psyflow.fingerprint.compared import Change, changes
from psyflow.fingerprint.files import FileDigests, contents_of, file_parts
from psyflow.fingerprint.frozen import FrozenModules, freeze_modules, write_stand_ins
from psyflow.fingerprint.modules import CONF_FILE, LocalModule, LocalModules
from psyflow.fingerprint.origins import Origins, SearchPath
from psyflow.fingerprint.parts import Part, file_part, parts_from_json, parts_to_json
from psyflow.fingerprint.reach import NOT_FOLLOWED, open_task, reach_from
from psyflow.system.files import make_folder, write_atomic

__all__ = [
    "CONF_FILE",
    "Change",
    "FileDigests",
    "FrozenModules",
    "NOT_FOLLOWED",
    "Origins",
    "Part",
    "SearchPath",
    "changes",
    "contents_of",
    "file_part",
    "file_parts",
    "fingerprint_code",
    "freeze_code",
    "local_modules",
    "parts_from_json",
    "parts_to_json",
    "space_part",
]


def fingerprint_code(
    path: str | os.PathLike[str], roots: Sequence[str], elsewhere: Origins | None = None
) -> dict[str, Part]:
    """Return everything that `roots` of a task file depend on.

    Parameters
    ----------
    path : path-like
        The task file. The modules of its folder are followed.
    roots : sequence of str
        Names such as ``["execute", "setup"]``. A name that the task file does not bind is looked
        up in `psy-conf.py` beside it; one that is in neither is left out.
    elsewhere : Origins, optional
        Knows the own modules outside the task folder, which are followed too.

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
    return reach_from(_absolute(path), roots, elsewhere).parts()


def space_part(path: str | os.PathLike[str], elsewhere: Origins | None = None) -> dict[str, Part]:
    """Return what the parameter space of a task file depends on.

    A space that differs from the last one although these parts do not was drawn at random.
    """
    return fingerprint_code(path, ["pspace"], elsewhere)


def local_modules(path: str | os.PathLike[str], elsewhere: Origins | None = None) -> list[Path]:
    """List the files of own modules that a task file imports, directly or not.

    An import counts wherever it stands, and with a module its packages' ``__init__.py``.

    Raises
    ------
    TaskFileError
        If a file cannot be read or is not Python.
    """
    return sorted(module.path for module in _imported_by(_absolute(path), elsewhere))


def freeze_code(
    task_path: str | os.PathLike[str],
    conf_path: str | os.PathLike[str] | None,
    folder: str | os.PathLike[str],
    elsewhere: Origins | None = None,
) -> None:
    """Copy a task file, its `psy-conf.py` and all the own modules they import to `folder`.

    The copies lie in `folder` as the files lie in the task folder; see `FrozenModules` for those
    of modules outside it, which `elsewhere` knows.

    Raises
    ------
    TaskFileError
        If a file cannot be read or is not Python.
    """
    sources = [_absolute(p) for p in (task_path, conf_path) if p is not None]
    modules = [module for source in sources for module in _imported_by(source, elsewhere)]
    files = {*sources, *(module.path for module in modules if module.original is None)}
    for file in sorted(files):
        copy = Path(folder) / file.relative_to(sources[0].parent)
        make_folder(copy.parent)
        write_atomic(copy, file.read_bytes())
    outside = {module.name: module for module in modules if module.original is not None}
    freeze_modules(outside.values(), Path(folder))
    write_stand_ins(Path(folder))


def _imported_by(path: Path, elsewhere: Origins | None) -> list[LocalModule]:
    """Return the own modules that a task file imports, directly or not."""
    modules, task, _ = open_task(path, elsewhere)
    seen: dict[Path, LocalModule] = {}
    pending = [task]
    while pending:
        module = pending.pop()
        if module.path not in seen:
            seen[module.path] = module
            pending += _imported_modules(module, modules)
    return [module for module in seen.values() if module is not task and module.path.is_file()]


def _absolute(path: str | os.PathLike[str]) -> Path:
    # Links are not followed: a module is where the import system sees it.
    return Path(os.path.abspath(path))  # noqa: PTH100


def _imported_modules(module: LocalModule, modules: LocalModules) -> list[LocalModule]:
    """Return the modules that any statement of `module` imports, wherever it stands."""
    by_statement = [m for unit in module.units for i in unit.imports for m in modules.run_by(i)]
    return by_statement + [m for unit in module.units for m in modules.named_by(unit)]
