"""Axes: their scales, ticks and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from psyflow.results.plot.kinds import Floats
from psyflow.results.plot.levels import Levels, number_texts
from psyflow.results.plot.picture import Picture
from psyflow.results.plot.words import label, shortened, verbatim

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

__all__ = ["cells_of", "set_up_axes"]

_MOST_TICKS = 8
_MOST_CATEGORY_TEXT = 18
_EVEN = 1.02
_STEPS = (1, 2, 5, 10)


def set_up_axes(axes: Axes, picture: Picture) -> None:
    """Give an empty panel its scales, ticks and labels."""
    design, meaning = picture.design, picture.design.results.meaning
    if design.kind == "parallel":
        return
    from matplotlib.ticker import MaxNLocator

    value = label(meaning, design.value)
    if design.kind == "hist":
        axes.set_xlabel(value)
        axes.set_ylabel("count")
        _set_up_values(axes.xaxis, picture, picture.x_scale)
        _set_up_numbers(axes.yaxis, picture.y_scale)
        if picture.y_scale == "linear":
            axes.yaxis.set_major_locator(MaxNLocator(5, steps=_STEPS, integer=True))
        return
    x = picture.levels["x"]
    axes.set_xlabel(label(meaning, x.name))
    if design.kind == "heatmap":
        vertical = picture.levels["vertical"]
        axes.set_ylabel(label(meaning, vertical.name))
        _set_up_cells(axes.xaxis, x)
        _set_up_cells(axes.yaxis, vertical)
        return
    axes.set_ylabel(value)
    _set_up_values(axes.yaxis, picture, picture.y_scale)
    _set_up_levels(axes.xaxis, x, picture.x_scale, as_categories=design.kind == "box")


def _set_up_numbers(axis: Axis, scale: str, least: float = 1.0) -> None:
    """Give an axis the scale and the ticks of numbers.

    Parameters
    ----------
    axis : Axis
    scale : str
    least : float
        The smallest number above 0 among them.
    """
    from matplotlib.ticker import MaxNLocator, ScalarFormatter

    _set_scale(axis, scale, least)
    if scale != "linear":
        return
    axis.set_major_locator(MaxNLocator(6, steps=_STEPS))
    formatter = ScalarFormatter(useOffset=False, useMathText=True)
    formatter.set_powerlimits((-3, 5))
    axis.set_major_formatter(formatter)


def cells_of(levels: Levels) -> Floats:
    """Return the edges of cells around levels: in place if they are even, else of one size.

    Returns
    -------
    ndarray of float, shape (n_levels + 1,)
    """
    scale = _cell_scale(levels)
    places = _cell_places(levels)
    if scale == "log":
        return np.exp(_edges(np.log(places)))
    return _edges(places)


def _edges(places: Floats) -> Floats:
    if len(places) == 1:
        return np.array([places[0] - 0.5, places[0] + 0.5])
    middles = (places[:-1] + places[1:]) / 2
    first, last = 2 * places[0] - middles[0], 2 * places[-1] - middles[-1]
    return np.concatenate([[first], middles, [last]])


def _cell_scale(levels: Levels) -> str:
    """Return on which scale levels are even: ``"linear"``, ``"log"``, or none: ``"cells"``."""
    if not levels.is_ordered:
        return "cells"
    if len(levels) < 3:
        return "linear"
    if _is_even(levels.places):
        return "linear"
    above = levels.places[0] > 0 and levels.kind == "number"
    return "log" if above and _is_even(np.log(levels.places)) else "cells"


def _is_even(places: Floats) -> bool:
    steps = np.diff(places)
    return bool(steps.max() <= _EVEN * steps.min())


def _cell_places(levels: Levels) -> Floats:
    if _cell_scale(levels) == "cells":
        return np.arange(len(levels), dtype=np.float64)
    return levels.places


def _set_up_cells(axis: Axis, levels: Levels) -> None:
    scale = _cell_scale(levels)
    if scale == "cells":
        _set_texts(axis, np.arange(len(levels), dtype=np.float64), levels)
    else:
        _set_up_levels(axis, levels, scale)


def _set_up_levels(axis: Axis, levels: Levels, scale: str, *, as_categories: bool = False) -> None:
    if as_categories or levels.kind == "category":
        _set_texts(axis, np.arange(len(levels), dtype=np.float64), levels)
    elif levels.kind == "date":
        _set_up_dates(axis)
    elif len(levels) <= _MOST_TICKS and (scale != "linear" or _is_even_or_few(levels)):
        _set_scale(axis, scale, _least(levels.places))
        _set_texts(axis, levels.places, levels)
    else:
        _set_up_numbers(axis, scale, _least(levels.places))


def _is_even_or_few(levels: Levels) -> bool:
    return len(levels) < 3 or _is_even(levels.places)


def _least(places: Floats) -> float:
    above = places[places > 0]
    return float(above.min()) if len(above) else 1.0


def _set_up_values(axis: Axis, picture: Picture, scale: str) -> None:
    levels = picture.levels.get("value")
    if levels is not None:
        _set_texts(axis, np.arange(len(levels), dtype=np.float64), levels)
        return
    names = [name for name in ("left", "right", "y", "low", "high") if name in picture.marks]
    places = np.concatenate([np.asarray(picture.marks[name], dtype=float) for name in names])
    _set_up_numbers(axis, scale, _least(places))


def _set_scale(axis: Axis, scale: str, least: float) -> None:
    if scale == "linear":
        return
    axes = axis.axes
    words = {"linthresh": least} if scale == "symlog" else {"nonpositive": "clip"}
    set_scale = axes.set_xscale if axis.axis_name == "x" else axes.set_yscale
    set_scale(scale, **words)
    from matplotlib.ticker import NullFormatter

    axis.set_minor_formatter(NullFormatter())


def _set_texts(axis: Axis, places: Floats, levels: Levels) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    said = number_texts(levels.places) if levels.kind == "number" else levels.texts()
    texts = [verbatim(shortened(text, _MOST_CATEGORY_TEXT)) for text in said]
    axis.set_major_locator(FixedLocator(places.tolist()))
    axis.set_major_formatter(FixedFormatter(texts))
    axis.set_minor_locator(NullLocator())


def _set_up_dates(axis: Axis) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=6)
    axis.set_major_locator(locator)
    axis.set_major_formatter(ConciseDateFormatter(locator))
