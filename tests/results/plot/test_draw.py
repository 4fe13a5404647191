"""Pictures: nothing lies on anything else, whatever the names and values are."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text

from psyflow import Param
from psyflow.results import Results
from psyflow.results.plot import caption, draw
from psyflow.results.plot.characters import Terminal, in_characters
from psyflow.results.plot.files import write_figure
from psyflow.results.plot.theme import COLOURS

from .tables import pictured, table

RANDOM = np.random.default_rng(0)
HOSTILE = ["$", "_$x_{1}", "a\nb\x1b[31m", "\\frac{^", "😀 中文", "a" * 120]


def noise(**_: Any) -> dict[str, Any]:
    return {"y": float(RANDOM.normal())}


LEVELS = [f"level number {i}" for i in range(12)]
STUDIES: dict[str, tuple[Results, list[str], dict[str, Any]]] = {
    "error bars": (
        table(Param(a=[1, 2, 4, 8]) * Param(b=[1, 2, 3]) * Param(seed=range(3)), noise),
        [],
        {},
    ),
    "panels": (
        table(Param(a=range(9)) * Param(b=list("abcdefg")) * Param(c=list("hijklmn")), noise),
        [],
        {},
    ),
    "rows and columns": (
        table(
            Param(a=range(9)) * Param(b=[1, 2, 3]) * Param(c=list("xyz")) * Param(d=[1, 2]), noise
        ),
        [],
        {},
    ),
    "heat map": (
        table(Param(a=np.linspace(0, 1, 9)) * Param(b=[1, 2, 3, 5, 8, 13, 21, 50]), noise),
        [],
        {},
    ),
    "long categories": (table(Param(model=LEVELS) * Param(seed=range(3)), noise), [], {}),
    "many categories": (
        table(Param(model=[f"{i} of many levels" for i in range(90)]), noise),
        [],
        {},
    ),
    "boxes": (
        table(Param(a=[1, 2, 3]) * Param(b=list("uv")) * Param(seed=range(9)), noise),
        [],
        {"kind": "box"},
    ),
    "histograms": (
        table(Param(b=list("uv")) * Param(seed=range(30)), noise),
        [],
        {"kind": "hist"},
    ),
    "points": (table(Param(a=[1, 2, 3]) * Param(b=list("uv")), noise), [], {"kind": "scatter"}),
    "colour bar": (table(Param(a=range(9)) * Param(b=range(30)), noise), ["x=a", "hue=b"], {}),
    "styles": (
        table(Param(a=range(9)) * Param(b=[1, 2]) * Param(c=[1, 2]), noise),
        ["hue=b", "style=c"],
        {},
    ),
    "parallel": (
        table(Param(rate=[1e-4, 1e-2]) * Param(mode=list("uvw")) * Param(n=range(5)), noise),
        [],
        {"kind": "parallel"},
    ),
    "dates": (
        table(
            Param(
                day=[
                    datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=7 * i)
                    for i in range(30)
                ]
            ),
            noise,
        ),
        [],
        {},
    ),
    "small numbers": (
        table(Param(a=np.linspace(1e-7, 9e-7, 9)), lambda a: {"y": a * 1e-9}),
        [],
        {},
    ),
    "large numbers": (
        table(Param(a=range(100_000, 900_000, 9999)), lambda a: {"y": a * 1e9}),
        [],
        {},
    ),
    "zeros on a log axis": (
        table(Param(a=[0, 1, 10, 100]), lambda a: {"y": a - 1.0}),
        [],
        {"log": "xy"},
    ),
    "one row": (table(Param(a=[1]), noise), [], {}),
    "gaps": (
        table(Param(a=range(4)), lambda a: {"y": [1.0, float("nan"), float("inf"), 2.0][a]}),
        [],
        {},
    ),
    "traces": (
        table(Param(tau=[1, 2]) * Param(seed=range(3)), lambda **_: {"v": np.arange(3000.0)}),
        [],
        {},
    ),
}
each_study = pytest.mark.parametrize("name", STUDIES)


def figure_of(name: str, width: float | None = None) -> Figure:
    results, words, wish = STUDIES[name]
    picture = pictured(results, *words, **wish)
    return draw(picture, caption(picture), width)


def texts_in(figure: Figure) -> Iterator[Text]:
    """Yield the texts that can be seen."""
    both = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    axis_of = {text: axis for axis in both for text in axis.get_ticklabels(which="both")}
    for text in figure.findobj(Text):
        if not text.get_visible() or not text.get_text().strip():
            continue
        axis = axis_of.get(text)
        if axis is not None:
            low, high = sorted(axis.get_view_interval())
            place = text.get_position()[0 if axis.axis_name == "x" else 1]
            if not low - 1e-9 <= place <= high + 1e-9:
                continue
        yield text


def of_axes(text: Text) -> bool:
    """Tell whether a text stands within its panel, as at the axes of parallel coordinates."""
    return text.axes is not None and text in text.axes.texts


@each_study
def test_texts_neither_overlap_nor_leave_the_picture(name: str) -> None:
    figure = figure_of(name)
    figure.draw_without_rendering()
    texts = [text for text in texts_in(figure) if not of_axes(text)]
    assert len(texts) >= 3
    for text in texts:
        extent = text.get_window_extent()
        assert figure.bbox.padded(2).contains(extent.x0, extent.y0), text
        assert figure.bbox.padded(2).contains(extent.x1, extent.y1), text
    extents = {text: text.get_window_extent().padded(-1) for text in texts}
    for one, other in itertools.combinations(texts, 2):
        if one.get_rotation() % 90 == other.get_rotation() % 90 == 0:
            assert not extents[one].overlaps(extents[other]), f"{one} lies on {other}"


@pytest.mark.parametrize("name", ["error bars", "panels", "rows and columns", "heat map"])
def test_a_picture_is_as_wide_as_a_column_and_light(name: str, tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    write_figure(figure_of(name), file)
    image = imread(file)
    assert image.shape[1] in (1050, 2160) and image.shape[0] < 3000
    assert (image[[0, 0, -1, -1], [0, -1, 0, -1], :3] == 1).all()


@each_study
@pytest.mark.parametrize("width", [20, 60, 120])
def test_characters_fit_the_terminal(name: str, width: int) -> None:
    results, words, wish = STUDIES[name]
    terminal = Terminal(width, 20, has_colours=False)
    lines = in_characters(pictured(results, *words, **wish), terminal).split("\n")
    assert len(lines) > 3 and max(map(len, lines)) <= max(width, 30)
    assert not any("\x1b" in line for line in lines)


def test_characters_without_unicode_are_ascii() -> None:
    for name in ("error bars", "heat map", "parallel", "boxes"):
        results, words, wish = STUDIES[name]
        terminal = Terminal(has_unicode=False)
        assert in_characters(pictured(results, *words, **wish), terminal).isascii()


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_shown_as_they_are(name: str, tmp_path: Path) -> None:
    results = table(
        Param(**{name: [1, 2, 3]}) * Param(b=[name, "other"]),
        lambda **_: {f"out {name}": 1.0 + RANDOM.random()},
        units={f"out {name}": name},
    )
    for kind in ("line", "hist", "parallel"):
        picture = pictured(results, kind=kind)
        write_figure(draw(picture, caption(picture, [name])), tmp_path / "picture.svg", name)
        assert "\x1b" not in in_characters(picture, Terminal())


def test_formulas_in_labels_are_set() -> None:
    results = table(Param(a=[1, 2]), noise, labels={"a": r"$\tau_m$", "y": "$broken{"})
    axes = draw(pictured(results)).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == (r"$\tau_m$", r"\$broken{")


def test_labels_have_units() -> None:
    results = table(Param(a=[1, 2]), noise, labels={"a": "gain"}, units={"a": "mV", "y": "Hz"})
    axes = draw(pictured(results)).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("gain (mV)", "y (Hz)")


def test_settings_of_the_user_neither_matter_nor_change() -> None:
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 40}):
        before = dict(matplotlib.rcParams)
        figure = figure_of("error bars")
        assert dict(matplotlib.rcParams) == before
    assert figure.axes[0].get_facecolor() == (1, 1, 1, 1)


def test_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    figures = [figure_of("heat map") for _ in range(2)]
    for extension in ("png", "svg", "pdf"):
        files = [tmp_path / f"{i}.{extension}" for i in range(2)]
        for file, figure in zip(files, figures, strict=True):
            write_figure(figure, file, "about")
        assert files[0].read_bytes() == files[1].read_bytes()


def test_colours_differ_for_every_kind_of_eyes() -> None:
    """By the simulation of Machado, Oliveira and Fernandes 2009 for full deficiency."""
    matrices = {
        "protan": [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        "deutan": [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
    }
    colours = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in COLOURS])
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    for matrix in matrices.values():
        seen = np.clip(linear @ np.array(matrix).T, 0, 1) ** (1 / 2.4)
        distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)]
        assert min(distances) > 0.1
