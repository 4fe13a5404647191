"""Where the code of a task runs: its folder, and where its own modules are imported from."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

from psyflow.fingerprint.frozen import STAND_INS, FrozenModule, FrozenModules, name_of
from psyflow.fingerprint.origins import find_below, is_own
from psyflow.system.reading import read_whole

__all__ = [
    "Surroundings",
    "compile_file",
    "have_been_entered",
    "is_known",
    "is_ours",
    "take_out",
    "undisturbed",
    "was_edited",
]

_loaded: dict[str, tuple[Surroundings, Path, tuple[int, int] | None]] = {}
"""Users' own modules in `sys.modules`: for whom each was imported, from which file, how it was.

`sys.modules` belongs to the whole process. Without this, a task would get the `helpers` of another
folder, or those of before they were edited.
"""
_entered: set[Surroundings] = set()
"""Where this process is for good, as a worker is."""
_entries: dict[tuple[Surroundings, bool], list[str]] = {}
"""What loading files has put on `sys.path` before the task folder, or after it.

A module that does so when it is imported does not do so again for the next task.
"""


def compile_file(path: Path) -> CodeType:
    """Compile a file so that tracebacks show its lines.

    Raises
    ------
    OSError, SyntaxError, ValueError
        If it cannot be read or is not Python.
    """
    return compile(read_whole(path), str(path), "exec", dont_inherit=True)


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

    def new_module(self, name: str, path: Path) -> ModuleType:
        """Return a module for the code of `path`, empty as yet, which `sys.modules` has, too."""
        loader = FrozenLoader(self.source_of(path), path)
        spec = importlib.util.spec_from_file_location(name, path, loader=loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        # Another study may have a file of the same name.
        _loaded[name] = (self, loader.copy, _state(loader.copy))
        return module

    def enter(self, path: Sequence[str]) -> None:
        """Be in these surroundings for the rest of the process, `path` first on `sys.path`."""
        os.chdir(self.folder)
        _entered.add(self)
        forget_modules_of_others(self)
        self._put_first_on_path()
        # What is started here has `sys.path`, as a rule, but none of the finders.
        stand_ins = [str(self.code / STAND_INS)] if self.code else []
        sys.path[:] = [*stand_ins, *path, *(entry for entry in sys.path if entry not in path)]

    def has(self, name: str) -> bool:
        """Tell whether a module is one of the user's that belong to the task."""
        if self.code:
            return FrozenFinder(self.code, self.folder).has(name)
        return bool(find_below([self.folder], name.partition(".")[0]))

    def is_home_of(self, module: ModuleType) -> bool:
        """Tell whether a module is of the task folder as it is, or has the code frozen here."""
        code, loader = _code_of(module), getattr(module, "__loader__", None)
        if isinstance(loader, FrozenLoader) and code != loader.original:
            # One of another run is as good, if it is there to be compared.
            copy = self._copy_of(module.__name__, loader.original)
            return copy is not None and _have_equal_bytes(copy, loader.copy)
        return code is not None and self.owns(module.__name__, code)

    def owns(self, name: str, file: Path) -> bool:
        """Tell whether a file is that of a module of the task, not of another one of the name."""
        outside = self._outside.get(name)
        is_outside = outside is not None and file == outside.original
        return is_outside or file.is_relative_to(self.folder)

    def _copy_of(self, name: str, original: Path) -> Path | None:
        """Return the frozen copy of a module, None if there is none."""
        if outside := self._outside.get(name):
            return outside.copy if outside.original == original else None
        is_here = original.is_relative_to(self.folder) and self.source_of(original).is_file()
        return self.source_of(original) if self.code and is_here else None

    @property
    def _outside(self) -> Mapping[str, FrozenModule]:
        return FrozenFinder(self.code, self.folder).outside if self.code else {}

    def modules(self) -> dict[str, ModuleType]:
        """Return the own modules that were imported here and are the present ones, by names."""
        ours = (name for name, (owner, *_) in _loaded.items() if owner == self)
        return {name: sys.modules[name] for name in ours if name in sys.modules}

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
                self._remember_entries(path)
                sys.path[:], sys.meta_path[:] = path, finders
                self._remember(before)

    def _put_first_on_path(self) -> None:
        importlib.invalidate_caches()
        folders = [str(self.code), str(self.folder)] if self.code else [str(self.folder)]
        entries = [_entries.get((self, is_after), []) for is_after in (False, True)]
        sys.path[:] = [*entries[0], *folders, *sys.path, *entries[1]]
        self.find_frozen()

    def find_frozen(self) -> None:
        """Have frozen copies imported first, in place of what was imported from edited files."""
        if self.code and (finder := FrozenFinder(self.code, self.folder)) not in sys.meta_path:
            sys.meta_path.insert(0, finder)
            finder.forget_others()

    def _remember_entries(self, path: list[str]) -> None:
        """Note which entries of `sys.path` are new, `path` being what it was."""
        own = str(self.folder)
        start = sys.path.index(own) if own in sys.path else 0
        for is_after, entries in ((False, sys.path[:start]), (True, sys.path[start:])):
            new = [e for e in entries if e not in path and e not in (own, str(self.code))]
            _entries[self, is_after] = list(dict.fromkeys(new))

    def _remember(self, before: set[str]) -> None:
        """Note which own modules were imported since `before`."""
        for name in sys.modules.keys() - before:
            watched = _code_of(sys.modules[name])
            if watched and (watched.is_relative_to(self.folder) or is_own(watched)):
                _loaded[name] = (self, watched, _state(watched))


def _code_of(module: ModuleType) -> Path | None:
    """Return the file with the code of a module: its frozen copy, if it was made from that."""
    loader = getattr(module, "__loader__", None)
    if isinstance(loader, FrozenLoader):
        return loader.copy
    file = getattr(module, "__file__", None)
    return Path(file) if isinstance(file, str) else None


def have_been_entered() -> bool:
    """Tell whether this process is in the surroundings of a task for good, as a worker is."""
    return bool(_entered)


def is_ours(module: ModuleType) -> bool:
    """Tell whether psyflow itself has run the code of a module, not an import of somebody's."""
    return isinstance(getattr(module, "__loader__", None), FrozenLoader)


def is_known(name: str, module: ModuleType) -> bool:
    """Tell whether a module is one that a task has imported, not one that somebody else has."""
    known = _loaded.get(name)
    return known is not None and known[1] == _code_of(module)


def take_out(name: str) -> None:
    """Take a module out of `sys.modules`, as if no task had imported it."""
    sys.modules.pop(name, None)
    _loaded.pop(name, None)


def was_edited(module: ModuleType) -> bool:
    """Tell whether the file of a module has other code than the module."""
    loader = module.__loader__
    assert isinstance(loader, FrozenLoader)
    return loader.original.is_file() and not _have_equal_bytes(loader.copy, loader.original)


def _have_equal_bytes(one: Path, other: Path) -> bool:
    try:
        return one == other or one.read_bytes() == other.read_bytes()
    except OSError:
        return False


def _state(path: Path) -> tuple[int, int] | None:
    if not path.is_file():
        return None
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


def forget_modules_of_others(surroundings: Surroundings) -> None:
    """Take own modules out of `sys.modules` if they are another folder's or were edited.

    If one was edited, all go: the others may have taken names from it.
    """
    is_stale = any(
        owner != surroundings or _state(path) != state for owner, path, state in _loaded.values()
    )
    if is_stale:
        for name in _loaded:
            sys.modules.pop(name, None)
        _loaded.clear()
        _entries.clear()


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Have files of tasks run for a while, and all modules be those that they were, afterwards.

    Whoever loads a table may be in the middle of a task of its own, or may have imported modules
    that have the names of the task's.
    """
    modules, loaded, entries = dict(sys.modules), dict(_loaded), dict(_entries)
    try:
        yield
    finally:
        for name in _loaded.keys() - modules.keys():
            sys.modules.pop(name, None)
        sys.modules.update(modules)
        _loaded.clear()
        _loaded.update(loaded)
        _entries.clear()
        _entries.update(entries)


@dataclass(frozen=True)
class FrozenFinder(importlib.abc.MetaPathFinder):
    """Imports the frozen copies of own modules under the paths of the originals.

    So a module finds the data files beside it by its ``__file__``, and a package the modules in it
    that are not frozen, while tracebacks show the frozen lines.

    Attributes
    ----------
    code : pathlib.Path
        Folder with the copies.
    folder : pathlib.Path
        The task folder, with the originals of most.
    """

    code: Path
    folder: Path

    @functools.cached_property
    def outside(self) -> dict[str, FrozenModule]:
        """The copies of modules from outside the task folder, by dotted names."""
        return FrozenModules(self.code, self.folder).modules

    @functools.cached_property
    def _in_folder(self) -> set[str]:
        names = {entry.name.partition(".")[0] for entry in self.code.iterdir()}
        return names.union(self._renamed)

    @functools.cached_property
    def _renamed(self) -> dict[str, Path]:
        """The copies of files which no module could have the name of."""
        files = {name_of(file): file for file in self.code.glob("*.py")}
        return {name: file for name, file in files.items() if name != file.stem}

    def has(self, name: str) -> bool:
        """Tell whether a module, or the one that it is in, has a frozen copy."""
        outermost = name.partition(".")[0]
        in_folder = outermost in self._renamed or bool(find_below([self.code], outermost))
        return in_folder or name in self.outside

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return how to import `fullname`, None if there is no frozen copy of it."""
        if module := self.outside.get(fullname):
            return _spec(fullname, module.copy, module.original)
        parts = fullname.split(".")
        if parts[0] not in self._in_folder:
            return None
        if fullname in self._renamed:
            return _spec(
                fullname, self._renamed[fullname], self.folder / self._renamed[fullname].name
            )
        found = find_below([self.code.joinpath(*parts[:-1])], parts[-1])
        if not found or found[0].is_dir():
            return None
        return _spec(fullname, found[0], self.folder / found[0].relative_to(self.code))

    def forget_others(self) -> None:
        """Take modules out of `sys.modules` that were imported from originals edited since."""
        imported = {n: m for n, m in self.outside.items() if n in sys.modules}
        if any(_has_another(sys.modules[name], m) for name, m in imported.items()):
            for name in imported:
                sys.modules.pop(name)


def _has_another(imported: ModuleType, module: FrozenModule) -> bool:
    """Tell whether the code of a module is, or may be, another than that of a frozen copy."""
    code = _code_of(imported)
    if code is None or not code.is_file():
        return True
    return code != module.copy and code.read_bytes() != module.copy.read_bytes()


def _spec(name: str, copy: Path, original: Path) -> importlib.machinery.ModuleSpec | None:
    inner = [str(original.parent)] if copy.name.startswith("__init__.") else None
    if copy.suffix == ".py":
        return importlib.util.spec_from_file_location(
            name, original, loader=FrozenLoader(copy, original), submodule_search_locations=inner
        )
    # The dynamic linker has to be given the file that it is to load.
    return importlib.util.spec_from_file_location(
        name,
        copy,
        loader=importlib.machinery.ExtensionFileLoader(name, str(copy)),
        submodule_search_locations=inner,
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
