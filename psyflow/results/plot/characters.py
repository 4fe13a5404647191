"""Drawing a picture with characters, for a terminal."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from psyflow.results.extras import needed
from psyflow.results.plot.choose import MOST_COLOURS
from psyflow.results.plot.kinds import Floats
from psyflow.results.plot.levels import Levels, number_texts
from psyflow.results.plot.picture import Marks, Picture
from psyflow.results.plot.shades import shaded
from psyflow.texts import printable

__all__ = ["Terminal", "in_characters"]

_COLOURS = (25, 166, 36, 175, 178, 74, 245, 227)
"""Of 256, those next to `psyflow.results.plot.theme.COLOURS`; grey for black."""
_SIGNS = "ox+*#@%="
_N_TICKS = 5
_MOST_BARS = 20
_MOST_DOTS = 60
_MOST_TEXT = 20
_LEAST_WIDTH, _LEAST_HEIGHT = 30, 8
_ASCII = str.maketrans("┌┐└┘─│┤├┬┴┼·░▒▓█●…", "++++-|+++++..:+#o~")


@dataclass(frozen=True)
class Terminal:
    """What a terminal can show.

    Parameters
    ----------
    width, height : int
        In characters.
    has_colours : bool
    has_unicode : bool
    """

    width: int = 80
    height: int = 24
    has_colours: bool = False
    has_unicode: bool = True


def in_characters(picture: Picture, terminal: Terminal) -> str:
    """Return a picture in lines of characters, no wider than a terminal.

    Raises
    ------
    UsageError
        If plotext is not installed.
    """
    board = needed("plotext")
    width = max(terminal.width, _LEAST_WIDTH)
    height = max(terminal.height, _LEAST_HEIGHT)
    parts = []
    for row, col in picture.panels():
        title = _title(picture, row, col)
        if picture.design.kind == "heatmap":
            parts.append(shaded(picture, row, col, width, height, title))
        else:
            panel = _Panel(board, picture, terminal, title)
            parts.append(panel.drawn(row, col, width, height))
    key = _key(picture, terminal)
    text = "\n".join([*parts, *([key] if key else [])])
    return text if terminal.has_unicode else text.translate(_ASCII)


def _title(picture: Picture, row: int, col: int) -> str:
    codes = {"row": row, "col": col}
    texts = [
        f"{picture.levels[role].name} = {picture.levels[role].texts()[code]}"
        for role, code in codes.items()
        if code >= 0
    ]
    return printable(", ".join(texts))


def _sign(picture: Picture, number: int, terminal: Terminal) -> str:
    is_told_by_colour = terminal.has_colours and number < len(_COLOURS)
    if len(_series_names(picture)) <= 1 or is_told_by_colour:
        return "braille" if terminal.has_unicode else "o"
    return _SIGNS[number % len(_SIGNS)]


def _series_names(picture: Picture) -> list[str]:
    """Return what series are called, in the order of their numbers."""
    there = [picture.levels[role] for role in ("hue", "style") if role in picture.levels]
    if not there or (len(there[0]) > MOST_COLOURS and "hue" in picture.levels):
        return []
    names = [""]
    for levels in there:
        said = [printable(f"{levels.name} = {text}") for text in levels.texts()]
        names = [f"{name}, {one}".removeprefix(", ") for name in names for one in said]
    return names


def _key(picture: Picture, terminal: Terminal) -> str:
    """Return what the signs and colours of series mean, in lines that fit."""
    names = _series_names(picture)
    if picture.design.kind in ("heatmap", "parallel"):
        return ""
    lines, length = [""], 0
    for number, name in enumerate(names):
        sign = _sign(picture, number, terminal)
        shown = f"{'●' if sign == 'braille' else sign} {name}"
        if length + len(shown) > terminal.width - 2:
            lines.append("")
            length = 0
        length += len(shown) + 3
        lines[-1] += f"   {_coloured(shown, number, terminal)}"
    return "\n".join(lines) if names else ""


def _coloured(text: str, number: int, terminal: Terminal) -> str:
    if not terminal.has_colours:
        return text
    return f"\x1b[38;5;{_COLOURS[number % len(_COLOURS)]}m{text}\x1b[0m"


class _Panel:
    """One panel, drawn by plotext, which has one board for the whole process."""

    def __init__(self, board: Any, picture: Picture, terminal: Terminal, title: str) -> None:
        self._board = board
        self._picture = picture
        self._terminal = terminal
        self._title = title
        self._x: list[Floats] = []
        self._y: list[Floats] = []

    def drawn(self, row: int, col: int, width: int, height: int) -> str:
        board, picture = self._board, self._picture
        board.clear_figure()
        board.theme("clear")
        board.plot_size(width, height)
        draw = {"hist": self._bars, "box": self._boxes, "parallel": self._strands}.get(
            picture.design.kind, self._points
        )
        for hue, style, marks in picture.series(row, col):
            n_styles = len(picture.levels["style"]) if "style" in picture.levels else 1
            draw(marks, max(hue, 0) * n_styles + max(style, 0))
        self._set_up()
        text = str(board.build())
        board.clear_figure()
        lines = text if self._terminal.has_colours else str(board.uncolorize(text))
        return "\n".join(line.rstrip() for line in lines.rstrip("\n").split("\n"))

    # -- marks ------------------------------------------------------------------------------------

    def _points(self, marks: Marks, number: int) -> None:
        is_line = self._picture.design.kind == "line" and self._picture.levels["x"].is_ordered
        x, y = self._beside(_floats(marks["x"]), number), _floats(marks["y"])
        if "low" in marks:
            self._spread(x, _floats(marks["low"]), _floats(marks["high"]), number)
        sign = _sign(self._picture, number, self._terminal)
        if sign == "braille" and not (is_line and len(x) > 1) and len(x) <= _MOST_DOTS:
            sign = "●"
        self._add(x, y, number, sign, is_line=is_line)

    def _beside(self, x: Floats, number: int) -> Floats:
        """Return places of categories, those of each series beside those of the others."""
        if self._picture.levels["x"].is_ordered and self._picture.design.kind != "box":
            return x
        n = max(1, len(_series_names(self._picture)))
        return x + 0.7 * ((number + 0.5) / n - 0.5)

    def _spread(self, x: Floats, low: Floats, high: Floats, number: int) -> None:
        if len(x) > _MOST_BARS:
            for edge in (low, high):
                self._add(x, edge, number, "·", is_line=False)
            return
        for place, bottom, top in zip(x, low, high, strict=True):
            ends = np.array([bottom, top])
            self._add(np.array([place, place]), ends, number, "│", is_line=True)

    def _boxes(self, marks: Marks, number: int) -> None:
        x = self._beside(_floats(marks["x"]), number)
        for place in range(len(x)):
            for low, high, sign in (("whisker_low", "whisker_high", "│"), ("low", "high", "█")):
                ends = np.array([marks[low][place], marks[high][place]], dtype=np.float64)
                self._add(np.full(2, x[place]), ends, number, sign, is_line=True)
        self._add(x, _floats(marks["y"]), number, "─", is_line=False)

    def _bars(self, marks: Marks, number: int) -> None:
        x = np.stack([_floats(marks["left"]), _floats(marks["right"])], axis=1).reshape(-1)
        y = np.repeat(_floats(marks["count"]), 2)
        steps = np.concatenate([x[:1], x, x[-1:]]), np.concatenate([[0.0], y, [0.0]])
        sign = _sign(self._picture, number, self._terminal)
        self._add(*steps, number, sign, is_line=True)

    def _strands(self, marks: Marks, number: int) -> None:
        del number  # they are too many to have signs of their own
        sign = _sign(self._picture, 0, self._terminal)
        heights = []
        for name, levels in self._picture.levels.items():
            low, high = levels.places[0], levels.places[-1]
            span = high - low or 1.0
            heights.append((_floats(marks[name]) - low) / span)
        for strand in np.stack(heights, axis=1)[:200]:
            self._add(np.arange(len(strand), dtype=np.float64), strand, 0, sign, is_line=True)

    def _add(self, x: Floats, y: Floats, number: int, sign: str, *, is_line: bool) -> None:
        """Draw points, or the lines between them; what is not finite is a gap."""
        at = self._scaled("x", x), self._scaled("y", y)
        is_there = np.isfinite(at[0]) & np.isfinite(at[1])
        look = {"marker": sign}
        if self._terminal.has_colours and len(_series_names(self._picture)) > 1:
            look["color"] = _COLOURS[number % len(_COLOURS)]  # type: ignore[assignment]
        act = self._board.plot if is_line else self._board.scatter
        for part in _stretches(is_there):
            act(at[0][part].tolist(), at[1][part].tolist(), **look)
        self._x.append(at[0][is_there])
        self._y.append(at[1][is_there])

    # -- axes -------------------------------------------------------------------------------------

    def _scaled(self, letter: str, places: Floats) -> Floats:
        forth, _ = _scale(self._scale_of(letter))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(forth(places), dtype=np.float64)

    def _scale_of(self, letter: str) -> str:
        return self._picture.x_scale if letter == "x" else self._picture.y_scale

    def _set_up(self) -> None:
        board, picture = self._board, self._picture
        design = picture.design
        if self._title:
            board.title(self._title)
        if design.kind == "parallel":
            names = [printable(levels.name) for levels in picture.levels.values()]
            board.xticks(list(range(len(names))), names)
            board.yticks([0, 1], ["low", "high"])
            return
        name = design.value if design.kind == "hist" else picture.levels["x"].name
        x_levels = picture.levels.get("value" if design.kind == "hist" else "x")
        board.xlabel(_label(design.label(name)))
        board.ylabel("count" if design.kind == "hist" else _label(design.label(design.value)))
        board.xticks(*self._ticks("x", self._x, x_levels))
        if x_levels is not None and self._is_category(x_levels):
            board.xlim(-0.5, len(x_levels) - 0.5)
        board.yticks(*self._ticks("y", self._y, None))

    def _is_category(self, levels: Levels) -> bool:
        return not levels.is_ordered or self._picture.design.kind == "box"

    def _ticks(
        self, letter: str, parts: Sequence[Floats], levels: Levels | None
    ) -> tuple[list[float], list[str]]:
        """Return where ticks are, and what they say."""
        is_category = levels is not None and self._is_category(levels)
        if levels is not None and (is_category or len(levels) <= 2 * _N_TICKS):
            places = np.arange(len(levels), dtype=np.float64) if is_category else levels.places
            texts = [printable(text)[:_MOST_TEXT] for text in levels.texts()]
            room = max(map(len, texts)) + 1
            step = -(-len(texts) * room // max(self._terminal.width - 12, room))
            return self._scaled(letter, places[::step]).tolist(), texts[::step]
        places = np.concatenate([np.zeros(0), *parts])
        if not len(places):
            return [], []
        at = np.linspace(places.min(), places.max(), _N_TICKS)
        _, back = _scale(self._scale_of(letter))
        values = np.asarray(back(at), dtype=np.float64)
        if levels is not None and levels.kind == "date":
            return at.tolist(), [_day(value) for value in values.tolist()]
        return at.tolist(), _rounded(values)


def _label(text: str) -> str:
    return printable(" ".join(text.split()))


def _floats(column: Any) -> Floats:
    return np.asarray(column, dtype=np.float64)


def _rounded(values: Floats) -> list[str]:
    texts = [f"{value:.3g}" for value in values.tolist()]
    return texts if len(set(texts)) == len(texts) else number_texts(values)


def _day(place: float) -> str:
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=round(place))).isoformat()


def _scale(name: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return what brings numbers onto a scale, and back."""
    if name == "log":
        return np.log10, lambda at: 10.0**at
    if name == "symlog":
        return np.arcsinh, np.sinh
    return (lambda places: places), (lambda at: at)


def _stretches(is_there: Any) -> Iterator[slice]:
    """Yield the places of what is there without a gap."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_there.astype(np.int8), [0]])))
    for start, stop in edges.reshape(-1, 2).tolist():
        yield slice(start, stop)
