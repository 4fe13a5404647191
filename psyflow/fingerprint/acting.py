"""Which calls change something beyond what they return: ``old = np.seterr(all="raise")``.

A statement with such a call does something when its module is imported, whatever it assigns to.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from psyflow.fingerprint.executed import Found, dotted, executed, find
from psyflow.fingerprint.modules import LocalModule, LocalModules
from psyflow.fingerprint.units import MUTATORS, Chain, Unit, base_name

__all__ = ["calls_what_acts"]

_SET = {"chdir", "delattr", "putenv", "seed", "setattr", "seterr", "setlocale", "umask"}
_SET_FIRST = {"activate", "configure", "disable", "enable", "init", "install", "manual", "patch"}
_SET_FIRST |= {"register", "reset", "seed", "set", "use"}
_BUILTINS = {"delattr", "setattr"}
_LOOK_FIRST = {"as", "copy", "get", "has", "is", "items", "keys", "load", "read", "to", "values"}


def calls_what_acts(unit: Unit, module: LocalModule, modules: LocalModules) -> bool:
    """Return whether a statement, as it runs, calls something that has an effect elsewhere."""
    calls = (node for node in executed(unit.node) if isinstance(node, ast.Call))
    return any(_acts(call, module, modules) for call in calls)


def _acts(call: ast.Call, module: LocalModule, modules: LocalModules) -> bool:
    names = dotted(call.func)
    if not names:
        return False
    found = find(module, names, modules)
    if found is None:
        is_foreign = names[0] in module.imported or names[0] in _BUILTINS
        return is_foreign and _sets_something(names)
    home, called = found[0], found[1:]
    if called not in modules.acting:
        modules.acting[called] = False  # until it is known: functions may call each other
        modules.acting[called] = any(_changes(node, found, modules) for node in _body(found))
    return modules.acting[called] or (home is not module and _is_method_of_object(found))


def _sets_something(names: Chain) -> bool:
    last = names[-1]
    return last in _SET or (last.partition("_")[0] in _SET_FIRST and "_" in last)


def _is_method_of_object(found: Found) -> bool:
    """Return whether it is a method of what a module has made, and not one that only looks."""
    _, unit, rest = found
    is_object = not (unit.is_definition or unit.is_plain)
    return is_object and bool(rest) and rest[-1].partition("_")[0] not in _LOOK_FIRST


def _body(found: Found) -> Iterator[ast.AST]:
    """Walk what runs when a function, a class or a method of a class is called."""
    _, unit, rest = found
    match unit.node:
        case ast.FunctionDef(body=body) | ast.AsyncFunctionDef(body=body) if not rest:
            yield from _run(body)
        case ast.ClassDef(body=methods):
            wanted = rest[0] if rest else "__init__"
            for inner in methods:
                if isinstance(inner, ast.FunctionDef) and inner.name == wanted:
                    yield from _run(inner.body)


def _run(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Walk what runs with the body of a function: of those inside it, such as it calls itself."""
    nodes = [node for statement in body for node in executed(statement)]
    yield from nodes
    called = {name for node in nodes if isinstance(node, ast.Call) for name in dotted(node.func)}
    for node in nodes:
        if isinstance(node, ast.FunctionDef) and node.name in called:
            yield from _run(node.body)


def _changes(node: ast.AST, found: Found, modules: LocalModules) -> bool:
    """Return whether a node in a function changes what outlives the call."""
    module, unit, _ = found
    match node:
        case ast.Global():
            return True
        case (
            ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del())
        ):
            return base_name(node) in {*unit.uses, "cls"}
        case ast.Call(func=ast.Attribute(attr=method) as function) if method in MUTATORS:
            name = base_name(function)
            return name in unit.uses and name not in module.imported
        case ast.Call():
            return _acts(node, module, modules)
    return False
