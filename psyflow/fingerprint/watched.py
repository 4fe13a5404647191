"""What of a task's code is watched, what is not, and what cannot be followed."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from psyflow.fingerprint.modules import LocalModule
from psyflow.fingerprint.origins import Origins
from psyflow.fingerprint.reach import Reach, reach_from
from psyflow.fingerprint.units import Unit

__all__ = ["Unfollowed", "Watched", "watched"]

_BY_NAME = {"getattr", "setattr", "delattr"}
_RUN_TEXT = {"eval", "exec"}
_TEXT_OF_CODE = {"__annotations__", "__doc__", "get_type_hints", "getdoc", "getsource"}
_OTHER_CODE = {"cffi", "ctypes", "juliacall", "matlab", "rpy2", "subprocess"}


@dataclass(frozen=True)
class Unfollowed:
    """A place in the code from which nobody can tell what it reaches: a file, a line, and why."""

    file: str
    line: int
    what: str


@dataclass(frozen=True)
class Watched:
    """What of a task's code is watched.

    Attributes
    ----------
    files : dict from str to list of str
        The files of own code that is reached, and what of each: names of parts.
    distributions : dict from str to str
        The installed distributions that are used, which are not watched, with their versions.
    unfollowed : list of Unfollowed
    """

    files: dict[str, list[str]]
    distributions: dict[str, str]
    unfollowed: list[Unfollowed]


def watched(
    path: str | os.PathLike[str], roots: Sequence[str], elsewhere: Origins | None = None
) -> Watched:
    r"""Return what of the code that `roots` of a task file reach is watched.

    Parameters
    ----------
    path, roots, elsewhere
        As for `psyflow.fingerprint.fingerprint_code`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     task = Path(folder) / "task_a.py"
    ...     _ = task.write_text("N = 1\ndef execute(x):\n    return eval(x) * N")
    ...     watched(task, ["execute"])
    Watched(files={'task_a.py': ['N', 'execute']}, distributions={},
            unfollowed=[Unfollowed(file='task_a.py', line=3, what='eval')])
    """
    reach = reach_from(Path(os.path.abspath(path)), roots, elsewhere)  # noqa: PTH100
    files: dict[str, list[str]] = {}
    for name, part in reach.parts().items():
        files.setdefault(part.file, []).append(name)
    units = reach.units()
    found = {place for module, unit in units for place in _unfollowed(module, unit, reach)}
    return Watched(
        files=files,
        distributions=_distributions({n for m, unit in units for n in _foreign(unit, reach)}),
        unfollowed=sorted(found, key=lambda place: (place.file, place.line, place.what)),
    )


def _foreign(unit: Unit, reach: Reach) -> Iterator[str]:
    """Give the outermost names of the modules that a statement imports and that are not own."""
    for found in unit.imports:
        name = found.module.partition(".")[0]
        if name not in sys.stdlib_module_names and not reach.modules.find(name):
            yield name


def _distributions(names: set[str]) -> dict[str, str]:
    by_module = importlib.metadata.packages_distributions() if names else {}
    found = {distribution for name in names for distribution in by_module.get(name, ())}
    return {name: importlib.metadata.version(name) for name in sorted(found)}


def _unfollowed(module: LocalModule, unit: Unit, reach: Reach) -> Iterator[Unfollowed]:
    file = module.written(reach.modules.folder)
    for node in ast.walk(unit.node):
        what = _other_code(node)
        if what:
            yield Unfollowed(file, getattr(node, "lineno", unit.first), what)


def _other_code(node: ast.AST) -> str | None:
    match node:
        case ast.Call(func=ast.Name(id=name)) if name in _RUN_TEXT:
            return name
        case ast.Call(func=ast.Name(id=name), args=[_, key, *_]) if name in _BY_NAME:
            return (
                None if isinstance(key, ast.Constant) else f"{name} with a name made at run time"
            )
        case ast.Import(names=[ast.alias(name=name)]) | ast.ImportFrom(module=str(name)):
            library = name.partition(".")[0]
            return library if library in _OTHER_CODE else None
        case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="system" | "popen")):
            return "os.system"
        case ast.Attribute(attr=name) | ast.Name(id=name) if name in _TEXT_OF_CODE:
            return f"{name}, of which comments, docstrings and type hints do not count"
    return None
