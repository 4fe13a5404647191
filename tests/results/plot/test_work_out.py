"""What is drawn: the numbers, and what is said of them."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pytest

from psyflow import Param
from psyflow.exceptions import UsageError
from psyflow.results import Results
from psyflow.results.plot import caption
from psyflow.results.plot.drawn import as_csv

from .tables import pictured, table

TRIALS = table(
    Param(a=[1, 2]) * Param(mode=["u", "v"]) * Param(seed=range(4)),
    lambda a, mode, seed: {"y": a * 10.0 + seed + (100 if mode == "v" else 0)},
)


def drawn(results: Results, *words: str, **wish: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(as_csv(pictured(results, *words, **wish)))))


def test_means_and_intervals_are_those_of_summary() -> None:
    summary = TRIALS.summary(over="seed")
    rows = drawn(TRIALS)
    assert [(row["mode"], row["a"]) for row in rows] == [
        ("u", "1"),
        ("v", "1"),
        ("u", "2"),
        ("v", "2"),
    ]
    for row in rows:
        of_summary = summary.item(a=int(row["a"]), mode=row["mode"])
        assert float(row["y"]) == of_summary["y_mean"] and row["y_n"] == "4"
        half = (float(row["y_high"]) - float(row["y_low"])) / 2
        assert half == pytest.approx(of_summary["y_ci95"])


@pytest.mark.parametrize(
    ("spread", "low", "y", "high"),
    [("range", 10, 11.5, 13), ("iqr", 10.75, 11.5, 12.25), ("sem", 10.8545, 11.5, 12.1455),
     ("std", 10.209, 11.5, 12.791)],
)  # fmt: skip
def test_spreads(spread: str, low: float, y: float, high: float) -> None:
    row = drawn(TRIALS.where(mode="u"), spread=spread)[0]
    found = [float(row[name]) for name in ("y_low", "y", "y_high")]
    assert found == pytest.approx([low, y, high], abs=1e-3)


def test_no_spread_is_none() -> None:
    assert {row["y_low"] for row in drawn(TRIALS, spread="none")} == {""}


def test_what_cannot_be_drawn_is_counted() -> None:
    values = {1: 1.0, 2: float("nan"), 3: float("inf"), 4: None}
    picture = pictured(table(Param(a=[1, 2, 3, 4]), lambda a: {"y": values[a]}))
    assert np.isfinite(picture.marks["y"]).tolist() == [True, False, False, False]
    assert "2 of 4 values of y are absent" in caption(picture)
    assert "1 of 4 values of y are infinite" in caption(picture)


def test_one_infinite_value_hides_no_mean_that_it_spoils() -> None:
    results = table(
        Param(a=[1, 2]) * Param(seed=[0, 1]),
        lambda a, seed: {"y": float("inf") if a == seed == 1 else 1.0},
    )
    assert [row["y"] for row in drawn(results)] == ["", "1.0"]


def test_rows_without_a_level_are_counted() -> None:
    results = Results({"a": [1, 2, None], "y": [1.0, 2.0, 3.0]}, parameters=["a"])
    assert "1 values have no a" in caption(pictured(results))


@pytest.mark.parametrize("kind", ["line", "scatter", "heatmap", "box", "hist"])
def test_no_finite_value_is_an_error(kind: str) -> None:
    results = table(Param(a=[1, 2]) * Param(b=[1, 2]), lambda a, b: {"y": float("nan")})
    with pytest.raises(UsageError, match="absent"):
        pictured(results, kind=kind)


def test_captions_say_over_what_and_how_many() -> None:
    def said(*words: str, **wish: Any) -> str:
        return caption(pictured(TRIALS, *words, **wish), wish.pop("where", ()))

    assert said() == (
        "Mean of y over seed (n = 4), with 95 % confidence intervals (Student's t). 16 rows."
    )
    assert said("hue=mode", spread="iqr").startswith(
        "Median of y over seed (n = 4), with quartiles"
    )
    assert said("x=a", "hue=a").startswith("Mean of y over mode and seed (n = 8)")
    assert said("x=seed", "hue=mode", "col=a").startswith("Each point is one value of y. ")
    assert said(kind="scatter").startswith("Each point is one value of y over seed (n = 16)")
    assert said(kind="hist").startswith("Counts of y over seed (n = 16)")
    assert caption(pictured(TRIALS), ["a=1"]).count("only a=1") == 1


def test_different_numbers_of_values_are_said() -> None:
    results = Results(
        {"a": [1, 1, 2], "seed": [0, 1, 0], "y": [1.0, 2.0, 3.0]}, parameters=["a", "seed"]
    )
    assert "(n = 1 to 2)" in caption(pictured(results))


def test_boxes_have_outliers() -> None:
    results = table(
        Param(seed=range(21)), lambda seed: {"g": 1, "y": 1000.0 if seed == 20 else seed}
    )
    rows = drawn(results, "x=g", "y=y", kind="box")
    assert [row["mark"] for row in rows] == ["box", "outlier"]
    assert (rows[0]["y"], rows[0]["y_whisker_high"], rows[1]["y"]) == ("10.0", "19.0", "1000.0")


def test_counts_are_of_all_values() -> None:
    rows = drawn(TRIALS, kind="hist")
    assert sum(int(row["count"]) for row in rows) == 16


def test_text_is_counted() -> None:
    results = table(Param(seed=range(5)), lambda seed: {"word": "odd" if seed % 2 else "even"})
    picture = pictured(results, "x=word", kind="hist")
    assert picture.marks["count"].tolist() == [3, 2]


@pytest.mark.parametrize("values", [[5.0] * 3, [1e308, -1e308, 0.0], [1e-320, 2e-320, 0.0]])
def test_extreme_values_can_be_counted(values: list[float]) -> None:
    results = Results({"a": [1, 2, 3], "y": values}, parameters=["a"])
    assert pictured(results, "y=y", kind="hist").marks["count"].sum() == 3


def test_a_million_points_are_few_marks() -> None:
    n = 300_000
    results = Results({"a": np.arange(n) / 7, "y": np.sin(np.arange(n) / 1e4)}, parameters=["a"])
    assert pictured(results).n_marks == 500
    assert "a in 500 bins" in caption(pictured(results))
    assert pictured(results, kind="scatter").n_marks < 20_000


def test_whole_numbers_stay_whole_and_what_is_absent_is_empty() -> None:
    assert drawn(table(Param(a=[1, 2]), lambda a: {"y": 0.5}))[0] == {
        "a": "1", "y": "0.5", "y_low": "", "y_high": "", "y_n": "1",
    }  # fmt: skip
