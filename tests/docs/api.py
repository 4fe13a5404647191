"""The page docs/api.md: what is public, with the first line of each docstring.

``python -m tests.docs.api`` writes it anew.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType

from tests.test_public import OF_AUTHORS, PUBLIC

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
HEAD = """\
# Public names

What psyflow promises; whatever else a module holds is private, and may be another tomorrow. The
docstring of each name tells its parameters, errors and units, with an example: type
`help(psyflow.Param)`, or `python -m pydoc psyflow.Param`. The last two modules are for authors of
[stores](stores.md#a-store-of-your-own) and [schedulers](schedulers.md#another-scheduler).
"""


def page() -> str:
    """Return the page."""
    return "\n".join([HEAD, *_sections({**PUBLIC, **OF_AUTHORS})])


def _sections(modules: dict[str, str]) -> Iterator[str]:
    for name, names in modules.items():
        module = importlib.import_module(name)
        yield f"## {name}\n\n{_first_line(module.__doc__)}\n\n| name | |\n|---|---|"
        yield from (f"| `{public}` | {_summary(module, public)} |" for public in names.split())
        yield ""


def _summary(module: ModuleType, name: str) -> str:
    thing = getattr(module, name)
    if isinstance(thing, ModuleType):
        return _first_line(thing.__doc__)
    if not getattr(thing, "__module__", "").startswith("psyflow"):
        return _first_line(_text_below(module, name))
    if thing.__name__ != name:
        return f"`{thing.__name__}`, by another name."
    return _first_line(thing.__doc__)


def _text_below(module: ModuleType, name: str) -> str:
    """Return the text below a variable, in this module or in the one that it is imported from."""
    body = ast.parse(inspect.getsource(module)).body
    for statement, below in pairwise(body):
        match statement, below:
            case (
                ast.Assign(targets=[ast.Name(id=found)])
                | ast.AnnAssign(target=ast.Name(id=found)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ) if found == name:
                return text
            case ast.ImportFrom(module=str(home), names=names), _ if any(
                alias.name == name for alias in names
            ):
                return _text_below(importlib.import_module(home), name)
    raise AssertionError(f"{module.__name__}.{name} has no text below it")


def _first_line(doc: str | None) -> str:
    line = (doc or "").strip().partition("\n")[0]
    return line.replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
