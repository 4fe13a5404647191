"""What a function reads from its own modules as it runs: the values that names have by then.

Their statements count as code. But a loop, ``global`` or another module may have given a name
another value since, and what a script reads from its arguments stands in no statement.
"""

from __future__ import annotations

import dis
import functools
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from psyflow.exceptions import TaskFileError
from psyflow.fingerprint.modules import LocalModule
from psyflow.fingerprint.origins import is_own
from psyflow.fingerprint.units import Unit

__all__ = ["Read", "codes", "file_of", "reads_of"]

_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_METHODS = (types.FunctionType, staticmethod, classmethod, property, functools.cached_property)
_NO_CODE = {int, float, complex, bool, str, bytes, type(None), types.ModuleType}
_Bindings = Mapping[str, Any]


class Read(NamedTuple):
    """A name that a function reads, such as ``model.N``, and the value that it has now.

    The function stands in `file` from `line` on.
    """

    name: str
    value: Any
    line: int
    file: str


def reads_of(function: Any) -> list[Read]:
    """Return what `function`, and own code that it reaches, reads from names of modules.

    Left out are functions, classes and modules that the statements of a module tell.
    """
    walk = _Walk()
    if isinstance(function, types.FunctionType):
        walk.start(function)
    walk.follow(function)
    walk.go()
    return [walk.found[name] for name in sorted(walk.found)]


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Give compiled code, and all inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def file_of(module: types.ModuleType | None) -> Path | None:
    """Return the source of a module that is the user's own."""
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py"):
        return None
    path = Path(file).absolute()
    return path if path.is_file() and is_own(path) else None


class _Walk:
    def __init__(self) -> None:
        self.found: dict[str, Read] = {}
        self._place = (0, "")
        self._seen: dict[int, object] = {}  # They stay, so that no other gets such a number.
        self._todo: list[Any] = []

    def start(self, function: types.FunctionType) -> None:
        """Note which function it is, where its module has several of its name."""
        code, bindings = function.__code__, function.__globals__
        self._place = (code.co_firstlineno, Path(code.co_filename).name)
        if bindings.get(function.__name__) is function and Path(code.co_filename).is_file():
            self.take(bindings, function.__name__, function)

    def go(self) -> None:
        """Follow what there is to follow, and what that leads to."""
        while self._todo:
            value = self._todo.pop()
            match value:
                case types.FunctionType():
                    self._follow_function(value)
                case type():
                    self._follow_class(value)
                case _:
                    self.follow(type(value), *_inner(value))

    def follow(self, *values: Any) -> None:
        """Go on to the code of values, later."""
        for value in values:
            if id(value) not in self._seen and type(value) not in _NO_CODE:
                self._seen[id(value)] = value
                self._todo.append(value)

    def take(self, bindings: _Bindings, name: str, value: Any) -> None:
        """Note a name of a module, unless its statements tell what it is."""
        if not (_is_special(name) or _is_told(bindings, name, value)):
            self._note(f"{_home(bindings)}.{name}", _beside(bindings.get("__file__"), value))
        self.follow(value)

    def _note(self, name: str, value: Any) -> None:
        self.found.setdefault(name, Read(name, value, *self._place))

    def _follow_function(self, function: types.FunctionType) -> None:
        self.follow(*_captured(function), *_inner(function))
        if not _is_own_function(function):
            return
        source, bindings = Path(function.__code__.co_filename), function.__globals__
        self._place = (function.__code__.co_firstlineno, source.name)
        loaded, names = _names(function.__code__)
        values = {name: bindings[name] for name in sorted(loaded & bindings.keys())}
        if source.is_file():
            for name, value in values.items():
                self.take(bindings, name, value)
        else:  # They count already, with the compiled code.
            self.follow(*values.values())
        self._follow_modules([*values.values(), *_imported(function, names)], names)

    def _follow_modules(self, values: list[Any], names: set[str]) -> None:
        """Take what is read as an attribute, of whichever of the own modules it is."""
        pending = [value for value in values if isinstance(value, types.ModuleType)]
        seen: set[int] = set()
        while pending:
            module = pending.pop()
            if id(module) in seen or file_of(module) is None:
                continue
            seen.add(id(module))
            for name in sorted(names & vars(module).keys()):
                value = vars(module)[name]
                self.take(vars(module), name, value)
                pending += [value] if isinstance(value, types.ModuleType) else []

    def _follow_class(self, kind: type) -> None:
        module = sys.modules.get(kind.__module__)
        path = file_of(module)
        if module is None or path is None:
            return
        statements = _binding(vars(module), kind.__qualname__.partition(".")[0])
        self._place = (statements[0].first if statements else 1, path.name)
        has_values = not hasattr(kind, "__members__")  # those of enumerations are code
        for name, value in list(vars(kind).items()):
            if isinstance(value, _METHODS):
                self.follow(value)
            elif has_values and not _is_of_python(name, value):
                self._note(f"{_home(vars(module))}.{kind.__qualname__}.{name}", value)
                self.follow(value)
        self.follow(*kind.__bases__)


def _is_of_python(name: str, value: Any) -> bool:
    """Tell whether a class has an attribute from Python or a descriptor, not as a value."""
    is_made = name.startswith("_abc_") or hasattr(type(value), "__get__")
    return _is_special(name) or is_made or isinstance(value, type)


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _beside(file: object, value: Any) -> Any:
    """Return a path to what is beside a module as such, which it still is if both are moved."""
    if not isinstance(file, str) or not isinstance(value, str | PurePath):
        return value
    folder = Path(file).absolute().parent
    is_in = PurePath(value).is_relative_to(folder)
    return ("beside", PurePath(value).relative_to(folder).as_posix()) if is_in else value


def _home(bindings: _Bindings) -> str:
    """Return what a module is called, whether it is imported or run as the program."""
    name, file = bindings.get("__name__"), bindings.get("__file__")
    return Path(file).stem if name == "__main__" and file else str(name)


def _is_own_function(function: types.FunctionType) -> bool:
    source = Path(function.__code__.co_filename)
    if source.is_file():
        return is_own(source.absolute())
    # It may be typed, or made as a class of records is.
    home = function.__globals__.get("__name__")
    return home == "__main__" or file_of(sys.modules.get(str(home))) is not None


def _names(code: types.CodeType) -> tuple[set[str], set[str]]:
    """Return the names that are looked up in the module, and those of all kinds."""
    loaded: set[str] = set()
    names: set[str] = set()
    for inner in codes(code):
        loaded |= {str(i.argval) for i in dis.get_instructions(inner) if i.opname in _LOADS}
        names |= set(inner.co_names)
    return loaded, names


def _imported(function: types.FunctionType, names: set[str]) -> list[Any]:
    """Return the modules that a function imports itself, as far as they are there."""
    package = function.__globals__.get("__package__") or ""
    candidates = {name for full in names for name in (full, f"{package}.{full}", package)}
    outer = {name.partition(".")[0] for name in candidates}
    return [sys.modules[name] for name in sorted(candidates | outer) if name in sys.modules]


def _captured(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        if cell != types.CellType():  # it may not have been given a value yet
            yield cell.cell_contents
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()


def _inner(value: Any) -> list[Any]:
    """Return what a value has with it that may be code."""
    match value:
        case functools.partial():
            return [value.func, *value.args, *value.keywords.values()]
        case types.MethodType():
            return [value.__func__, value.__self__]
        case staticmethod() | classmethod():
            return [value.__func__]
        case property():
            return [value.fget, value.fset]
        case functools.cached_property():
            return [value.func]
        case list() | tuple() | set() | frozenset():
            return list(value)
        case dict():
            return list(value.values())
    attributes = list(getattr(value, "__dict__", {}).values())
    is_own_kind = file_of(sys.modules.get(type(value).__module__)) is not None
    # What others made may lead anywhere.
    return attributes if is_own_kind else [inner for inner in attributes if callable(inner)]


def _is_told(bindings: _Bindings, name: str, value: Any) -> bool:
    """Tell whether `name` is what the one definition of it, or imports, in its module say."""
    is_code = isinstance(value, types.FunctionType | types.ModuleType | type)
    if not is_code and not callable(getattr(value, "__wrapped__", None)):
        return False
    binding = _binding(bindings, name)
    if len(binding) == 1 and binding[0].is_definition:
        return getattr(value, "__qualname__", None) == name
    return bool(binding) and all(unit.is_import for unit in binding)


def _binding(bindings: _Bindings, name: str) -> list[Unit]:
    """Return the statements of a module that give a name what it stands for."""
    path = file_of(sys.modules.get(str(bindings.get("__name__"))))
    statements = _statements(path, path.stat().st_mtime_ns) if path else ()
    return [unit for unit in statements if name in unit.binds]


@functools.lru_cache(maxsize=64)
def _statements(path: Path, mtime_ns: int) -> tuple[Unit, ...]:
    try:
        return tuple(LocalModule(path.stem, path).parsed())
    except TaskFileError:
        return ()
