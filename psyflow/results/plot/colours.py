"""What each series looks like, and the key to that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from psyflow.results.plot.choose import MOST_COLOURS
from psyflow.results.plot.kinds import Floats
from psyflow.results.plot.levels import Levels
from psyflow.results.plot.picture import Picture
from psyflow.results.plot.theme import COLOUR_MAP, COLOURS, GREY, LINES, MARKERS
from psyflow.results.plot.words import label

if TYPE_CHECKING:
    from matplotlib.cm import ScalarMappable

__all__ = ["Colours", "colour_bar", "light"]

_MOST_BARS = 20


class Colours:
    """What each series looks like, and the key to that.

    Parameters
    ----------
    picture : Picture
    """

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._hue = picture.levels.get("hue")
        self._style = picture.levels.get("style")
        self.is_map = self._hue is not None and len(self._hue) > MOST_COLOURS
        x = picture.levels.get("x")
        self.are_bands = x is not None and x.is_ordered and len(x) > _MOST_BARS

    @property
    def name(self) -> str | None:
        """The name of the column that has colours by number, if one has."""
        return self._hue.name if self._hue is not None and self.is_map else None

    @property
    def n_series(self) -> int:
        """How many series lie side by side."""
        sizes = [len(levels) for levels in (self._hue, self._style) if levels is not None]
        return int(np.prod(sizes)) if sizes and not self.is_map else 1

    def place(self, hue: int, style: int) -> float:
        """Return where a series lies among those side by side, from −½ to ½."""
        n_styles = len(self._style) if self._style is not None else 1
        number = max(hue, 0) * n_styles + max(style, 0)
        return (number + 0.5) / self.n_series - 0.5 if not self.is_map else 0.0

    def colour(self, hue: int) -> Any:
        """Return the colour of a series."""
        if not self.is_map or self._hue is None:
            return COLOURS[max(hue, 0)]
        mapped = self.mapped()
        assert mapped is not None
        return mapped.to_rgba(self._hue.places[hue])

    def marker(self, hue: int, style: int) -> str:
        """Return the marker of a series: by its style, or also by its hue if there is none."""
        code = style if self._style is not None else 0 if self.is_map else hue
        return MARKERS[max(code, 0) % len(MARKERS)]

    def line(self, style: int) -> str:
        """Return the line of a series."""
        return LINES[max(style, 0)]

    def mapped(self) -> ScalarMappable | None:
        """Return what tells a colour bar the numbers of colours, if hue has so many levels."""
        if not self.is_map or self._hue is None:
            return None
        return colour_bar(self._hue.places, self._hue.scale)

    def title(self) -> str | None:
        """Return what is said above the key."""
        only = self._hue if self._style is None else self._style if self._hue is None else None
        if only is None or self.is_map:
            return None
        return label(self._picture.design.results.meaning, only.name)

    def key(self) -> tuple[list[Any], list[str]]:
        """Return what stands for each series in the key, and its text."""
        parts = [*self._hues(), *self._styles()]
        return [handle for handle, _ in parts], [text for _, text in parts]

    def _hues(self) -> Iterator[tuple[Any, str]]:
        if self._hue is None or self.is_map:
            return
        for code, text in enumerate(self._hue.texts()):
            marker = self.marker(code, -1) if self._style is None else ""
            yield self._handle(COLOURS[code], marker, "-"), self._said(self._hue, text)

    def _styles(self) -> Iterator[tuple[Any, str]]:
        if self._style is None:
            return
        for code, text in enumerate(self._style.texts()):
            handle = self._handle(GREY, self.marker(-1, code), LINES[code])
            yield handle, self._said(self._style, text)

    def _said(self, levels: Levels, text: str) -> str:
        if self.title() is not None:
            return text
        name = self._picture.design.results.meaning.labels.get(levels.name, levels.name)
        return f"{name} = {text}"

    def _handle(self, colour: str, marker: str, line: str) -> Any:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        kind = self._picture.design.kind
        if kind in ("box", "hist"):
            return Patch(facecolor=light(colour), edgecolor=colour, linestyle=line)
        if kind == "scatter":
            return Line2D([], [], color=colour, marker=marker or "o", linestyle="none")
        look = {"marker": "" if self.are_bands else marker, "linestyle": line}
        if not self._picture.levels["x"].is_ordered:
            look["linestyle"] = "none"
        return Line2D([], [], color=colour, **look)


def colour_bar(places: Floats, scale: str = "linear") -> ScalarMappable:
    """Return which number has which colour, from the smallest to the largest of some."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm, Normalize

    finite = places[np.isfinite(places)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    norm = LogNorm if scale == "log" and low > 0 else Normalize
    return ScalarMappable(norm(low, high), COLOUR_MAP)


def light(colour: str) -> Any:
    """Return a colour as areas have it."""
    from matplotlib.colors import to_rgba

    return to_rgba(colour, 0.3)
