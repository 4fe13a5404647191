"""Drawing a picture with matplotlib: its panels, its legend, and what is said below."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from psyflow.results.extras import needed
from psyflow.results.plot.axes import set_up_axes
from psyflow.results.plot.colours import Colours
from psyflow.results.plot.picture import Picture
from psyflow.results.plot.series import Panel, draw_panel
from psyflow.results.plot.theme import COLUMN, GREY, TWO_COLUMNS, settings
from psyflow.results.plot.untangle import untangle
from psyflow.results.plot.words import fonts_for, label, shortened, verbatim, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

_LEAST_HEIGHT = 1.35
_CAPTION_SIZE = 5.5
_POINTS = 72.0
_LINE_HEIGHT = 1.25
_LEGEND_LINE = 0.13
_MOST_LEGEND_TEXT = 28
_MOST_TITLE = 40


def draw(picture: Picture, caption: str = "", width: float | None = None) -> Figure:
    """Return a figure, which no window shows, and which changes no setting of matplotlib.

    Parameters
    ----------
    picture : Picture
    caption : str
        What is said below it.
    width : float, optional
        In inches; that of one or two columns of a paper if None.

    Raises
    ------
    UsageError
        If matplotlib is not installed.
    """
    needed("matplotlib")
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fonts = fonts_for([caption, *_texts_of(picture)])
    with matplotlib.rc_context(settings() | {"font.sans-serif": fonts}):
        n_rows, n_cols = _shape(picture)
        wide = width if width is not None else COLUMN if n_cols <= 2 else TWO_COLUMNS
        figure = Figure(figsize=(wide, 1.0), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        height = _draw_caption(figure, caption, wide)
        panels = _panels(figure, picture, n_rows, n_cols)
        colours = Colours(picture)
        for panel in panels:
            draw_panel(panel, picture, colours)
        height += _draw_key(figure, picture, colours, panels, wide)
        is_square = picture.design.kind == "heatmap" or n_cols > 1
        aspect = 1.0 if n_cols == 2 else 0.8 if is_square else 0.68
        each = max(_LEAST_HEIGHT, wide / n_cols * aspect)
        figure.set_size_inches(wide, n_rows * each + height)
        untangle(figure, [panel.axes for panel in panels])
    return figure


def _texts_of(picture: Picture) -> Iterator[str]:
    """Yield all texts of a user that may be in a picture."""
    meaning = picture.design.results.meaning
    yield meaning.label(picture.design.value)
    for levels in picture.levels.values():
        yield meaning.label(levels.name)
        if not levels.is_ordered and len(levels) < 1000:
            yield from levels.texts()


def _shape(picture: Picture) -> tuple[int, int]:
    """Return how many rows and columns of panels there are: side by side as long as they fit."""
    n_rows = len(picture.levels["row"]) if "row" in picture.levels else 1
    n_cols = len(picture.levels["col"]) if "col" in picture.levels else 1
    if "row" in picture.levels or n_cols <= 3:
        return n_rows, n_cols
    per_line = 2 if n_cols == 4 else 3 if n_cols in (5, 6, 9) else 4
    return math.ceil(n_cols / per_line), per_line


def _panels(figure: Figure, picture: Picture, n_rows: int, n_cols: int) -> list[Panel]:
    is_shared = picture.design.kind != "parallel"
    grid: Any = figure.subplots(n_rows, n_cols, squeeze=False, sharex=is_shared, sharey=is_shared)
    places: list[Axes] = [axes for line in grid for axes in line]
    codes = list(picture.panels())
    panels = [Panel(axes, *code) for axes, code in zip(places, codes, strict=False)]
    for axes in places[len(codes) :]:
        axes.remove()
    for number, panel in enumerate(panels):
        set_up_axes(panel.axes, picture)
        is_last_row = number + n_cols >= len(panels)
        if not is_last_row:
            panel.axes.set_xlabel("")
        panel.axes.tick_params(labelbottom=is_last_row, labelleft=number % n_cols == 0)
        if number % n_cols:
            panel.axes.set_ylabel("")
        title = ", ".join(_titles(picture, panel))
        if title:
            panel.axes.set_title(title, pad=3)
    return panels


def _titles(picture: Picture, panel: Panel) -> Iterator[str]:
    meaning = picture.design.results.meaning
    for role, code in (("row", panel.row), ("col", panel.col)):
        if code >= 0:
            levels = picture.levels[role]
            text = f"{meaning.labels.get(levels.name, levels.name)} = {levels.texts()[code]}"
            unit = meaning.units.get(levels.name)
            yield verbatim(shortened(text + (f" {unit}" if unit else ""), _MOST_TITLE))


def _draw_caption(figure: Figure, caption: str, width: float) -> float:
    """Write below the panels, and return the height that this takes, in inches."""
    if not caption:
        return 0.0
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(size=_CAPTION_SIZE)
    room = width * _POINTS * 0.96

    def fits(line: str) -> bool:
        return float(TextPath((0, 0), verbatim(line), prop=font).get_extents().x1) <= room

    lines = "\n".join(map(verbatim, wrapped(caption, fits).split("\n")))
    figure.supxlabel(
        lines, x=0.02, ha="left", fontsize=_CAPTION_SIZE, color=GREY, linespacing=_LINE_HEIGHT
    )
    n_lines = lines.count("\n") + 1
    return n_lines * _CAPTION_SIZE * _LINE_HEIGHT / _POINTS + 0.05


def _draw_key(
    figure: Figure, picture: Picture, colours: Colours, panels: list[Panel], width: float
) -> float:
    """Draw what colours and lines mean, and return the height that this takes, in inches."""
    mapped = next((panel.mapped for panel in panels if panel.mapped is not None), None)
    if mapped is None:
        mapped = colours.mapped()
    if mapped is not None:
        name = colours.name or picture.design.value
        bar = figure.colorbar(mapped, ax=[p.axes for p in panels], pad=0.02, aspect=30)
        bar.outline.set_linewidth(0.4)
        bar.set_label(label(picture.design.results.meaning, name))
    handles, texts = colours.key()
    if not handles:
        return 0.0
    # As many columns as fit, and no more than so many lines need.
    lines = (-(-len(handles) // n) for n in range(min(len(handles), 8), 0, -1))
    for n_columns in dict.fromkeys(-(-len(handles) // n) for n in lines):
        legend = figure.legend(
            handles,
            [str(number) for number in range(len(handles))],
            loc="outside upper left",
            ncols=n_columns,
            title=colours.title(),
            alignment="left",
        )
        for text, said in zip(legend.get_texts(), texts, strict=True):
            text.set_text(verbatim(shortened(said, _MOST_LEGEND_TEXT)))
        if n_columns == 1 or legend.get_window_extent().width < width * figure.dpi * 0.97:
            break
        legend.remove()
    n_lines = math.ceil(len(handles) / n_columns) + bool(colours.title())
    return n_lines * _LEGEND_LINE + 0.08
