"""Own modules outside the task folder: which they are, and where.

A module is *own* unless it is of the standard library or of an ordinarily installed distribution:
so is what lies on ``PYTHONPATH``, beside the task folder, or is installed editably.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

__all__ = [
    "NEVER_OWN",
    "Origin",
    "Origins",
    "SearchPath",
    "find_below",
    "is_own",
    "python_files",
    "work_tree_of",
    "written",
]

_SITE_FOLDERS = {"site-packages", "dist-packages"}
NEVER_OWN = {"psyflow"}
_SUFFIXES = (*importlib.machinery.EXTENSION_SUFFIXES, ".py")  # the order of the import system


@dataclass(frozen=True)
class Origin:
    """Where a module is.

    Attributes
    ----------
    path : pathlib.Path
        The file with its code; the folder of a package without ``__init__.py``.
    file : str
        How the original is called in records: relative to the task folder, if it is of the study.
    folders : tuple of pathlib.Path
        Where the modules inside it are; empty if it is no package.
    """

    path: Path
    file: str
    folders: tuple[Path, ...] = ()


class Origins(Protocol):
    """Something that knows own modules outside the task folder."""

    def find(self, name: str) -> Origin | None:
        """Return where the module of that dotted name is, None if it is none of them."""

    def inside(self, name: str) -> Iterator[str]:
        """Give the dotted names of all modules inside a package."""


class SearchPath:
    """Finds own modules as the import system would, but runs none of them.

    Parameters
    ----------
    path : sequence of str
        The `sys.path` that loading the task left; relative entries start from `folder`.
    folder : pathlib.Path
        The task folder, whose own modules are not among these.
    """

    def __init__(self, path: Sequence[str], folder: Path) -> None:
        self.folder = folder
        absolute = (os.path.normpath(folder / entry) for entry in path)
        self._path = list(dict.fromkeys(absolute))
        self._found: dict[str, Origin | None] = {}

    def find(self, name: str) -> Origin | None:
        """Return where the module of that dotted name is, None if it is not own or elsewhere."""
        if name not in self._found:
            self._found[name] = self._search(name)
        return self._found[name]

    def inside(self, name: str) -> Iterator[str]:
        """Give the dotted names of all modules inside a package."""
        origin = self.find(name)
        for place in origin.folders if origin else ():
            for file in python_files(place):
                parts = file.relative_to(place).with_suffix("").parts
                yield ".".join([name, *(parts[:-1] if parts[-1] == "__init__" else parts)])

    def _search(self, name: str) -> Origin | None:
        package, _, last = name.rpartition(".")
        if not package:
            return self._outermost(name)
        outer = self.find(package)
        if outer is None:
            return None
        found = find_below(outer.folders, last)
        if not found and outer.path.is_dir():
            # An editable install may put a module into a namespace that has it nowhere.
            found = _locations(_from_hooks(name))
        return self._origin(found)

    def _outermost(self, name: str) -> Origin | None:
        if name in NEVER_OWN or name in sys.builtin_module_names:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, self._path) or _from_hooks(name)
        own = [place for place in _locations(spec) if is_own(place)]
        if own and (_home(own[0]) == self.folder or _is_installed(name, _home(own[0]))):
            return None
        return self._origin(own)

    def _origin(self, places: Sequence[Path]) -> Origin | None:
        if not places:
            return None
        path = places[0]
        is_package = path.name.partition(".")[0] == "__init__"
        folders = (path.parent,) if is_package else tuple(p for p in places if p.is_dir())
        return Origin(path, written(path, self.folder), folders)


def find_below(folders: Iterable[Path], name: str) -> list[Path]:
    """Return the file of the module `name` in one of `folders`.

    For a package without ``__init__.py`` these are its folders; empty if there is no such module.
    """
    portions = []
    for folder in folders:
        inner = folder / name
        candidates = [inner / f"__init__{s}" for s in _SUFFIXES] if inner.is_dir() else []
        candidates += [folder / f"{name}{suffix}" for suffix in _SUFFIXES]
        file = next((candidate for candidate in candidates if candidate.is_file()), None)
        if file:
            return [file]
        if inner.is_dir() and any(python_files(inner)):
            portions.append(inner)
    return portions


def python_files(folder: Path) -> Iterator[Path]:
    """Give the Python files below `folder`, but not those in hidden or foreign folders."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if f.isidentifier() and f != "__pycache__")
        yield from (Path(root, file) for file in sorted(files) if file.endswith(".py"))


def is_own(path: Path) -> bool:
    """Tell whether a module's file or folder is the user's, not installed and not Python's.

    Examples
    --------
    >>> is_own(Path(os.__file__)), is_own(Path("/home/me/study/src/model.py"))
    (False, True)
    >>> is_own(Path("/home/me/study/venv/lib/python3.11/site-packages/numpy/__init__.py"))
    False
    """
    if _SITE_FOLDERS.isdisjoint(path.parts):
        return not any(path.is_relative_to(folder) for folder in _not_own())
    # Some tools install a package editably by a link to its folder.
    folder = _resolved(path.parent)
    return _SITE_FOLDERS.isdisjoint(folder.parts) and is_own(folder / path.name)


def written(path: Path, folder: Path) -> str:
    """Return how a record calls a file: from the task folder on if it is in the same study."""
    is_near = path.is_relative_to(work_tree_of(folder))
    return os.path.relpath(path, folder) if is_near else str(path)


def _locations(spec: importlib.machinery.ModuleSpec | None) -> list[Path]:
    """Return the file of a module, or the folders of a package that has none."""
    if spec is None:
        return []
    if spec.has_location and spec.origin:
        file = Path(spec.origin)
        return [file] if file.name.endswith(_SUFFIXES) and file.is_file() else []
    folders = (Path(place) for place in spec.submodule_search_locations or ())
    return [folder for folder in folders if folder.is_dir()]


def _home(path: Path) -> Path:
    """Return the folder on `sys.path` in which a module was found."""
    return path.parent.parent if path.name.partition(".")[0] == "__init__" else path.parent


def _is_installed(name: str, home: Path) -> bool:
    """Tell whether a distribution was installed into a folder of no usual name, with a module."""
    records = home.glob("*.dist-info/RECORD")
    lines = (line for record in records for line in record.read_text("utf-8").splitlines())
    return any(line.startswith((f"{name}/", f"{name}.")) for line in lines)


def _from_hooks(name: str) -> importlib.machinery.ModuleSpec | None:
    """Ask the finders that editable installs add to the import system."""
    for finder in sys.meta_path:
        origin = finder.__module__ if isinstance(finder, type) else type(finder).__module__
        if "editable" in origin:
            spec = finder.find_spec(name, None)
            if spec:
                return spec
    return None


@cache
def _resolved(folder: Path) -> Path:
    return folder.resolve()


@cache
def _not_own() -> frozenset[Path]:
    """Return the folders of the standard library and of psyflow."""
    folders = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    folders |= {Path(os.__file__).parent, Path(__file__).parent.parent}
    return frozenset(folders | {folder.resolve() for folder in folders})


@cache
def work_tree_of(folder: Path) -> Path:
    """Return the git work tree of a task folder, or else the folder that it is in."""
    trees = (parent for parent in (folder, *folder.parents) if (parent / ".git").exists())
    return next(trees, folder.parent)
