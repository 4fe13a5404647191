"""What runs with a statement, and which definition a name in it stands for."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from psyflow.fingerprint.modules import LocalModule, LocalModules
from psyflow.fingerprint.units import Chain, Unit

__all__ = ["Found", "dotted", "executed", "find", "names_read"]

Found = tuple[LocalModule, Unit, Chain]
"""A statement that binds a name, its module, and the attributes that are taken from it."""

_DEEPEST = 16  # re-exports of re-exports, or modules that import each other in a circle


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs with `node`: of functions the decorators and defaults, but not the body."""
    pending = [node]
    while pending:
        current = pending.pop()
        yield current
        match current:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                pending += [*current.decorator_list, *_defaults(current.args)]
            case ast.Lambda():
                pending += _defaults(current.args)
            case _:
                pending += ast.iter_child_nodes(current)


def _defaults(arguments: ast.arguments) -> list[ast.expr]:
    return [*arguments.defaults, *(default for default in arguments.kw_defaults if default)]


def names_read(node: ast.AST) -> set[str]:
    """Return the names that are read as `node` runs."""
    return {
        n.id for n in executed(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)
    }


def dotted(expression: ast.expr) -> Chain:
    """Return ``("a", "b")`` for ``a.b``; nothing if it is not made of names alone."""
    attributes: list[str] = []
    while isinstance(expression, ast.Attribute):
        attributes.append(expression.attr)
        expression = expression.value
    return (expression.id, *reversed(attributes)) if isinstance(expression, ast.Name) else ()


def find(
    module: LocalModule, names: Chain, modules: LocalModules, deepest: int = _DEEPEST
) -> Found | None:
    """Return what a dotted name in `module` stands for, if that is own code."""
    if not names or not deepest:
        return None
    name, rest = names[0], names[1:]
    for unit in reversed(module.index.get(name, [])):
        target = next((i for i in unit.imports if i.binds == name and i.outermost), None)
        if target is None:
            return module, unit, rest
        if target.member:
            return _inside(target.module, (target.member, *rest), modules, deepest)
        return _inside(target.module if target.renamed else name, rest, modules, deepest)
    return None


def _inside(dotted_name: str, names: Chain, modules: LocalModules, deepest: int) -> Found | None:
    """Return what `names` stand for in a module, or in one below it."""
    module = modules.find(dotted_name)
    if module is None or not names:
        return None
    if names[0] not in module.index and modules.find(f"{dotted_name}.{names[0]}"):
        return _inside(f"{dotted_name}.{names[0]}", names[1:], modules, deepest - 1)
    return find(module, names, modules, deepest - 1)
