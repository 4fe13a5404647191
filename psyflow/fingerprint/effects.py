"""Which statements of a module do something beyond binding names of that module.

They run whenever the module is imported, so whatever uses anything of it may depend on them:
``np.random.seed(1)``, ``sys.path.append("lib")``, ``@register`` above a function.
"""

from __future__ import annotations

import ast

from psyflow.fingerprint.acting import calls_what_acts
from psyflow.fingerprint.modules import LocalModule, LocalModules
from psyflow.fingerprint.units import Unit, base_name

__all__ = ["effects"]


def effects(
    module: LocalModule, modules: LocalModules, settings: frozenset[str] = frozenset()
) -> list[Unit]:
    """Return the statements of `module` that may have an effect elsewhere.

    What a setting is made by is taken to have none, unless it says so itself.
    """
    return [
        unit
        for unit in module.units
        if _has_effect(unit, module, modules)
        or (not _is_passive(unit, settings) and calls_what_acts(unit, module, modules))
    ]


def _is_passive(unit: Unit, settings: frozenset[str]) -> bool:
    return unit.is_import or bool(unit.binds and unit.binds <= settings)


def _has_effect(unit: Unit, module: LocalModule, modules: LocalModules) -> bool:
    if unit.is_import:
        # A star import of another's module binds nobody knows what.
        return any(i.binds == "*" and not modules.find(i.module) for i in unit.imports)
    if unit.mutated_container(module.containers):
        return False
    if any(name is None or _is_foreign(name, module) for name in unit.stored):
        return True
    return any(_acts(statement, module, modules) for statement in unit.statements())


def _is_foreign(name: str, module: LocalModule) -> bool:
    """Return whether `name` stands for an object that the module itself did not make."""
    its_own = module.aliases.get(name, name)
    return its_own in module.imported or its_own not in module.index


def _acts(statement: ast.stmt, module: LocalModule, modules: LocalModules) -> bool:
    match statement:
        case ast.Expr():
            return True
        case ast.Assign(targets=[ast.Name(id="_")], value=ast.Call()):
            return True
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return any(_is_local(d, module, modules) for d in statement.decorator_list)
        case ast.ClassDef():
            return _may_register(statement, module, modules)
    return False


def _may_register(node: ast.ClassDef, module: LocalModule, modules: LocalModules) -> bool:
    """Return whether defining the class may tell a local decorator, base or metaclass of it."""
    if any(_is_local(d, module, modules) for d in node.decorator_list):
        return True
    bases = [*node.bases, *(keyword.value for keyword in node.keywords)]
    if not any(_is_local(base, module, modules) for base in bases):
        return False
    imported = [modules.find(i.module) for unit in module.units for i in unit.imports]
    return any(m is not None and m.names_registry for m in [module, *imported])


def _is_local(expression: ast.expr, module: LocalModule, modules: LocalModules) -> bool:
    """Return whether what is called or inherited from is defined in the task folder."""
    while isinstance(expression, ast.Call):
        expression = expression.func
    name = base_name(expression)
    for unit in module.index.get(name or "", []):
        if not unit.is_import or any(modules.find(i.module) for i in unit.imports):
            return True
    return any(modules.find(i.module) for i in module.stars) and name not in module.index
