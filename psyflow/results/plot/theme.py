"""How plots look: for the column of a paper, on white, and for all eyes."""

from __future__ import annotations

from typing import Any

__all__ = [
    "COLOURS",
    "COLOUR_MAP",
    "COLUMN",
    "GREY",
    "LINES",
    "MARKERS",
    "TWO_COLUMNS",
    "settings",
]

COLUMN, TWO_COLUMNS = 3.5, 7.2
"""Widths of one and of two columns of a paper, in inches."""

COLOURS = (
    "#0072B2",  # blue
    "#D55E00",  # vermilion
    "#009E73",  # bluish green
    "#CC79A7",  # reddish purple
    "#E69F00",  # orange
    "#56B4E9",  # sky blue
    "#000000",  # black
    "#F0E442",  # yellow, which is faint on white, last
)
"""Colours that people with any kind of colour vision can tell apart.

M. Okabe and K. Ito 2008, Color Universal Design, https://jfly.uni-koeln.de/color/.
"""
COLOUR_MAP = "cividis"
"""Colours of numbers, alike to people with and without a deficiency of colour vision.

J. R. Nuñez, C. R. Anderton and R. S. Renslow 2018, PLOS ONE 13(7), e0199239.
"""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", ":", "-.")
GREY = "#595959"

_LINE = 0.6
_SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 7,
    "axes.labelsize": 7,
    "axes.titlesize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.title_fontsize": 6.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.columnspacing": 1.2,
    "axes.linewidth": _LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.2,
    "patch.linewidth": _LINE,
    "errorbar.capsize": 1.5,
    "xtick.major.width": _LINE,
    "ytick.major.width": _LINE,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "figure.dpi": 300,
    "savefig.dpi": 300,
    "savefig.facecolor": "white",
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    # Text stays text in a PDF, and files of the same picture are the same.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.hashsalt": "psyflow",
}
_OF_THE_USER = ("backend", "interactive", "toolbar", "webagg", "tk.", "macosx", "docstring")


def settings() -> dict[str, Any]:
    """Return the settings of matplotlib by which plots are drawn, whatever the user's own are."""
    import matplotlib

    default = {
        name: value
        for name, value in matplotlib.rcParamsDefault.items()
        if not name.startswith(_OF_THE_USER)
    }
    return default | _SETTINGS
