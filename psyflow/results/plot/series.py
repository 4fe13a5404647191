"""The marks of a panel, by the kind of the plot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from psyflow.results.plot.axes import cells_of
from psyflow.results.plot.colours import Colours, colour_bar, light
from psyflow.results.plot.kinds import Floats, Ints
from psyflow.results.plot.levels import Levels, number_texts
from psyflow.results.plot.picture import Marks, Picture
from psyflow.results.plot.theme import COLOUR_MAP, GREY
from psyflow.results.plot.words import label, shortened, verbatim

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

__all__ = ["Panel", "draw_panel"]

_MANY = 2000
_SHARE = 0.8
_DODGE = 7.0
_GOLDEN = 0.6180339887498949


@dataclass
class Panel:
    """A panel, and the levels of rows and columns that it is of.

    Attributes
    ----------
    mapped : ScalarMappable, optional
        What tells a colour bar which number has which colour.
    """

    axes: Axes
    row: int
    col: int
    mapped: ScalarMappable | None = None


def draw_panel(panel: Panel, picture: Picture, colours: Colours) -> None:
    """Draw the marks of a panel."""
    _DRAW[picture.design.kind](panel, picture, colours)


def _draw_points(panel: Panel, picture: Picture, colours: Colours) -> None:
    axes, x = panel.axes, picture.levels["x"]
    for hue, style, marks in picture.series(panel.row, panel.col):
        look = {"color": colours.colour(hue), "linestyle": colours.line(style)}
        if colours.are_bands:
            _draw_band(axes, marks, look)
            continue
        if not x.is_ordered:
            look["linestyle"] = "none"
            marks = {**marks, "x": marks["x"] + _SHARE * colours.place(hue, style)}
        is_aside = x.is_ordered and np.isfinite(picture.marks["low"]).any()
        aside = _aside(axes, colours.place(hue, style) if is_aside else 0.0)
        marker = "" if colours.is_map and x.is_ordered else colours.marker(hue, style)
        look |= {"marker": marker, "transform": aside}
        axes.plot(marks["x"], marks["y"], **look)
        _draw_error_bars(axes, marks, look)
        # What lies aside does not tell the axes where it is.
        for name in ("y", "low", "high"):
            axes.update_datalim(np.stack([marks["x"], marks[name]], axis=1))
        axes.autoscale_view()


def _draw_band(axes: Axes, marks: Marks, look: Mapping[str, Any]) -> None:
    is_large = len(marks["y"]) > _MANY
    axes.plot(marks["x"], marks["y"], rasterized=is_large, **look)
    axes.fill_between(
        marks["x"], marks["low"], marks["high"], color=look["color"], alpha=0.25, linewidth=0,
        rasterized=is_large,
    )  # fmt: skip


def _draw_error_bars(axes: Axes, marks: Marks, look: Mapping[str, Any]) -> None:
    has_bar = np.isfinite(marks["low"]) & np.isfinite(marks["high"])
    if not has_bar.any():
        return
    there = {name: np.asarray(column)[has_bar] for name, column in marks.items()}
    bars = [there["y"] - there["low"], there["high"] - there["y"]]
    axes.errorbar(
        there["x"], there["y"], bars, color=look["color"], linestyle="none", elinewidth=0.8,
        capthick=0.8, transform=look["transform"],
    )  # fmt: skip


def _aside(axes: Axes, place: float) -> Any:
    """Return how a series comes to lie a little beside others, so that its bars can be seen."""
    from matplotlib.transforms import ScaledTranslation

    inches: Any = axes.figure.dpi_scale_trans
    return axes.transData + ScaledTranslation(place * _DODGE / 72, 0, inches)


def _draw_scatter(panel: Panel, picture: Picture, colours: Colours) -> None:
    x = picture.levels["x"]
    for hue, style, marks in _scattered(panel, picture, colours):
        shift = 0.0 if x.is_ordered else _SHARE * colours.place(hue, style)
        width = 0.0 if x.is_ordered else 0.5 * _SHARE / colours.n_series
        n = len(marks["y"])
        look: dict[str, Any] = {"color": colours.colour(hue)}
        if colours.is_map:
            mapped = colours.mapped()
            assert mapped is not None
            codes = np.asarray(marks["hue"], dtype=np.int64)
            look = {"color": mapped.to_rgba(picture.levels["hue"].places[codes])}
        panel.axes.scatter(
            marks["x"] + shift + width * _scatter_of(n),
            marks["y"],
            s=8.0 if n < 500 else 3.0,
            marker=colours.marker(hue, style),
            alpha=0.9 if n < 100 else 0.6 if n < _MANY else 0.3,
            linewidths=0,
            rasterized=n > _MANY,
            **look,
        )


def _scattered(
    panel: Panel, picture: Picture, colours: Colours
) -> Iterator[tuple[int, int, Marks]]:
    """Yield the series of a panel; one with all hues if these are numbers on a colour bar."""
    if not colours.is_map:
        yield from picture.series(panel.row, panel.col)
        return
    marks = picture.marks
    is_here = (marks["row"] == panel.row) & (marks["col"] == panel.col)
    for style in np.unique(marks["style"]).tolist():
        is_one = is_here & (marks["style"] == style)
        yield 0, style, {name: column[is_one] for name, column in marks.items()}


def _scatter_of(n: int) -> Floats:
    """Return places from −½ to ½ beside each other, the same ones every time."""
    places: Floats = np.modf((np.arange(n) + 0.5) * _GOLDEN)[0]
    return places - 0.5


def _draw_boxes(panel: Panel, picture: Picture, colours: Colours) -> None:
    for hue, style, marks in picture.series(panel.row, panel.col):
        colour = colours.colour(hue)
        shift = _SHARE * colours.place(hue, style)
        width = 0.85 * _SHARE / colours.n_series
        names = {"med": "y", "q1": "low", "q3": "high"} | {
            "whislo": "whisker_low",
            "whishi": "whisker_high",
        }
        columns = [np.asarray(marks[name]).tolist() for name in names.values()]
        stats = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
        line = {"color": colour, "linewidth": 0.7, "linestyle": colours.line(style)}
        panel.axes.bxp(
            stats,
            positions=(np.asarray(marks["x"]) + shift).tolist(),
            widths=width,
            patch_artist=True,
            showfliers=False,
            manage_ticks=False,
            boxprops={"facecolor": light(colour), "edgecolor": colour, "linewidth": 0.7},
            medianprops={"color": colour, "linewidth": 1.2},
            whiskerprops=line,
            capprops=line | {"linestyle": "-"},
        )
        far = picture.outliers_of(panel.row, panel.col, hue, style)
        panel.axes.plot(
            far["x"] + shift, far["y"], ".", color=colour, markersize=2.5, markeredgewidth=0
        )
    panel.axes.set_xlim(-0.5, len(picture.levels["x"]) - 0.5)


def _draw_bars(panel: Panel, picture: Picture, colours: Colours) -> None:
    is_category = "value" in picture.levels
    for hue, style, marks in picture.series(panel.row, panel.col):
        colour = colours.colour(hue)
        count = marks["count"]
        if is_category:
            width = _SHARE / colours.n_series
            middles = (marks["left"] + marks["right"]) / 2 + _SHARE * colours.place(hue, style)
            panel.axes.bar(
                middles, count, width * 0.95, color=light(colour), edgecolor=colour,
                linewidth=0.8, linestyle=colours.line(style),
            )  # fmt: skip
            continue
        edges = np.append(marks["left"], marks["right"][-1:])
        if colours.n_series == 1:
            panel.axes.stairs(count, edges, color=light(colour), fill=True)
        panel.axes.stairs(count, edges, color=colour, linewidth=0.9, linestyle=colours.line(style))


def _draw_grid(panel: Panel, picture: Picture, colours: Colours) -> None:
    del colours  # those of the grid are of its values
    x, vertical = picture.levels["x"], picture.levels["vertical"]
    cells = np.full((len(vertical), len(x)), np.nan)
    for _, _, marks in picture.series(panel.row, panel.col):
        cells[_codes(marks["vertical"]), _codes(marks["x"])] = marks["y"]
    mapped = colour_bar(np.asarray(picture.marks["y"], dtype=np.float64))
    panel.mapped = panel.axes.pcolormesh(
        cells_of(x),
        cells_of(vertical),
        np.ma.masked_invalid(cells),
        norm=mapped.norm,
        cmap=COLOUR_MAP,
        rasterized=cells.size > _MANY,
    )
    panel.axes.set_facecolor("#e6e6e6")  # cells without a value
    for spine in panel.axes.spines.values():
        spine.set_visible(True)


def _codes(column: Any) -> Ints:
    return np.asarray(column, dtype=np.int64)


def _draw_strands(panel: Panel, picture: Picture, colours: Colours) -> None:
    del colours  # those of the strands are of their values
    from matplotlib.collections import LineCollection

    axes, levels = panel.axes, picture.levels
    heights = [_heights(np.asarray(picture.marks[name]), of) for name, of in levels.items()]
    points = np.stack(heights, axis=1)
    across = np.broadcast_to(np.arange(len(levels), dtype=np.float64), points.shape)
    values = np.asarray(picture.marks[f"at {picture.design.value}"], dtype=np.float64)
    panel.mapped = colour_bar(values)
    order = np.argsort(values, kind="stable")
    n = len(values)
    lines = LineCollection(
        np.stack([across, points], axis=2)[order],
        colors=panel.mapped.to_rgba(values)[order],
        linewidths=0.8 if n < 200 else 0.4,
        alpha=0.9 if n < 200 else 0.4,
        rasterized=n > _MANY // 4,
    )
    axes.add_collection(lines)
    _set_up_strands(axes, picture)


def _heights(places: Floats, levels: Levels) -> Floats:
    """Return places as heights from 0 to 1, in the middle if there is one only."""
    low, high = levels.places[0], levels.places[-1]
    if low == high:
        return np.full(len(places), 0.5)
    if levels.scale == "log":
        places, low, high = np.log(places), np.log(low), np.log(high)
    heights: Floats = (places - low) / (high - low)
    return heights


def _set_up_strands(axes: Axes, picture: Picture) -> None:
    meaning = picture.design.results.meaning
    names = [label(meaning, levels.name, 24) for levels in picture.levels.values()]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks([])
    axes.set_xlim(-0.15, len(names) - 0.55)
    axes.set_ylim(-0.05, 1.05)
    axes.spines[["left", "bottom"]].set_visible(False)
    for number, levels in enumerate(picture.levels.values()):
        axes.axvline(number, color=GREY, linewidth=0.6, zorder=3)
        for height, text in _strand_texts(levels):
            axes.text(
                number + 0.03, height, verbatim(shortened(text, 10)), fontsize=5.5, va="center",
                bbox={"facecolor": "white", "alpha": 0.75, "pad": 0.4, "linewidth": 0}, zorder=4,
            )  # fmt: skip


def _strand_texts(levels: Levels) -> Iterator[tuple[float, str]]:
    """Yield the height and the text of the levels that are told beside an axis."""
    n = len(levels)
    shown = list(range(n)) if n <= 7 else [0, n - 1]
    places = levels.places[shown]
    said = number_texts(places) if levels.kind == "number" else [levels.texts()[i] for i in shown]
    yield from zip(_heights(places, levels).tolist(), said, strict=True)


_DRAW: Mapping[str, Callable[[Panel, Picture, Colours], None]] = {
    "line": _draw_points,
    "scatter": _draw_scatter,
    "heatmap": _draw_grid,
    "box": _draw_boxes,
    "hist": _draw_bars,
    "parallel": _draw_strands,
}
