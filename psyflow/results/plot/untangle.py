"""Texts of ticks that lie on each other, put apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text

__all__ = ["untangle"]

_GAP = 4.0
_ROUNDS = 4


def untangle(figure: Figure, all_axes: Sequence[Axes]) -> None:
    """Turn, or leave out, texts of ticks until none lies on its neighbour.

    Parameters
    ----------
    figure : Figure
    all_axes : sequence of Axes
        Its panels.
    """
    for _ in range(_ROUNDS):
        figure.draw_without_rendering()
        each = [axis for axes in all_axes for axis in (axes.xaxis, axes.yaxis)]
        if sum(_loosen(axis, figure.dpi) for axis in each) == 0:
            return


def _loosen(axis: Axis, dpi: float) -> bool:
    """Make room between the texts of an axis; tell whether there was too little."""
    texts = [text for text in axis.get_ticklabels() if text.get_visible() and text.get_text()]
    if not any(_touch(one, other, dpi) for one, other in pairwise(texts)):
        return False
    is_text = any(character.isalpha() for text in texts for character in text.get_text())
    is_upright = texts[0].get_rotation() == 0
    if axis.axis_name == "x" and is_text and is_upright and len(texts) <= 40:
        axis.set_tick_params(rotation=45)
        for text in axis.get_ticklabels():
            text.set(ha="right", rotation_mode="anchor")
        return True
    _leave_out_every_second(axis)
    return True


def _touch(one: Text, other: Text, dpi: float) -> bool:
    """Tell whether two texts, which are turned alike, come too close to each other."""
    first, second = one.get_window_extent(), other.get_window_extent()
    turned = one.get_rotation() % 180
    if turned:
        step = np.hypot(second.x1 - first.x1, second.y1 - first.y1) * np.sin(np.radians(turned))
        height = one.get_fontsize() * dpi / 72
        return bool(abs(step) < height)
    gap = _GAP if one.axes is not None and first.y0 == second.y0 else 0.0
    return bool(first.padded(gap / 2).overlaps(second.padded(gap / 2)))


def _leave_out_every_second(axis: Axis) -> None:
    from matplotlib.ticker import FixedFormatter, FixedLocator

    low, high = sorted(axis.get_view_interval())
    there = [
        (place, text.get_text())
        for place, text in zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=True)
        if low <= place <= high
    ]
    kept = there[::2]
    axis.set_major_locator(FixedLocator([place for place, _ in kept]))
    axis.set_major_formatter(FixedFormatter([text for _, text in kept]))
