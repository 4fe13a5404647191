"""What the results of a function depend on that is given as such, not by a task file.

Code is read as for task files. Values that the function has with it, of closures, defaults and
methods, count by their content. Where there is no source, the compiled code takes its place.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import reprlib
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from psyflow.exceptions import TaskFileError, UnstableValueError
from psyflow.fingerprint.modules import LocalModule, LocalModules
from psyflow.fingerprint.origins import SearchPath, is_own
from psyflow.fingerprint.parts import Part, digest
from psyflow.fingerprint.reach import Reach
from psyflow.fingerprint.reads import Read, codes, file_of, reads_of
from psyflow.fingerprint.script import Script, ScriptReach
from psyflow.fingerprint.units import Unit, parse
from psyflow.pspace.values import value_hash

__all__ = ["FunctionCode", "code_of_function"]

_LARGE = 1 << 20  # bytes
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass
class FunctionCode:
    """What the results of a function depend on.

    Attributes
    ----------
    parts : dict from str to Part
    unwatched : list of str
        What of it nobody compares, in words.
    values : dict from str to Part
        The values that names of modules, which the code reads, have as it is called.
    """

    parts: dict[str, Part] = field(default_factory=dict)
    unwatched: list[str] = field(default_factory=list)
    values: dict[str, Part] = field(default_factory=dict)


def code_of_function(function: Callable[..., Any]) -> FunctionCode:
    """Return what the results of a function depend on.

    Examples
    --------
    >>> def scaled(factor):
    ...     return lambda x: {"y": factor * x}
    >>> code_of_function(scaled(2)).parts == code_of_function(scaled(2)).parts
    True
    >>> code_of_function(scaled(2)).parts == code_of_function(scaled(3)).parts
    False
    """
    collector = _Collector()
    collector.add(getattr(function, "__name__", type(function).__name__), function)
    code = collector.code()
    for read in reads_of(function):
        _add_read(code, read)
    return code


def _add_read(code: FunctionCode, read: Read) -> None:
    """Note the value of a name, with the code that it may be."""
    collector = _Collector()
    collector.add(read.name, _quick(read.value))
    found = collector.code()
    code.unwatched += [what for what in found.unwatched if what not in code.unwatched]
    contents = [f"{name} {part.digest}" for name, part in sorted(found.parts.items())]
    which = _which(read.value)
    contents += which
    if contents:
        shown = f"{read.name.rpartition('.')[2]} = {_shown(read.value)}"
        source = "\n".join(which) if isinstance(read.value, types.FunctionType) else shown
        code.values[read.name] = Part(digest("\n".join(contents)), source, read.line, read.file)


def _quick(value: Any) -> Any:
    """Return what stands for a value that takes long to hash element by element."""
    is_large = type(value) is np.ndarray and value.nbytes >= _LARGE
    if not is_large or value.dtype.kind not in "biufc":
        return value
    content = hashlib.blake2b(np.ascontiguousarray(value).data.cast("B"), digest_size=16)
    return ("array", value.dtype.str, value.shape, content.hexdigest())


def _which(value: Any) -> list[str]:
    """Tell a module or function from others of its kind, and of its name."""
    if isinstance(value, types.ModuleType):
        return [f"module {value.__name__}"]
    if not isinstance(value, types.FunctionType):
        return []
    source = Path(value.__code__.co_filename).absolute()
    if not source.is_file() or not is_own(source):
        return []
    local, _ = _reach_in(source, sys.modules.get(value.__module__))
    nodes = _definitions(local, value.__code__)
    return [ast.unparse(node) for node in nodes] or [_compiled(value.__code__)]


class _Collector:
    def __init__(self) -> None:
        self._code = FunctionCode()
        self._reaches: dict[Path, tuple[LocalModule, Reach]] = {}
        self._place = (0, "")
        self._seen: dict[int, object] = {}  # They stay, so that no other gets such a number.

    def code(self) -> FunctionCode:
        """Return what was found."""
        for _, reach in self._reaches.values():
            self._code.parts.update(reach.parts())
        return self._code

    def add(self, name: str, value: Any) -> None:
        """Take up a function, or any value that it has with it."""
        if id(value) in self._seen:
            return
        self._seen[id(value)] = value
        match value:
            case functools.partial():
                self.add(name, value.func)
                for given, inner in (*enumerate(value.args), *value.keywords.items()):
                    self.add(f"{name}.{given}", inner)
            case types.MethodType():
                self.add(name, value.__func__)
                self.add(f"{name}.__self__", value.__self__)
            case types.FunctionType():
                self._add_function(name, value)
            case types.ModuleType():
                self._add_module(value)
            case type():
                self._add_named(value)
            case _ if callable(inner := getattr(value, "__wrapped__", None)):
                self.add(name, inner)
            case _:
                self._add_value(name, value)

    def _add_function(self, name: str, function: types.FunctionType) -> None:
        if self._add_named(function):
            return
        source = Path(function.__code__.co_filename)
        self._place = (function.__code__.co_firstlineno, source.name)
        if source.is_file():
            if not is_own(source.absolute()):
                self._add_foreign(function)
            else:
                self._add_inner(name, function, source.absolute())
        else:
            self._add_compiled(name, function)
        self._add_captured(name, function)

    def _add_named(self, value: Any) -> bool:
        """Take up a function or class that its module has by its name; tell whether it has."""
        module = sys.modules.get(value.__module__ or "")
        outermost = value.__qualname__.partition(".")[0]
        if _attribute(module, value.__qualname__) is not value:
            return False
        path = file_of(module)
        if path is None:
            is_program = getattr(module, "__name__", "") == "__main__"
            if not is_program:
                self._add_foreign(value)
            return not is_program
        local, reach = self._reach_in(path, module)
        reach.start(local, [outermost])
        return True

    def _add_module(self, module: types.ModuleType) -> None:
        path = file_of(module)
        if path is not None:
            local, reach = self._reach_in(path, module)
            reach.start_whole(local)

    def _add_inner(self, name: str, function: types.FunctionType, path: Path) -> None:
        """Take up a function that stands in another one, or in an expression."""
        local, reach = self._reach_in(path, sys.modules.get(function.__module__))
        nodes = _definitions(local, function.__code__)
        for node in nodes:
            unit = Unit(_as_statement(node), local.package)
            reach.start_at(local, name, unit, function.__code__.co_freevars)
        if not nodes:
            self._add_compiled(name, function)

    def _add_compiled(self, name: str, function: types.FunctionType) -> None:
        code = function.__code__
        self._code.parts[name] = Part(digest(_compiled(code)), "", 0, code.co_filename)
        self._code.unwatched.append(
            f"`{name}` has no source file, so its compiled code is compared, which other versions "
            "of Python make another, and what it imports by itself is not watched"
        )
        names = {name for inner in codes(code) for name in inner.co_names}
        for used in sorted(names & function.__globals__.keys()):
            self.add(used, function.__globals__[used])

    def _add_captured(self, name: str, function: types.FunctionType) -> None:
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        for captured, cell in cells:
            if cell != types.CellType():  # it may not have been given a value yet
                self.add(f"{name}.{captured}", cell.cell_contents)
        for argument, value in _defaults(function):
            self.add(f"{name}.{argument}", value)

    def _add_foreign(self, value: Any) -> None:
        """Take up what is installed: which it is, for its code is not watched."""
        name = f"{value.__module__}.{value.__qualname__}"
        self._code.parts[name] = Part(digest(f"installed {name}"), "", 0, str(value.__module__))

    def _add_value(self, name: str, value: Any) -> None:
        kind = type(value)
        if kind.__module__ != "builtins":
            self._add_named(kind)
        for attribute, inner in getattr(value, "__dict__", {}).items():
            if callable(inner):  # a value has functions by their names only
                self.add(f"{name}.{attribute}", inner)
        try:
            low, high = value_hash(value)
        except (UnstableValueError, RecursionError):
            kind_name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
            self._code.unwatched.append(
                f"`{name}` is not watched: nobody can compare values of type {kind_name}"
            )
            return
        source = f"{name.rpartition('.')[2]} = {_shown(value)}"
        self._code.parts[name] = Part(digest(f"value {low:x} {high:x}"), source, *self._place)

    def _reach_in(self, path: Path, module: types.ModuleType | None) -> tuple[LocalModule, Reach]:
        if path not in self._reaches:
            self._reaches[path] = _reach_in(path, module)
        return self._reaches[path]


def _shown(value: Any) -> str:
    texts: tuple[object, object] = (type(value).__repr__, object.__repr__)
    # Without a text of its own, it shows its address, which is another one each time.
    has_none = texts[0] is texts[1]
    return f"<{type(value).__qualname__}>" if has_none else reprlib.repr(value)


def _reach_in(path: Path, module: types.ModuleType | None) -> tuple[LocalModule, Reach]:
    """Return a module as source, and what follows names from there."""
    name = _name_of(path, module)
    home = path.parents[name.count(".") + (path.name == "__init__.py")]
    modules = LocalModules(home, SearchPath(sys.path, home))
    if module is not None and module.__name__ == "__main__":
        script = Script(name, path)
        return script, ScriptReach(modules, script)
    return modules.find(name) or LocalModule(name, path), Reach(modules)


def _name_of(path: Path, module: types.ModuleType | None) -> str:
    """Return the dotted name of a module, also of one that is run as the program."""
    spec = getattr(module, "__spec__", None)
    name = spec.name if spec is not None else getattr(module, "__name__", "__main__")
    depth = name.count(".") + (path.name == "__init__.py")
    is_there = name != "__main__" and len(path.parents) > depth
    return (
        name
        if is_there and name.rpartition(".")[2] in (path.stem, path.parent.name)
        else (path.stem)
    )


def _attribute(module: types.ModuleType | None, qualname: str) -> Any:
    try:
        return functools.reduce(getattr, qualname.split("."), module)
    except AttributeError:
        return None


def _defaults(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    parameters = inspect.signature(function, follow_wrapped=False).parameters.values()
    return ((p.name, p.default) for p in parameters if p.default is not p.empty)


def _definitions(module: LocalModule, code: types.CodeType) -> list[_Definition]:
    """Return where in a module a compiled function stands; several if that cannot be told."""
    try:
        tree = parse(module.source, str(module.path))
    except (SyntaxError, ValueError, TaskFileError):
        return []
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, _Definition)
        and getattr(node, "name", "<lambda>") == code.co_name
        and _first_line(node) == code.co_firstlineno
    ]
    places = {(line, column) for line, _, column, _ in code.co_positions() if line and column}
    exact = [node for node in found if all(_holds(node, place) for place in places)]
    # Of those that hold it, the one in which no other stands.
    return exact[-1:] or found


def _first_line(node: _Definition) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _holds(node: _Definition, place: tuple[int, int]) -> bool:
    start, end = (_first_line(node), 0), (node.end_lineno or 0, node.end_col_offset or 0)
    if isinstance(node, ast.Lambda):
        start = (node.lineno, node.col_offset)
    return start <= place <= end


def _as_statement(node: _Definition) -> ast.stmt:
    return ast.copy_location(ast.Expr(node), node) if isinstance(node, ast.Lambda) else node


def _compiled(code: types.CodeType) -> str:
    """Return what counts of compiled code, which is neither its place nor its docstring."""
    inner = [
        _compiled(constant) if isinstance(constant, types.CodeType) else str(value_hash(constant))
        for constant in code.co_consts
        if constant is not Ellipsis
    ]
    return repr((code.co_code.hex(), inner, code.co_names, code.co_varnames))
