"""The table of docs/values.md: how each store keeps the values of docs/identity.md.

``python -m tests.store.values_table`` writes it anew.
"""

from __future__ import annotations

import re
import sys
import tempfile
import types
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from psyflow.exceptions import UnstableValueError, UnsupportedDataError
from psyflow.pspace.keys import pset_key
from psyflow.store import H5Store, NpzStore, PickleStore, Store

DOCS = Path(__file__).parents[2] / "docs"
IDENTITY, VALUES = DOCS / "identity.md", DOCS / "values.md"
STORES: tuple[Store, ...] = (PickleStore(), NpzStore(), H5Store())
HEADING = ("value", "key", "`PickleStore`", "`NpzStore`", "`H5Store`")
_CELL = r" `((?:[^`])*)` "


def study() -> dict[str, Any]:
    """Return the names of the module `study` that the page shows; it stays imported."""
    block = r"at the top of the module `study`:\n\n<!-- .* -->\n```python\n(.*?)```"
    (code,) = re.findall(block, IDENTITY.read_text(encoding="utf-8"), re.DOTALL)
    module = sys.modules["study"] = types.ModuleType("study")
    exec(code, module.__dict__)
    return module.__dict__


def expressions() -> list[str]:
    """Return what is on the left of the page's tables, each once."""
    page = IDENTITY.read_text(encoding="utf-8")
    pairs = re.findall(rf"^\|{_CELL}\|{_CELL}\| (?:equal|different) \|$", page, re.MULTILINE)
    refused = re.findall(rf"^\|{_CELL}\| it .* \|$", page, re.MULTILINE)
    cells = [left for left, _ in pairs] + refused
    return list(dict.fromkeys(cell.replace("\\|", "|") for cell in cells))


def lines() -> Iterator[str]:
    """Yield the lines of the table."""
    names = study()
    yield f"| {' | '.join(HEADING)} |"
    yield "|---" * len(HEADING) + "|"
    for expression in expressions():
        shown = expression.replace("|", "\\|")
        cells = [f"`{shown}`", _key(expression, names)]
        cells += [_kept(store, eval(expression, names)) for store in STORES]
        yield f"| {' | '.join(cells)} |"


def _key(expression: str, names: dict[str, Any]) -> str:
    try:
        key = pset_key({"a": eval(expression, names)})
    except UnstableValueError:
        return "none"
    return f"`{key:032x}`"[:9] + "`" if key else "absent"


def _kept(store: Store, value: Any) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{store.ext}"
        try:
            store.save(path, {"a": [value]})
        except UnsupportedDataError:
            return "refused"
        column = store.load(path)["a"]
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind in "USO":
        column = column.tolist()
    loaded = column[0]
    if _kind(loaded) == _kind(value):
        return "exact"
    assert pset_key({"a": loaded}) == pset_key({"a": value}), value
    return f"`{loaded.dtype if isinstance(loaded, np.generic) else type(loaded).__name__}`"


def _kind(value: Any) -> Any:
    """Return what is the same for values of the same content and the same types throughout."""
    if isinstance(value, list | tuple | set | frozenset):
        return type(value), [
            _kind(part)
            for part in (value if isinstance(value, list | tuple) else sorted(value, key=repr))
        ]
    if isinstance(value, Mapping):
        return type(value), [(_kind(k), _kind(v)) for k, v in value.items()]
    dtype = getattr(value, "dtype", None)
    try:
        return type(value), dtype, f"{pset_key({'a': value}):x}"
    except UnstableValueError:
        return type(value), dtype, ""


def main() -> None:
    """Write the table into the page."""
    page = VALUES.read_text(encoding="utf-8")
    head = page[: page.index(f"| {HEADING[0]} |")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        VALUES.write_text(head + "\n".join(lines()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
