"""Which failures no pset can escape on this machine, as far as the code itself proves that.

A name that nobody defined, a module or a program that is not there, arguments that do not fit: if
each call of the function gets to the place where that is noticed, whatever the pset, then all
other items fail there, too, or before. A place behind a condition, in a loop, in a `try` or a
`with`, or after a `return` proves nothing: the first corner of a space may get there, and the rest
not.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FrameType, ModuleType, TracebackType
from typing import Any, TypeAlias

from psyflow.system.syntax import parsed

__all__ = ["Inescapable"]

_Step: TypeAlias = "tuple[ast.AST, str, int, ast.AST]"
_Function: TypeAlias = "ast.FunctionDef | ast.Lambda"

_OF_NAMES = (NameError, ImportError, AttributeError, SyntaxError)
_OF_ALL = (*_OF_NAMES, TypeError, FileNotFoundError)
_MISFIT = re.compile(
    r"(?P<callee>[\w.<>]+)\(\) (takes |missing \d+ required |got an unexpected keyword argument "
    r"|got multiple values for )"
)
_ALWAYS = {ast.If: "test", ast.While: "test", ast.IfExp: "test", ast.Assert: "test"}
_ALWAYS_FIRST = {ast.For: "iter", ast.Match: "subject", ast.BoolOp: "values", ast.Compare: "left"}
_NEVER = (
    *(ast.Try, ast.TryStar, ast.With, ast.AsyncWith, ast.AsyncFor, ast.ClassDef, ast.FunctionDef),
    *(ast.AsyncFunctionDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)
_MOST_FRAMES = 20


class Inescapable:
    """Tells of exceptions whether every other item has to fail like the one that raised them.

    Parameters
    ----------
    execute : callable
        What was called with the pset.

    Examples
    --------
    >>> inescapable = Inescapable(len)
    >>> inescapable(ZeroDivisionError(), None, ["x"])
    False
    """

    def __init__(self, execute: Callable[..., Any]) -> None:
        self._execute = execute
        self._known: dict[tuple[Any, ...], bool] = {}

    def __call__(
        self, error: BaseException, frames: TracebackType | None, names: Iterable[str]
    ) -> bool:
        """Tell it of an exception.

        Parameters
        ----------
        error : BaseException
        frames : traceback or None
            From the function's own frame on; None if it was not entered.
        names : iterable of str
            Of the arguments that it was called with.
        """
        if not self.may_be(error):
            return False
        places = list(_places(frames))
        # Where many items fail in one place, it is looked at once.
        key = (type(error), *((id(frame.f_code), at) for frame, at in places))
        if (found := self._known.get(key)) is None:
            try:
                found = self._look(error, places, names)
            except (SyntaxError, ValueError, RecursionError):
                found = False  # its source is not what was run
            self._known[key] = found
        return found

    @staticmethod
    def may_be(error: BaseException) -> bool:
        """Tell, in no time, whether an exception is of a class of which some are inescapable."""
        return isinstance(error, _OF_ALL)

    def _look(
        self, error: BaseException, places: list[tuple[FrameType, int]], names: Iterable[str]
    ) -> bool:
        if not places:
            return isinstance(error, TypeError) and self._refuses(names)
        for number, (frame, at) in enumerate(places[:_MOST_FRAMES]):
            path = _path_to(frame.f_code, at)
            if path is None or not all(map(_is_always_done, path)):
                return False
            is_last = number == len(places) - 1
            if _Place(frame, path[-1][3]).proves(error, is_last=is_last):
                return True
        return False

    def _refuses(self, names: Iterable[str]) -> bool:
        """Tell whether the function cannot be called with these arguments."""
        try:
            signature = inspect.signature(self._execute)
        except (TypeError, ValueError):
            return False
        try:
            signature.bind(**dict.fromkeys(names))
        except TypeError:
            return True
        return False


def _places(frames: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while frames is not None:
        yield frames.tb_frame, frames.tb_lasti
        frames = frames.tb_next


class _Place:
    """What a frame is at: an expression or an import that each call gets to."""

    def __init__(self, frame: FrameType, node: ast.AST) -> None:
        self._code = frame.f_code
        self._globals = frame.f_globals
        self._node = node

    def proves(self, error: BaseException, *, is_last: bool) -> bool:
        """Tell whether getting here is enough to fail with `error`."""
        node = self._node
        if isinstance(node, ast.Import | ast.ImportFrom):
            # What fails while a module is imported knows of no pset.
            return isinstance(error, _OF_NAMES)
        if isinstance(error, NameError):
            return is_last and isinstance(node, ast.Name) and self._is_of_module(node)
        if isinstance(error, AttributeError):
            is_module = isinstance(error.obj, ModuleType) and error.name is not None
            return is_module and isinstance(node, ast.Attribute) and self._is_of_module(node.value)
        if not isinstance(node, ast.Call):
            return False
        if isinstance(error, FileNotFoundError):
            return self._starts(node, error)
        return is_last and isinstance(error, TypeError) and self._does_not_fit(node, error)

    def _is_of_module(self, node: ast.expr) -> bool:
        """Tell whether a name, also a dotted one, means the same in each call."""
        while isinstance(node, ast.Attribute):
            node = node.value
        if not (isinstance(node, ast.Name) and node.id in self._code.co_names):
            return False
        return node.id not in _rebound(self._code.co_filename)

    def _does_not_fit(self, call: ast.Call, error: TypeError) -> bool:
        found = _MISFIT.match(str(error))
        is_plain = not any(isinstance(argument, ast.Starred) for argument in call.args)
        if not (found and is_plain and all(keyword.arg for keyword in call.keywords)):
            return False
        name = ast.unparse(call.func).rpartition(".")[2]
        return self._is_of_module(call.func) and name in found["callee"].split(".")

    def _starts(self, call: ast.Call, error: FileNotFoundError) -> bool:
        """Tell whether a call starts a program, always the same one, that is not there."""
        if not (call.args and error.filename):
            return False
        called = _value_of(call.func, self._globals)
        if getattr(called, "__module__", None) != subprocess.__name__:
            return False
        first: ast.expr = call.args[0]
        if isinstance(first, ast.List | ast.Tuple) and first.elts:
            first = first.elts[0]
        if isinstance(first, ast.Constant):
            return self._is_missing(first.value, error)
        return self._is_of_module(first) and self._is_missing(
            _value_of(first, self._globals), error
        )

    @staticmethod
    def _is_missing(program: object, error: FileNotFoundError) -> bool:
        is_it = isinstance(program, str) and program == error.filename
        return is_it and shutil.which(error.filename) is None


def _value_of(node: ast.expr, names: dict[str, Any]) -> object:
    """Return what a name, also a dotted one, means in a module; None if that is not simple."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = _value_of(node.value, names)
        return vars(owner).get(node.attr) if isinstance(owner, ModuleType) else None
    return None


@functools.lru_cache(maxsize=16)
def _tree(file: str) -> ast.Module:
    return parsed("".join(linecache.getlines(file)))


@functools.lru_cache(maxsize=16)
def _rebound(file: str) -> frozenset[str]:
    """Return the names of a module that its functions may give a value."""
    nodes = ast.walk(_tree(file))
    return frozenset(name for node in nodes if isinstance(node, ast.Global) for name in node.names)


def _path_to(code: CodeType, at: int) -> list[_Step] | None:
    """Return the steps from a function to the expression that an instruction of it belongs to."""
    if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        return None
    line, last_line, column, last_column = list(code.co_positions())[at // 2]
    function = _function(code)
    if function is None or None in (line, last_line, column, last_column):
        return None
    assert line and last_line and column is not None and last_column is not None
    path: list[_Step] = []
    node: ast.AST | None = function
    while node is not None:
        steps = _steps_from(node)
        inside = (s for s in steps if _encloses(s[3], (line, column), (last_line, last_column)))
        step = next(inside, None)
        path += [step] if step else []
        node = step[3] if step else None
    return path or None


def _function(code: CodeType) -> _Function | None:
    for node in ast.walk(_tree(code.co_filename)):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        elif isinstance(node, ast.Lambda) and code.co_name == "<lambda>":
            first = node.lineno
        else:
            continue
        if first == code.co_firstlineno:
            return node
    return None


def _steps_from(node: ast.AST) -> Iterator[_Step]:
    for name, value in ast.iter_fields(node):
        for number, child in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(child, ast.AST):
                yield node, name, number, child


def _encloses(node: ast.AST, first: tuple[int, int], last: tuple[int, int]) -> bool:
    if not isinstance(node, ast.stmt | ast.expr | ast.keyword | ast.match_case | ast.withitem):
        return False
    if isinstance(node, ast.match_case | ast.withitem):
        return any(_encloses(step[3], first, last) for step in _steps_from(node))
    end = (node.end_lineno or node.lineno, node.end_col_offset or 0)
    return (node.lineno, node.col_offset) <= first and last <= end


def _is_always_done(step: _Step) -> bool:
    """Tell whether what is in a part of a statement or an expression is done in any case."""
    parent, field, number, _ = step
    if isinstance(parent, ast.FunctionDef | ast.Lambda) and field == "body":
        body = parent.body if isinstance(parent, ast.FunctionDef) else []
        return not any(map(_may_leave, body[:number]))
    for kinds, is_first in ((_ALWAYS, False), (_ALWAYS_FIRST, True)):
        if type(parent) in kinds:
            return field == kinds[type(parent)] and not (is_first and number)
    return not isinstance(parent, _NEVER)


def _may_leave(statement: ast.stmt) -> bool:
    """Tell whether a function may end at a statement, or there wait for something else."""
    return any(isinstance(node, ast.Return | ast.Raise) for node in ast.walk(statement))
