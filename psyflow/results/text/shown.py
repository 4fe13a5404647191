"""How a table is shown where it stands: a few of its rows and columns, as text and as HTML."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from psyflow.columns import Column, take
from psyflow.exceptions import UnstableValueError
from psyflow.pspace.keys import column_keys
from psyflow.reprs import safe_repr
from psyflow.texts import printable

if TYPE_CHECKING:
    from psyflow.results.table import Results

__all__ = ["as_html", "as_text", "value_text"]

_GAP = "…"
_UNEVEN = "columns that differ in length"
_ROWS = 6
_COLUMNS = 6
_TEXT = 24
_RAW = 200
_NAMED = 8
# What varies is told from so many rows: some that follow each other, some from all over.
_LOOKED_AT = 100


def as_text(results: Results) -> str:
    """Return what `repr` shows: counts, what is varied, and the first and last rows."""
    if _is_uneven(results):
        return f"Results: {_UNEVEN}"
    rows = _cells(results)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    if results.n_rows > 2 * _ROWS and lines:
        lines.insert(1 + _ROWS, _GAP)
    return "\n".join([f"Results: {_about(results)}", *lines])


def as_html(results: Results) -> str:
    """Return what notebooks show: the same as a table of HTML."""
    if _is_uneven(results):
        return f"<div><p>Results: {_UNEVEN}</p></div>"
    head, *rows = _cells(results) or [[]]
    lines = ["<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows]
    if results.n_rows > 2 * _ROWS and head:
        lines.insert(_ROWS, f'<tr><td colspan="{len(head)}">{_GAP}</td></tr>')
    names = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    return (
        f"<div><p>Results: {html.escape(_about(results))}</p>"
        f"<table><thead><tr>{names}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def value_text(value: Any) -> str:
    r"""Return a value as one short line without control characters.

    Examples
    --------
    >>> [value_text(value) for value in (2.0, 1 / 3, "a\nb", [1, 2])]
    ['2.0', '0.333333', 'a b', '[1, 2]']
    >>> value_text(np.datetime64("2026-11-29T23:12:29.541662693"))
    '2026-11-29T23:12:29.541662693'
    """
    if isinstance(value, np.datetime64 | np.timedelta64):
        return str(value)  # as Python's own, those of nanoseconds are mere numbers
    if isinstance(value, float | np.floating):
        return _number_text(float(value))
    plain = value.item() if isinstance(value, np.generic) else value
    return _short(plain if isinstance(plain, str) else safe_repr(plain, _RAW))


def _number_text(value: float) -> str:
    short = f"{value:.6g}"
    return f"{short}.0" if short.lstrip("-").isdigit() else short


def _short(text: str) -> str:
    is_cut = len(text) > _RAW
    text = printable(" ".join(text[:_RAW].split()))
    return text if len(text) <= _TEXT and not is_cut else f"{text[: _TEXT - 1]}{_GAP}"


def _is_uneven(results: Results) -> bool:
    return len(set(map(len, results.values()))) > 1


def _about(results: Results) -> str:
    """Return how many rows there are, of how many, and what is varied in them."""
    text = f"{results.n_rows} row{'s' * (results.n_rows != 1)}"
    if len(results) > 2 * _COLUMNS:
        text += f" of {len(results)} columns"
    if results.task is not None:
        text += f"; {results.n_done} of {results.n_items} items of {_short(results.task)} are done"
    names = _varied({name: results[name] for name in results.parameters[:_NAMED]}, results.n_rows)
    if names:
        more = f", {_GAP}" if len(results.parameters) > _NAMED else ""
        text += f"; varied: {', '.join(map(_short, names))}{more}"
    return text


def _varied(columns: Mapping[str, Column], n_rows: int) -> list[str]:
    """Return the names of the columns that are not the same in all rows that are looked at."""
    if n_rows < 2:
        return []
    spread = np.linspace(0, n_rows - 1, _LOOKED_AT).astype(np.int64)
    rows = np.unique(np.concatenate([np.arange(min(n_rows, _LOOKED_AT)), spread]))
    return [name for name, column in columns.items() if _differs(take(column, rows))]


def _differs(column: Column) -> bool:
    try:
        keys = column_keys({"": column}, len(column))
    except UnstableValueError:
        return True  # Nothing tells whether such values are the same.
    return bool((keys != keys[0]).any())


def _cells(results: Results) -> list[list[str]]:
    """Return the texts of the names and of the rows that are shown; none without columns."""
    shown = [_column_cells(name, results[name]) for name in _ends(list(results), _COLUMNS)]
    if len(results) > 2 * _COLUMNS:
        shown.insert(_COLUMNS, [_GAP] * len(shown[0]))
    return [list(row) for row in zip(*shown, strict=True)]


def _column_cells(name: str, column: Column) -> list[str]:
    return [_short(name), *(value_text(column[row]) for row in _ends(range(len(column)), _ROWS))]


def _ends(values: Any, n: int) -> Iterator[Any]:
    """Yield the first and the last `n` of some values, or all."""
    if len(values) <= 2 * n:
        yield from values
    else:
        yield from values[:n]
        yield from values[-n:]
