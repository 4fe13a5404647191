"""One word for one thing: texts keep to the words of docs/architecture.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import psyflow

SOURCES = Path(psyflow.__file__).parent
ROOMS = ("cli", "mapper", "notebook", "record", "report", "results", "runs", "work")
ENDINGS = "done|failed|skipped|finished|completed|running|queued"
BEFORE = "(are |is |were |was )?"
RULED_OUT = {
    rf"\b(rows?|psets?|parameter sets?)( of \S+)? {BEFORE}({ENDINGS})\b": "only items have states",
    r"\bitems? (are |were )?(finished|completed|succeeded)\b": "items are done",
    r"\b(tasks?|steps?) (are |is )?(queued|held)\b": "jobs are queued",
}
KEPT = {
    "rows completed.": "the first line of psy status, which programs have always read",
    "the first parameter set was skipped": "psy test has no plan, and so no items",
    "the first parameter set failed": "psy test has no plan, and so no items",
}
_HOLE = "…"


def texts_in(source: str) -> Iterator[tuple[int, str]]:
    """Yield the texts in a module that are no docstrings, with their lines."""
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    joined = (node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr))
    skipped = docstrings | {id(part) for node in joined for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (p.value if isinstance(p, ast.Constant) else _HOLE for p in node.values)
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and id(node) not in skipped:
            yield node.lineno, str(node.value)


def ruled_out(text: str) -> Iterator[str]:
    """Yield why a text has other words than it should."""
    said = " ".join(text.split())
    for kept in KEPT:
        said = said.replace(kept, "")
    yield from (why for words, why in RULED_OUT.items() if re.search(words, said))


def test_texts_keep_to_the_words_of_the_glossary() -> None:
    found = [
        f"{path.relative_to(SOURCES)}:{line}: {text!r}: {why}"
        for room in ROOMS
        for path in sorted((SOURCES / room).rglob("*.py"))
        for line, text in texts_in(path.read_text())
        for why in ruled_out(text)
    ]
    assert found == []


def test_what_is_looked_for_is_found() -> None:
    source = (
        'def f(n):\n    """rows done"""\n    return f"{n} of 9 " "rows done", "rows completed."\n'
    )
    ((line, text),) = [told for told in texts_in(source) if any(ruled_out(told[1]))]
    assert (line, text) == (3, f"{_HOLE} of 9 rows done")
    for wrong in ("3 psets failed", "4 parameter sets are done", "9 items finished"):
        assert any(ruled_out(wrong)), wrong
    assert not any(ruled_out("12 of 20 items done, 12 rows in result.pkl"))
