"""A table on a terminal: as many of its columns as fit, and the names of the others."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from psyflow.results.text.digits import one_line
from psyflow.results.text.view import Shown, View
from psyflow.widths import cut_to, width_of

__all__ = ["grid_lines", "terminal_width"]

_GAP = 2
_NARROWEST, _WIDEST = 40, 200
_LONGEST_CELL = 40
_FOR_PARAMETERS = 0.6
_MOST_NAMED = 3
"""Lines of names, or of what is the same in all rows."""


@dataclass(frozen=True)
class _Column:
    shown: Shown
    cells: list[str]
    is_right: bool
    width: int


def terminal_width() -> int:
    """Return how many characters a line may have: where nobody says it, a wide one."""
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return _WIDEST
    return min(_WIDEST, max(_NARROWEST, shutil.get_terminal_size().columns))


def grid_lines(
    view: View,
    width: int,
    n_first: int | None = None,
    between: str = "…",
    where: str = "in all rows",
) -> list[str]:
    """Return the lines of a table.

    Parameters
    ----------
    view : View
    width : int
        How many characters a line may have.
    n_first : int, optional
        After how many rows some are left out.
    between : str
        The line that stands for these.
    where : str
        In which rows `View.constants` are the same.
    """
    columns, left_out = _fitting(view, width)
    lines = [*_constants(view, width, where)] if view.constants else []
    lines += [*_rows(columns, n_first, between)]
    if left_out:
        names = ", ".join(one_line(shown.name) for shown in islice(left_out, width))
        is_one = len(left_out) == 1
        what = "column, which does" if is_one else "columns, which do"
        said = f"{len(left_out)} more {what} not fit: {names}"
        lines += _paragraph(said, width, f"see some of {len(left_out)}: --columns")
    return lines


def _fitting(view: View, width: int) -> tuple[list[_Column], list[Shown]]:
    """Return the columns that fit, and the others: parameters shall not keep all outputs out."""
    varying = view.varying
    taken: dict[str, _Column] = {}
    room = _take(view, [s for s in varying if s.is_parameter], int(width * _FOR_PARAMETERS), taken)
    room += width - int(width * _FOR_PARAMETERS)
    room = _take(view, [s for s in varying if not s.is_parameter], room, taken)
    _take(view, [s for s in varying if s.name not in taken], room, taken)
    if not taken and varying:
        taken[varying[0].name] = _column(view, varying[0], width)
    return (
        [taken[shown.name] for shown in varying if shown.name in taken],
        [shown for shown in varying if shown.name not in taken],
    )


def _take(view: View, columns: Sequence[Shown], room: int, taken: dict[str, _Column]) -> int:
    """Take the columns that have room, and return what room is left."""
    for shown in columns:
        if room < 1 + _GAP:
            break
        column = _column(view, shown, _LONGEST_CELL)
        needed = column.width + _GAP * bool(taken)
        if needed <= room:
            taken[shown.name] = column
            room -= needed
    return room


def _column(view: View, shown: Shown, longest: int) -> _Column:
    cells, is_right = view.texts(shown.name)
    whole = [cut_to(text, longest) for text in (one_line(shown.title), *cells)]
    return _Column(shown, whole, is_right, max(map(width_of, whole)))


def _rows(columns: Sequence[_Column], n_first: int | None, between: str) -> Iterator[str]:
    gap = " " * _GAP
    padded = [[_padded(cell, column) for cell in column.cells] for column in columns]
    for number, cells in enumerate(zip(*padded, strict=True)):
        yield gap.join(cells).rstrip()
        if number == 0:
            yield gap.join("─" * column.width for column in columns)
        if number == n_first:
            yield between


def _padded(cell: str, column: _Column) -> str:
    space = " " * (column.width - width_of(cell))
    return space + cell if column.is_right else cell + space


def _constants(view: View, width: int, where: str) -> Iterator[str]:
    said = (
        f"{one_line(name)} = {cut_to(text, _LONGEST_CELL)}"
        for name, text in islice(view.constants.items(), width)
    )
    text = f"The same {where}: {', '.join(said)}"
    yield from _paragraph(text, width, f"{len(view.constants)} columns in all")
    yield ""


def _paragraph(text: str, width: int, rest: str) -> list[str]:
    """Return a text in a few lines, the last of which says that there is more if there is."""
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".lstrip()
        if width_of(longer) <= width:
            lines[-1] = longer
        elif len(lines) == _MOST_NAMED:
            return [*lines, f"… ({rest})"]
        else:
            lines += _pieces(word, width)
    return lines


def _pieces(word: str, width: int) -> list[str]:
    """Return a word in as many pieces as it takes: who has to type it has to see all of it."""
    pieces = [""]
    for character in word:
        if width_of(pieces[-1] + character) > width:
            pieces.append("")
        pieces[-1] += character
    return pieces
