"""What to do about an error that a task file has raised while it was loaded."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

from psyflow.fingerprint.frozen import name_of
from psyflow.tasks import missing_modules

__all__ = ["remedy_for"]

_BYTES_OF_OTHERS = ("null bytes", "codec can't decode", "unknown encoding")
"""What Python says of a source that is not in the encoding that it says, or in UTF-8."""


def remedy_for(error: BaseException, path: Path) -> str:
    """Return what to do about an error, a sentence or two; nothing for most.

    Parameters
    ----------
    error : BaseException
        That the task file has raised.
    path : Path
        The task file.

    Examples
    --------
    >>> remedy_for(ImportError("attempted relative import with no known parent package"),
    ...            Path("psy-tasks/task_a.py"))
    'A task file is in no package: import what is beside it by its name, without the dot.'
    """
    if isinstance(error, ModuleNotFoundError):
        return missing_modules.hint_for(error, path.parent)
    if isinstance(error, ImportError):
        return _about_import(error, path)
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        module = vars(error.obj)
        return _about_shadow(module.get("__name__"), module.get("__file__"), path)
    if isinstance(error, SyntaxError | ValueError):
        text = str(error)
        if any(words in text for words in _BYTES_OF_OTHERS):
            return "Save it as UTF-8, or name its encoding in its first line: # coding: latin-1"
    return ""


def _about_import(error: ImportError, path: Path) -> str:
    if str(error).startswith("attempted relative import"):
        return (
            "A task file is in no package: import what is beside it by its name, without the dot."
        )
    if error.name == name_of(path):
        return (
            f"{path.name} imports the module that asks for this, and is not done yet itself: move "
            "what both need to a module of its own."
        )
    return _about_shadow(error.name, error.path, path)


def _about_shadow(name: str | None, file: str | None, path: Path) -> str:
    if name not in sys.stdlib_module_names or not file:
        return ""
    if path.parent not in Path(file).parents:
        return ""
    return (
        f'"{file}" is taken for the module `{name}` of Python\'s standard library: give it '
        "another name."
    )
