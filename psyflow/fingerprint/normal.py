"""What of a program makes no difference to its results, and is left out before it is compared."""

from __future__ import annotations

import ast
from collections.abc import Collection
from typing import TypeVar

__all__ = ["is_idle", "is_only_said", "normalize"]

_T = TypeVar("_T", bound=ast.AST)
_LOGGERS = {"log", "LOG", "logger", "LOGGER", "_logger", "logging", "warnings"}
_IDLE_MODULES = {"__future__", "collections.abc", "logging", "numpy.typing", "typing", "warnings"}
_LOGGING = {
    "basicConfig",
    "captureWarnings",
    "critical",
    "debug",
    "error",
    "exception",
    "filterwarnings",
    "info",
    "setLevel",
    "simplefilter",
    "warn",
    "warning",
}
_ONLY_LOOKS = {"float", "format", "int", "len", "repr", "round", "str", "type"}
_ENDS = ast.Return | ast.Raise | ast.Continue | ast.Break
_COUNTS_UNREACHED = ast.Yield | ast.YieldFrom | ast.Global | ast.Nonlocal
_DOES_MORE = ast.Await | ast.Yield | ast.YieldFrom | ast.NamedExpr


def normalize(tree: _T) -> _T:
    """Leave out docstrings, what is only said, annotations of functions, and unreachable code.

    F-strings are written so that every Python writes them alike. Annotations that something may
    read stay: those of decorated functions, and in classes with a decorator or a base. Where a
    module has something of its own under the name of `print` or of a logger, that is no saying.
    """
    body = tree.body if isinstance(tree, ast.Module) else []
    return _Normalize(_own_names(body)).visit(tree)  # type: ignore[no-any-return]


def _own_names(body: list[ast.stmt]) -> set[str]:
    """Return the names of what is said with that stand for something else in a module."""
    names: set[str] = set()
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if not _is_logger(value):
                names.add(name)
    return names & {"print", *_LOGGERS}


def _is_logger(value: ast.expr) -> bool:
    match value:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name.lower().replace("_", "") in ("getlogger", "logger", "getchild", "bind")
    return False


def is_only_said(statement: ast.stmt, own_names: Collection[str] = ()) -> bool:
    """Tell whether a statement prints, logs, or sets logging or warnings up, and does no more.

    `own_names` are names that stand for something else.

    Examples
    --------
    >>> [is_only_said(ast.parse(text).body[0]) for text in ("print(x)", "print(rng.random())")]
    [True, False]
    """
    match statement:
        case ast.Expr(value=ast.Call() as call):
            inner = [node for node in ast.walk(call) if node is not call]
            names = {node.id for node in ast.walk(call.func) if isinstance(node, ast.Name)}
            says = _says(call) and names.isdisjoint(own_names)
            return says and not any(_does_more(node) for node in inner)
    return False


def is_idle(statement: ast.stmt) -> bool:
    """Tell whether a statement is there only for annotations and for what is only said."""
    match statement:
        case ast.Import(names=names):
            return all(alias.name in _IDLE_MODULES for alias in names)
        case ast.ImportFrom(module=module):
            return module in _IDLE_MODULES
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name in _LOGGERS
    return False


def _says(call: ast.Call) -> bool:
    match call.func:
        case ast.Name(id="print"):
            return True
        case ast.Attribute(value=ast.Name(id=owner), attr=method):
            # A warning that is made an error ends an evaluation.
            raises = any(isinstance(a, ast.Constant) and a.value == "error" for a in call.args)
            return owner in _LOGGERS and method in _LOGGING and not raises
    return False


def _does_more(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return not (isinstance(node.func, ast.Name) and node.func.id in _ONLY_LOOKS)
    return isinstance(node, _DOES_MORE)


class _Normalize(ast.NodeTransformer):
    def __init__(self, own_names: Collection[str]) -> None:
        self._own_names = own_names
        self._are_read = [False]
        self._in_class = [False]

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) or is_only_said(node, self._own_names):
            return None
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        if not (node.decorator_list or self._are_read[-1]):
            node.returns = None
            for argument in _arguments(node.args):
                argument.annotation = None
        return self._within(node, is_class=False, are_read=self._are_read[-1])

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        are_read = bool(node.decorator_list or node.bases or node.keywords)
        return self._within(node, is_class=True, are_read=are_read)

    def _within(self, node: ast.AST, *, is_class: bool, are_read: bool) -> ast.AST:
        self._in_class.append(is_class)
        self._are_read.append(are_read)
        try:
            return self.generic_visit(node)
        finally:
            self._in_class.pop()
            self._are_read.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None or self._in_class[-1]:
            return self.generic_visit(node)
        plain = ast.copy_location(ast.Assign([node.target], node.value), node)
        return self.generic_visit(plain)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        node.kind = None
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        self.generic_visit(node)
        return _at(node, ast.Tuple([ast.Constant("f-string"), *_merged(node.values)], ast.Load()))

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        self.generic_visit(node)
        specification = node.format_spec or ast.Constant(None)
        values = [node.value, ast.Constant(node.conversion), specification]
        return _at(node, ast.Tuple(values, ast.Load()))

    def generic_visit(self, node: ast.AST) -> ast.AST:
        had = {name for name in _BODIES if getattr(node, name, None)}
        for name in had:
            _cut(node, name)
        super().generic_visit(node)
        if "body" in had and node.body == [] and not isinstance(node, ast.Module):  # type: ignore[attr-defined]
            node.body = [_at(node, ast.Pass())]  # type: ignore[attr-defined]
        return node


_BODIES = ("body", "orelse", "finalbody")


def _cut(node: ast.AST, name: str) -> None:
    """Take out of a body what stands after the statement that leaves it."""
    body = getattr(node, name)
    if not isinstance(body, list):
        return
    end = next((i for i, inner in enumerate(body, 1) if isinstance(inner, _ENDS)), len(body))
    unreached = (inner for statement in body[end:] for inner in ast.walk(statement))
    if not any(isinstance(inner, _COUNTS_UNREACHED) for inner in unreached):
        del body[end:]


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    rest = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *rest]


def _at(place: ast.AST, new: ast.expr | ast.stmt) -> ast.AST:
    return ast.fix_missing_locations(ast.copy_location(new, place))


def _merged(values: list[ast.expr]) -> list[ast.expr]:
    """Join the texts that follow each other in an f-string, as not every Python does itself."""
    merged: list[ast.expr] = []
    for value in values:
        match merged[-1:], value:
            case [ast.Constant(value=str(before))], ast.Constant(value=str(after)):
                merged[-1] = ast.Constant(before + after)
            case _, ast.Constant(value=""):
                pass
            case _:
                merged.append(value)
    return merged
