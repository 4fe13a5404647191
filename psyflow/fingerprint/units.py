"""The statements of a module: what each one binds, uses and imports.

A *unit* is one statement at the top of a module, however long; of an import with several names,
each name is a unit. It is the smallest thing that a fingerprint takes in or leaves out.
"""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from psyflow.fingerprint.normal import normalize
from psyflow.system.syntax import parsed

__all__ = [
    "MUTATORS",
    "Chain",
    "Import",
    "Unit",
    "base_name",
    "find_units",
    "is_container",
    "parse",
]

Chain = tuple[str, ...]
"""The attributes that follow a name: ``("random", "seed")`` in ``np.random.seed(1)``."""

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_NAMESPACES = {"eval", "exec", "globals"}
_LOCAL_NAMESPACES = {"locals", "vars"}  # at the top of a module they are the module's
_CHANGE_NOTHING = {"bool", "callable", "float", "hash", "id", "int", "isinstance", "len"}
_CHANGE_NOTHING |= {"print", "range", "repr", "round", "str", "type"}
_CONTAINERS = {"dict", "list", "set", "defaultdict", "OrderedDict", "Counter", "deque"}
MUTATORS = {
    "add",
    "append",
    "appendleft",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "update",
}


@dataclass(frozen=True)
class Import:
    """One name that an import statement binds.

    Attributes
    ----------
    binds : str
        The name; ``"*"`` if it is any.
    module : str
        Dotted name of the module, absolute.
    member : str or None
        What is taken from the module; None for ``import module``.
    renamed : bool
        Whether ``as`` stands in the statement.
    outermost : bool
        Whether it is run with its module, not in a function.
    """

    binds: str
    module: str
    member: str | None
    renamed: bool
    outermost: bool


@dataclass(frozen=True, eq=False)
class Unit:
    """A statement at the top of a module."""

    node: ast.stmt
    package: str

    @property
    def first(self) -> int:
        """Number of the first line, decorators included."""
        decorators: list[ast.expr] = getattr(self.node, "decorator_list", [])
        return min(self.node.lineno, *(d.lineno for d in decorators), self.node.lineno)

    @property
    def last(self) -> int:
        """Number of the last line."""
        return self.node.end_lineno or self.node.lineno

    @property
    def is_import(self) -> bool:
        """Whether it is an import and nothing else."""
        return isinstance(self.node, ast.Import | ast.ImportFrom)

    @property
    def is_definition(self) -> bool:
        """Whether it is a function or a class."""
        return isinstance(self.node, _DEFINITIONS)

    @cached_property
    def text(self) -> str:
        """The statement without comments, docstrings and formatting."""
        return ast.unparse(self.node)

    @cached_property
    def _notable(self) -> list[ast.Import | ast.ImportFrom | ast.Global]:
        # One walk for all of them: it is what takes the time with a big package.
        kinds = ast.Import | ast.ImportFrom | ast.Global
        return [node for node in ast.walk(self.node) if isinstance(node, kinds)]

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Every import in it, at any depth."""
        outermost = {id(node) for node in _same_scope(self.node)} if self._notable else set()
        return tuple(
            found
            for node in self._notable
            if not isinstance(node, ast.Global)
            for found in _imports(node, self.package, id(node) in outermost)
        )

    @cached_property
    def binds(self) -> frozenset[str]:
        """Every name of the module that it binds or changes, also through ``global``."""
        names: set[str] = {i.binds for i in self.imports if i.outermost}
        names.update(_bound_names(self.node))
        for node in self._notable:
            if isinstance(node, ast.Global):
                names.update(node.names)
        return frozenset(names.union(name for name in self.stored if name))

    @cached_property
    def uses(self) -> dict[str, set[Chain]]:
        """Every name from outside that it reads, with the attributes it takes from it."""
        outside = _global_names(self.text) | {i.binds for i in self.imports}
        collector = _Chains()
        collector.visit(self.node)
        return {name: chains for name, chains in collector.found.items() if name in outside}

    @cached_property
    def stored(self) -> tuple[str | None, ...]:
        """The names whose items or attributes it sets; None stands for an expression's."""
        return tuple(
            base_name(node)
            for node in _same_scope(self.node)
            if isinstance(node, ast.Attribute | ast.Subscript) and not _is_load(node)
        )

    def statements(self) -> Iterator[ast.stmt]:
        """Give the statement itself and those inside it that run with the module."""
        within = _same_scope(self.node, into_classes=True)
        return (node for node in within if isinstance(node, ast.stmt))

    @cached_property
    def touched(self) -> frozenset[str]:
        """The names that it calls a method of, or calls something with, as it runs.

        So it may change what they stand for, whatever it assigns to: ``loss = model.fit(10)``.
        """
        if self.is_definition:
            return frozenset(_names_mutated(self.node))
        if self.is_import or isinstance(self.node, ast.Assert):
            return frozenset()
        calls = (node for node in _same_scope(self.node) if isinstance(node, ast.Call))
        return frozenset(name for call in calls for name in _names_given(call))

    @cached_property
    def is_plain(self) -> bool:
        """Whether what it binds cannot be changed: a number, a text, a tuple of such."""
        value = getattr(self.node, "value", None)
        nodes = ast.walk(value) if value is not None else ()
        kinds = ast.Constant | ast.Tuple | ast.UnaryOp | ast.BinOp | ast.operator | ast.unaryop
        return value is not None and all(isinstance(n, kinds | ast.expr_context) for n in nodes)

    @cached_property
    def reads_namespace(self) -> bool:
        """Whether it may read any name of its module, by a name it has at run time."""
        if any(name in _NAMESPACES for name in self.uses):
            return True
        chains = self.uses.get("sys", ())
        calls = (node for node in _same_scope(self.node) if isinstance(node, ast.Call))
        return any(chain[:1] == ("modules",) for chain in chains) or any(
            isinstance(call.func, ast.Name) and call.func.id in _LOCAL_NAMESPACES and not call.args
            for call in calls
        )

    def mutated_container(self, containers: Iterable[str]) -> str | None:
        """Return the name of which it calls a mutating method, if that is in `containers`."""
        match self.node:
            case ast.Expr(
                value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method))
            ) if method in MUTATORS and name in containers:
                return name
        return None


def parse(source: bytes | str, filename: str) -> ast.Module:
    """Parse `source` and leave out what makes no difference to what it does.

    Raises
    ------
    SyntaxError, ValueError
        If it is not Python.
    """
    return normalize(parsed(source, filename))


def find_units(tree: ast.Module, package: str) -> list[Unit]:
    """Split a module into its units; imports are split by name."""
    units = []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            units += [Unit(single, package) for single in _split_import(node)]
        elif not _is_main_guard(node):
            units.append(Unit(node, package))
    return units


def base_name(node: ast.expr) -> str | None:
    """Return ``a`` for ``a.b[0].c``, None if that is no plain name."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def is_container(node: ast.expr | None) -> bool:
    """Return whether `node` makes a new list, dict or set."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _CONTAINERS
    literals = (ast.Dict, ast.List, ast.Set, ast.DictComp, ast.ListComp, ast.SetComp)
    return isinstance(node, literals)


class _Chains(ast.NodeVisitor):
    """Collects the names that are read, each with the attributes taken from it."""

    def __init__(self) -> None:
        self.found: dict[str, set[Chain]] = {}

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.found.setdefault(node.id, set()).add(())

    def visit_Attribute(self, node: ast.Attribute) -> None:
        attributes: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            attributes.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            self.found.setdefault(inner.id, set()).add(tuple(reversed(attributes)))
        else:
            self.visit(inner)


def _names_given(call: ast.Call) -> Iterator[str]:
    """Give the names that a call may change the objects of."""
    if isinstance(call.func, ast.Name) and call.func.id in _CHANGE_NOTHING:
        return
    function = [call.func] if isinstance(call.func, ast.Attribute) else []
    for given in (*function, *call.args, *(keyword.value for keyword in call.keywords)):
        expression = given.value if isinstance(given, ast.Starred) else given
        name = base_name(expression)
        if name:
            yield name


def _names_mutated(definition: ast.stmt) -> Iterator[str]:
    """Give the names of which defaults, decorators and the body of a class call a mutator."""
    inner = [definition]
    while inner:
        node = inner.pop()
        run = _run_with(node)
        inner += [child for child in run if isinstance(child, ast.stmt)]
        for call in (c for child in run for c in _same_scope(child) if isinstance(c, ast.Call)):
            if isinstance(call.func, ast.Attribute) and call.func.attr in MUTATORS:
                name = base_name(call.func)
                if name:
                    yield name


def _run_with(definition: ast.stmt) -> list[ast.AST]:
    """Return what of a function or class runs as it is defined."""
    decorators: list[ast.expr] = getattr(definition, "decorator_list", [])
    if isinstance(definition, ast.ClassDef):
        return [*decorators, *definition.bases, *definition.body]
    arguments = getattr(definition, "args", None)
    if arguments is None:
        return []
    return [*decorators, *arguments.defaults, *filter(None, arguments.kw_defaults)]


def _global_names(text: str) -> set[str]:
    """Return the names that a statement reads from its module or from the builtins."""
    top = symtable.symtable(text, "<unit>", "exec")
    names = {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    tables = list(top.get_children())
    while tables:
        table = tables.pop()
        tables += table.get_children()
        # A class body reads a name from outside before it binds it itself.
        in_class = table.get_type() == "class"
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (in_class or symbol.is_global()):
                names.add(symbol.get_name())
    return names


def _same_scope(node: ast.AST, into_classes: bool = False) -> Iterator[ast.AST]:
    """Walk `node` and what is inside, but not into functions, nor classes unless told to."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        if isinstance(current, ast.comprehension):
            pending += [current.iter, *current.ifs]
        elif not isinstance(current, _SCOPES) or (
            into_classes and isinstance(current, ast.ClassDef)
        ):
            pending += ast.iter_child_nodes(current)


def _bound_names(statement: ast.stmt) -> Iterator[str]:
    for node in _same_scope(statement):
        match node:
            case ast.FunctionDef(name=str(name)) | ast.AsyncFunctionDef(name=str(name)):
                yield name
            case ast.ClassDef(name=str(name)) | ast.ExceptHandler(name=str(name)):
                yield name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
            case ast.MatchMapping(rest=str(name)):
                yield name
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name


def _is_load(node: ast.Attribute | ast.Subscript) -> bool:
    return isinstance(node.ctx, ast.Load)


def _split_import(node: ast.Import | ast.ImportFrom) -> Iterator[ast.Import | ast.ImportFrom]:
    for alias in node.names:
        single: ast.Import | ast.ImportFrom
        if isinstance(node, ast.Import):
            single = ast.Import([alias])
        else:
            single = ast.ImportFrom(node.module, [alias], node.level)
        yield ast.copy_location(single, node)


def _imports(node: ast.Import | ast.ImportFrom, package: str, outermost: bool) -> Iterator[Import]:
    for alias in node.names:
        renamed = alias.asname is not None
        if isinstance(node, ast.Import):
            binds = alias.asname or alias.name.partition(".")[0]
            yield Import(binds, alias.name, None, renamed, outermost)
            continue
        module = _absolute(node.module or "", node.level, package)
        binds = alias.asname or alias.name
        if module:
            yield Import(binds, module, alias.name, renamed, outermost)
        else:
            yield Import(binds, alias.name, None, True, outermost)


def _absolute(module: str, level: int, package: str) -> str:
    if not level:
        return module
    parents = package.split(".") if package else []
    kept = parents[: len(parents) - (level - 1)]
    return ".".join([*kept, module] if module else kept)


def _is_main_guard(node: ast.stmt) -> bool:
    """Return whether it is ``if __name__ == "__main__":``, which a task never runs."""
    match node:
        case ast.If(
            test=ast.Compare(
                left=ast.Name(id="__name__"),
                ops=[ast.Eq()],
                comparators=[ast.Constant(value="__main__")],
            ),
            orelse=[],
        ):
            return True
    return False
