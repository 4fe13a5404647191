"""Where the code of a task runs: its folder, and where its local modules are imported from."""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

__all__ = ["Surroundings", "compile_file"]

_loaded: dict[str, tuple[Surroundings, Path, tuple[int, int] | None]] = {}
"""The local modules in `sys.modules`: for whom each was imported, from which file, how it was.

`sys.modules` belongs to the whole process. Without this, a task would get the `helpers` of another
folder, or those of before they were edited.
"""


def compile_file(path: Path) -> CodeType:
    """Compile a file so that tracebacks show its lines.

    Raises
    ------
    OSError, SyntaxError, ValueError
        If it cannot be read or is not Python.
    """
    return compile(path.read_bytes(), str(path), "exec", dont_inherit=True)


@dataclass(frozen=True)
class Surroundings:
    """The folder that a task's code runs in, and the folder of its frozen code, if it has one.

    Attributes
    ----------
    folder : pathlib.Path
        The task folder: the working directory, and first on `sys.path`.
    code : pathlib.Path or None
        Where the frozen copies of files in `folder` are; they are taken first.
    """

    folder: Path
    code: Path | None = None

    def source_of(self, path: Path) -> Path:
        """Return the file with the code of `path`: its frozen copy, if there is any."""
        return self.code / path.relative_to(self.folder) if self.code else path

    def enter(self, path: Sequence[str]) -> None:
        """Be in these surroundings for the rest of the process, `path` first on `sys.path`."""
        os.chdir(self.folder)
        forget_modules_of_others(self)
        self._put_first_on_path()
        sys.path[:] = [*path, *(entry for entry in sys.path if entry not in path)]

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Be in these surroundings for a while; `sys.path` and working directory come back."""
        forget_modules_of_others(self)
        path, finders = list(sys.path), list(sys.meta_path)
        before = set(sys.modules)
        with contextlib.chdir(self.folder):
            self._put_first_on_path()
            try:
                yield
            finally:
                sys.path[:], sys.meta_path[:] = path, finders
                self._remember(before)

    def _put_first_on_path(self) -> None:
        importlib.invalidate_caches()
        folders = [str(self.code), str(self.folder)] if self.code else [str(self.folder)]
        sys.path[:0] = folders
        if self.code and (finder := FrozenFinder(self.code, self.folder)) not in sys.meta_path:
            sys.meta_path.insert(0, finder)

    def _remember(self, before: set[str]) -> None:
        """Note which local modules were imported since `before`."""
        for name in sys.modules.keys() - before:
            file = getattr(sys.modules[name], "__file__", None)
            path = Path(file) if isinstance(file, str) else None
            if path and path.is_relative_to(self.folder):
                copy = self.source_of(path)
                watched = copy if copy.is_file() else path
                _loaded[name] = (self, watched, _state(watched))


def _state(path: Path) -> tuple[int, int] | None:
    if not path.is_file():
        return None
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


def forget_modules_of_others(surroundings: Surroundings) -> None:
    """Take local modules out of `sys.modules` if they are another folder's or were edited.

    If one was edited, all go: the others may have taken names from it.
    """
    is_stale = any(
        owner != surroundings or _state(path) != state for owner, path, state in _loaded.values()
    )
    if is_stale:
        for name in _loaded:
            sys.modules.pop(name, None)
        _loaded.clear()


@dataclass(frozen=True)
class FrozenFinder(importlib.abc.MetaPathFinder):
    """Imports the frozen copies of local modules under the paths of the originals.

    So a module finds the data files beside it by its ``__file__``, and a package the modules in it
    that are not frozen, while tracebacks show the frozen lines.

    Attributes
    ----------
    code : pathlib.Path
        Folder with the copies.
    folder : pathlib.Path
        Folder with the originals.
    """

    code: Path
    folder: Path

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return how to import `fullname`, None if there is no frozen copy of it."""
        frozen = self.code.joinpath(*fullname.split("."))
        for copy in (frozen / "__init__.py", frozen.with_name(f"{frozen.name}.py")):
            if copy.is_file():
                return self._spec(fullname, copy)
        return None

    def _spec(self, fullname: str, copy: Path) -> importlib.machinery.ModuleSpec | None:
        original = self.folder / copy.relative_to(self.code)
        is_package = copy.name == "__init__.py"
        return importlib.util.spec_from_file_location(
            fullname,
            original,
            loader=FrozenLoader(copy, original),
            submodule_search_locations=[str(original.parent)] if is_package else None,
        )


class FrozenLoader(importlib.abc.InspectLoader):
    """Runs a frozen copy as if it were the original."""

    def __init__(self, copy: Path, original: Path) -> None:
        self.copy = copy
        self.original = original

    def get_source(self, fullname: str) -> str:
        """Return the frozen source."""
        return importlib.util.decode_source(self.copy.read_bytes())

    def get_code(self, fullname: str) -> CodeType:
        """Compile the frozen source."""
        return compile_file(self.copy)
