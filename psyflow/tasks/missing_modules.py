"""What to do about a module that a task file wants and that is not there."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from psyflow.conventions import WORKDIR, study_of
from psyflow.exceptions import did_you_mean

__all__ = ["hint_for"]

_DISTRIBUTIONS = {
    "Bio": "biopython",
    "PIL": "pillow",
    "cv2": "opencv-python",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Those that are named otherwise than the module that is in them."""
_TASK_FILES = "task_*.py"
_MOST_FILES = 2000


def hint_for(error: BaseException, folder: Path) -> str:
    """Return what to do about an error, a sentence or two; nothing for most.

    Parameters
    ----------
    error : BaseException
        That the task file has raised.
    folder : Path
        The task folder.
    """
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return ""
    name = error.name.partition(".")[0]
    if name == "psyrun":
        return "psyflow has the names of psyrun: write `psyflow` where the file says `psyrun`."
    if "." in error.name and _is_there(name):
        return f"`{name}` is there, but has no such module."
    nearby = dict(_modules_near(folder))
    if found := nearby.get(name):
        # From the task folder on, so that it holds wherever the study is.
        place = os.path.relpath(found.parent, folder)
        return (
            f"It is {found}, where Python does not look: move it to {folder}, or write above "
            f'the import: import sys; sys.path.append("{place}")'
        )
    if meant := did_you_mean(name, nearby):
        return meant.strip()
    install = shlex.join([sys.executable, "-m", "pip", "install", _DISTRIBUTIONS.get(name, name)])
    return (
        f"It is neither in {folder} nor installed. If it is a package that others have made, "
        f"install it: {install}"
    )


def _is_there(name: str) -> bool:
    with suppress(ImportError, ValueError):
        return importlib.util.find_spec(name) is not None
    return False


def _modules_near(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield names of modules in the task folder, in its study, and in the folders in these."""
    study = study_of(folder)
    for place in dict.fromkeys((study, folder)):
        inside = [path for path in _entries(place) if path.is_dir() and _is_of_code(path)]
        for parent in (*inside, place):
            yield from _modules_in(parent)


def _modules_in(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in _entries(folder):
        if path.suffix == ".py" and not path.match(_TASK_FILES):
            yield path.stem, path
        elif (path / "__init__.py").is_file():
            yield path.name, path


def _is_of_code(folder: Path) -> bool:
    is_environment = (folder / "pyvenv.cfg").exists()
    return not (is_environment or folder.name == WORKDIR or folder.name.startswith((".", "__")))


def _entries(folder: Path) -> list[Path]:
    """Return what is in a folder that is no place for very much, nothing if it cannot be read."""
    try:
        entries = [path for path, _ in zip(folder.iterdir(), range(_MOST_FILES), strict=False)]
    except OSError:
        return []
    return sorted(entries)
