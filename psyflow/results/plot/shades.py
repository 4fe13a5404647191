"""A heat map in shades of characters."""

from __future__ import annotations

import numpy as np

from psyflow.results.plot.kinds import Floats
from psyflow.results.plot.levels import Levels, number_texts
from psyflow.results.plot.picture import Picture
from psyflow.texts import printable

__all__ = ["shaded"]

_SHADES = "·░▒▓█"
_MOST_TEXT = 12


def shaded(picture: Picture, row: int, col: int, width: int, height: int, title: str) -> str:
    """Return a heat map in lines, its smallest values faint and its largest ones full.

    Parameters
    ----------
    picture : Picture
    row, col : int
        The panel.
    width, height : int
        In characters; cells that do not fit are averaged.
    title : str
    """
    x, vertical = picture.levels["x"], picture.levels["vertical"]
    cells = np.full((len(vertical), len(x)), np.nan)
    for _, _, marks in picture.series(row, col):
        at = np.asarray(marks["vertical"], dtype=np.int64), np.asarray(marks["x"], dtype=np.int64)
        cells[at] = marks["y"]
    texts = [printable(text)[:_MOST_TEXT] for text in vertical.texts()]
    margin = max(map(len, texts))
    n_lines, n_cells = min(len(vertical), height - 5), min(len(x), width - margin - 3)
    each = max(1, min((width - margin - 3) // n_cells, 6))
    grid = _averaged(_averaged(cells, n_lines).T, n_cells).T
    values = np.asarray(picture.marks["y"], dtype=np.float64)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    lines = [title] if title else []
    lines.append(printable(picture.design.label(vertical.name)))
    for line in reversed(range(n_lines)):
        said = texts[line * len(vertical) // n_lines]
        shown = "".join(_shade(value, low, high) * each for value in grid[line])
        lines.append(f"{said:>{margin}} │{shown}│")
    lines += _below(picture, x, margin, n_cells * each)
    ends = number_texts(np.array([low, high])) if low < high else [f"{low:g}", f"{high:g}"]
    name = printable(picture.design.label(picture.design.value))
    return "\n".join([*lines, f"{name}: {ends[0]} {_SHADES} {ends[1]}"])


def _below(picture: Picture, x: Levels, margin: int, width: int) -> list[str]:
    """Return the lines below the cells: the ends of the horizontal axis, and its name."""
    texts = [printable(text)[:_MOST_TEXT] for text in x.texts()]
    room = max(1, width - len(texts[0]))
    ends = f"{texts[0]}{texts[-1] if len(texts) > 1 else '':>{room}}"
    space = " " * (margin + 2)
    name = printable(picture.design.label(x.name))
    return [f"{space}{ends}".rstrip(), f"{space}{name:^{width}}".rstrip()]


def _shade(value: float, low: float, high: float) -> str:
    if np.isnan(value):
        return " "
    share = (value - low) / (high - low) if high > low else 1.0
    return _SHADES[min(int(share * len(_SHADES)), len(_SHADES) - 1)]


def _averaged(cells: Floats, n_lines: int) -> Floats:
    """Return so many lines, each an average of those next to it."""
    of_line = np.arange(len(cells)) * n_lines // len(cells)
    is_there = ~np.isnan(cells)
    total = np.zeros((n_lines, cells.shape[1]))
    n = np.zeros((n_lines, cells.shape[1]))
    np.add.at(total, of_line, np.where(is_there, cells, 0.0))
    np.add.at(n, of_line, is_there)
    averages = np.full(total.shape, np.nan)
    np.divide(total, n, out=averages, where=n > 0)
    return averages
