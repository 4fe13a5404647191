"""The local modules of a task folder, found and parsed without running them."""

from __future__ import annotations

import ast
import io
import os
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from psyflow.exceptions import TaskFileError
from psyflow.fingerprint.units import Import, Unit, find_units, is_container, parse

__all__ = ["CONF_FILE", "LocalModule", "LocalModules"]

CONF_FILE = "psy-conf.py"
"""Name of the file with defaults for all the tasks of a folder."""

_REGISTRY_WORDS = (b"__init_subclass__", b"__subclasses__", b"metaclass")
_IMPORTERS_BY_NAME = {"__import__", "import_module", "run_module"}
_IMPORTERS = _IMPORTERS_BY_NAME | {"run_path", "spec_from_file_location", "SourceFileLoader"}


class LocalModule:
    """A module of the task folder, or a folder of modules that is no package.

    Parameters
    ----------
    name : str
        Dotted name; that of the file for a task file.
    path : pathlib.Path
        The file, or the folder if there is no ``__init__.py``.
    is_outermost : bool
        Whether it is the task file itself, whose names are not qualified.
    """

    def __init__(self, name: str, path: Path, is_outermost: bool = False) -> None:
        self.name = name
        self.path = path
        self.is_outermost = is_outermost

    @property
    def package(self) -> str:
        """Dotted name of the package that its relative imports start from."""
        is_package = self.path.name == "__init__.py" or self.path.is_dir()
        return self.name if is_package else self.name.rpartition(".")[0]

    def qualify(self, name: str) -> str:
        """Return the name that a part of this module goes by."""
        return name if self.is_outermost else f"{self.name}.{name}"

    @cached_property
    def source(self) -> bytes:
        """What the file holds; nothing for a folder."""
        if self.path.is_dir():
            return b""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise TaskFileError(f'"{self.path}" cannot be read: {error.strerror}.') from error

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the source, counted as Python counts them."""
        encoding, _ = tokenize.detect_encoding(io.BytesIO(self.source).readline)
        return io.TextIOWrapper(io.BytesIO(self.source), encoding).read().split("\n")

    @cached_property
    def units(self) -> list[Unit]:
        """Its statements."""
        try:
            tree = parse(self.source, str(self.path))
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            place = f", line {line}" if line else ""
            raise TaskFileError(f'"{self.path}"{place}: {error.args[0]}.') from error
        return find_units(tree, self.package)

    @cached_property
    def index(self) -> dict[str, list[Unit]]:
        """For each name, the statements that bind or change it, in order."""
        index: dict[str, list[Unit]] = defaultdict(list)
        for unit in self.units:
            changed = unit.mutated_container(self.containers)
            for name in unit.binds | ({changed} if changed else set()):
                index[name].append(unit)
        return dict(index)

    @cached_property
    def containers(self) -> set[str]:
        """The names that hold a list, dict or set which the module itself made."""
        made: dict[str, bool] = {}
        for unit in self.units:
            match unit.node:
                case (
                    ast.Assign(targets=[ast.Name(id=name)], value=value)
                    | ast.AnnAssign(target=ast.Name(id=name), value=value)
                ):
                    made[name] = made.get(name, True) and is_container(value)
        return {name for name, is_made in made.items() if is_made}

    @cached_property
    def stars(self) -> list[Import]:
        """Its imports of all the names of a module."""
        return [i for unit in self.units for i in unit.imports if i.binds == "*"]

    @cached_property
    def imported(self) -> set[str]:
        """The names that its imports bind."""
        return {i.binds for unit in self.units for i in unit.imports if i.outermost}

    @property
    def names_registry(self) -> bool:
        """Whether it has a class that may keep a list of its subclasses."""
        return any(word in self.source for word in _REGISTRY_WORDS)


class LocalModules:
    """Finds the modules of a task folder by their dotted names, and parses each one once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._found: dict[str, LocalModule | None] = {}

    def find(self, name: str) -> LocalModule | None:
        """Return the module of that name, None if it is not in the task folder."""
        if name not in self._found:
            path = self._locate(name)
            self._found[name] = LocalModule(name, path) if path else None
        return self._found[name]

    def _locate(self, name: str) -> Path | None:
        parts = name.split(".")
        if not all(part.isidentifier() for part in parts):
            return None
        path = self.folder.joinpath(*parts)
        for candidate in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if candidate.is_file():
                return candidate
        return path if path.is_dir() and any(_python_files(path)) else None

    def prefixes(self, name: str) -> list[LocalModule]:
        """Return the packages that an import of `name` runs, then the module itself."""
        parts = name.split(".")
        dotted = (".".join(parts[: i + 1]) for i in range(len(parts)))
        return [module for module in map(self.find, dotted) if module]

    def run_by(self, found: Import) -> list[LocalModule]:
        """Return the modules that an import statement runs."""
        member = f".{found.member}" if found.member and found.member != "*" else ""
        return self.prefixes(found.module + member)

    def named_by(self, unit: Unit) -> list[LocalModule]:
        """Return the modules that a statement imports by a name it has at run time.

        Unless every such call has its name written out, these are all there are.
        """
        nodes = list(ast.walk(unit.node))
        mentions = [node for node in nodes if _called_name(node) in _IMPORTERS]
        names = [_constant_argument(node) for node in nodes if isinstance(node, ast.Call)]
        known = [name for name in names if name]
        if len(known) < len(mentions):
            return self.all()
        return [module for name in known for module in self.prefixes(name)]

    def all(self) -> list[LocalModule]:
        """Return every module below the task folder that could be imported by some name."""
        modules = (self.find(name) for name in sorted(self._all_names()))
        return [module for module in modules if module]

    def _all_names(self) -> Iterator[str]:
        for path in _python_files(self.folder):
            relative = path.relative_to(self.folder).with_suffix("")
            parts = relative.parts[:-1] if relative.name == "__init__" else relative.parts
            is_task = len(parts) == 1 and parts[0].startswith("task_")
            if parts and not is_task and all(part.isidentifier() for part in parts):
                yield ".".join(parts)


def _called_name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


def _constant_argument(call: ast.Call) -> str | None:
    """Return ``"helpers"`` for ``importlib.import_module("helpers")``."""
    match call.args:
        case [ast.Constant(value=str(name))] if _called_name(call.func) in _IMPORTERS_BY_NAME:
            return name
    return None


def _python_files(folder: Path) -> Iterator[Path]:
    """Give the Python files below `folder`, but not those in hidden or foreign folders."""
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if f.isidentifier() and f != "__pycache__")
        yield from (Path(root, file) for file in sorted(files) if file.endswith(".py"))
