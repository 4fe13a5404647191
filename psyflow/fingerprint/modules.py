"""The modules of a task that are its user's own, found and parsed without running them."""

from __future__ import annotations

import ast
import contextlib
import functools
import io
import itertools
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from psyflow.exceptions import TaskFileError
from psyflow.fingerprint.origins import NEVER_OWN, Origins, find_below, python_files
from psyflow.fingerprint.units import (
    Chain,
    Import,
    Unit,
    base_name,
    find_units,
    is_container,
    parse,
)

__all__ = ["CONF_FILE", "LocalModule", "LocalModules"]

CONF_FILE = "psy-conf.py"
"""Name of the file with defaults for all the tasks of a folder."""

_REGISTRY_WORDS = (b"__init_subclass__", b"__subclasses__", b"metaclass")
_IMPORTERS_BY_NAME = {"__import__", "import_module", "run_module"}
_IMPORTERS = _IMPORTERS_BY_NAME | {"run_path", "spec_from_file_location", "SourceFileLoader"}


class LocalModule:
    """A module that is the user's own, or a folder of modules that is no package.

    Parameters
    ----------
    name : str
        Dotted name; that of the file for a task file.
    path : pathlib.Path
        The file, or the folder if there is no ``__init__.py``.
    is_outermost : bool
        Whether it is the task file itself, whose names are not qualified.
    original : str, optional
        What records call it, if it is not in the task folder.
    """

    def __init__(
        self, name: str, path: Path, is_outermost: bool = False, original: str | None = None
    ) -> None:
        self.name = name
        self.path = path
        self.is_outermost = is_outermost
        self.original = original

    @property
    def is_compiled(self) -> bool:
        """Whether it is an extension module, of which nothing but the content can be told."""
        return self.path.is_file() and self.path.suffix != ".py"

    def written(self, folder: Path) -> str:
        """Return what records call its file; `folder` is the task folder."""
        return self.original or self.path.relative_to(folder).as_posix()

    @property
    def package(self) -> str:
        """Dotted name of the package that its relative imports start from."""
        is_package = self.path.name.startswith("__init__.") or self.path.is_dir()
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
        # In comments, Python takes bytes that are no text.
        encoding = "utf-8"
        with contextlib.suppress(SyntaxError):
            encoding, _ = tokenize.detect_encoding(io.BytesIO(self.source).readline)
        text = io.TextIOWrapper(io.BytesIO(self.source), encoding, errors="replace")
        return text.read().split("\n")

    @cached_property
    def units(self) -> list[Unit]:
        """Its statements."""
        return self.parsed()

    def parsed(self) -> list[Unit]:
        """Return its statements, as its file has them now."""
        if self.is_compiled:
            return []
        try:
            return list(_parsed(self.source, str(self.path), self.package))
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None)
            place = f", line {line}" if line else ""
            raise TaskFileError(f'"{self.path}"{place}: {error.args[0]}.') from error

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
    def aliases(self) -> dict[str, str]:
        """For names that are bound to a part of what another stands for, that other name."""
        found: dict[str, str] = {}
        for unit in self.units:
            match unit.node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    source = base_name(_got(value))
                    if source and source != name:
                        found[name] = found.get(source, source)
        return found

    @cached_property
    def touching(self) -> dict[str, list[Unit]]:
        """For each name that it binds to what can be changed, the statements that may do so."""
        touching: dict[str, list[Unit]] = defaultdict(list)
        for unit in self.units:
            for name in unit.touched:
                made_by = [u for u in self.index.get(name, []) if u is not unit]
                if any(not (u.is_import or u.is_definition or u.is_plain) for u in made_by):
                    touching[name].append(unit)
            changed = {*unit.touched, *unit.stored}
            for source in {its for alias, its in self.aliases.items() if alias in changed}:
                touching[source].append(unit)
        return dict(touching)

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
        return not self.is_compiled and any(word in self.source for word in _REGISTRY_WORDS)


@functools.lru_cache(maxsize=64)
def _parsed(source: bytes, path: str, package: str) -> tuple[Unit, ...]:
    """Return the statements of a source: one look at a task asks for them several times."""
    return tuple(find_units(parse(source, path), package))


class LocalModules:
    """Finds a task's own modules by their dotted names, and parses each one once.

    Parameters
    ----------
    folder : pathlib.Path
        The task folder, or the folder with the frozen copies of its files.
    elsewhere : Origins, optional
        Knows the own modules outside the task folder.
    """

    def __init__(self, folder: Path, elsewhere: Origins | None = None) -> None:
        self.folder = folder
        self.elsewhere = elsewhere
        self.acting: dict[tuple[Unit, Chain], bool] = {}  # whether a call of it changes something
        self._found: dict[str, LocalModule | None] = {}

    def find(self, name: str) -> LocalModule | None:
        """Return the module of that name, None if it is no own one."""
        if name not in self._found:
            self._found[name] = self._locate(name)
        return self._found[name]

    def _locate(self, name: str) -> LocalModule | None:
        parts = name.split(".")
        if parts[0] in NEVER_OWN or not all(part.isidentifier() for part in parts):
            return None
        origin = self.elsewhere.find(name) if self.elsewhere else None
        if origin:
            return LocalModule(name, origin.path, original=origin.file)
        found = find_below([self.folder.joinpath(*parts[:-1])], parts[-1])
        return LocalModule(name, found[0]) if found else None

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

        Unless every such call has its name written out, these are all there are: in the package
        that the names begin with, or else in the task folder and the package of the statement.
        """
        nodes = list(ast.walk(unit.node))
        mentions = [node for node in nodes if _called_name(node) in _IMPORTERS]
        names = [_constant_argument(node) for node in nodes if isinstance(node, ast.Call)]
        known = [name for name in names if name]
        begun = [name for name in map(_begun_argument, nodes) if name]
        if len(known) + len(begun) < len(mentions):
            return [*self.all(), *self._inside(unit.package.partition(".")[0])]
        named = [module for name in known for module in self.prefixes(name)]
        return named + [module for name in begun for module in self._inside(name)]

    def all(self) -> list[LocalModule]:
        """Return every module below the task folder that could be imported by some name."""
        modules = (self.find(name) for name in sorted(self._all_names()))
        return [module for module in modules if module]

    def _inside(self, package: str) -> list[LocalModule]:
        """Return a package and every module below it."""
        in_folder = (name for name in self._all_names() if name.startswith(f"{package}."))
        elsewhere = self.elsewhere.inside(package) if package and self.elsewhere else ()
        names = sorted({*itertools.chain(in_folder, elsewhere)}) if package else []
        inner = (self.find(name) for name in names)
        return [*self.prefixes(package), *(module for module in inner if module)]

    def _all_names(self) -> Iterator[str]:
        for path in python_files(self.folder):
            relative = path.relative_to(self.folder).with_suffix("")
            parts = relative.parts[:-1] if relative.name == "__init__" else relative.parts
            is_task = len(parts) == 1 and parts[0].startswith("task_")
            if parts and not is_task and all(part.isidentifier() for part in parts):
                yield ".".join(parts)


def _got(value: ast.expr) -> ast.expr:
    """Return what a value is part of: ``decimal`` for ``decimal.getcontext()``."""
    match value:
        case ast.Call(func=ast.Attribute(value=inner, attr=name)) if name.startswith("get"):
            return inner
    return value


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


def _begun_argument(node: ast.AST) -> str | None:
    """Return ``"models"`` for ``importlib.import_module(f"models.{name}")``."""
    match node:
        case ast.Call(args=[argument]) if _called_name(node.func) in _IMPORTERS_BY_NAME:
            pass
        case _:
            return None
    match argument:
        case ast.Tuple(elts=[ast.Constant(value="f-string"), ast.Constant(value=str(text)), *_]):
            return text.rpartition(".")[0]
        case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Add()):
            return text.rpartition(".")[0]
    return None
