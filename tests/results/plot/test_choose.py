"""Which column goes along which axis, where nobody says so."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest

from psyflow import Param, ParameterSpace
from psyflow.exceptions import UnknownColumnError, UnknownNameError, UsageError
from psyflow.results import Results

from .tables import designed, pictured, table


def over(space: ParameterSpace, **outputs: Any) -> Results:
    return table(space, lambda **_: outputs or {"y": 1.0})


def roles(results: Results, *words: str, **wish: Any) -> tuple[str | None, ...]:
    design = designed(results, *words, **wish)
    return design.kind, design.x, design.value, design.hue, design.col, design.row


NUMBERS = Param(b=range(3)) * Param(a=range(9))


def test_x_is_the_numeric_parameter_with_most_levels_and_hue_the_next() -> None:
    many_texts = Param(name=[f"n{i}" for i in range(20)])
    assert roles(over(NUMBERS)) == ("line", "a", "y", "b", None, None)
    assert roles(over(NUMBERS * many_texts)) == ("line", "a", "y", "b", None, None)
    assert designed(over(NUMBERS * many_texts)).over == ["name"]


def test_then_come_columns_and_rows_of_panels() -> None:
    space = NUMBERS * Param(c=["u", "v"]) * Param(d=[True, False])
    assert roles(over(space)) == ("line", "a", "y", "b", "c", "d")


def test_who_says_what_has_colours_has_all_else_aggregated() -> None:
    design = designed(over(NUMBERS * Param(c=["u", "v"])), "hue=c")
    assert (design.hue, design.col, design.over) == ("c", None, ["b"])


@pytest.mark.parametrize("name", ["repeat", "trial", "seed"])
def test_repetitions_are_no_axis_unless_somebody_says_so(name: str) -> None:
    results = over(Param(a=range(3)) * Param(**{name: range(20)}))
    assert roles(results)[:2] == ("line", "a") and designed(results).over == [name]
    assert designed(results, f"x={name}").x == name


def test_only_repetitions_make_a_histogram() -> None:
    assert roles(over(Param(trial=range(9))))[:3] == ("hist", None, "y")


def test_two_long_axes_and_nothing_else_make_a_heat_map() -> None:
    space = Param(a=range(9)) * Param(b=range(8)) * Param(repeat=range(2))
    design = designed(over(space))
    assert (design.kind, design.x, design.vertical, design.over) == (
        "heatmap",
        "a",
        "b",
        ["repeat"],
    )
    assert designed(over(Param(a=range(9)) * Param(b=range(7)))).kind == "line"
    assert designed(over(space), "x=a").kind == "line"
    assert designed(over(space), "x=b", "y=a").kind == "heatmap"


def test_text_levels_are_an_axis_if_no_number_varies() -> None:
    assert roles(over(Param(mode=["u", "v"])))[:2] == ("line", "mode")


def test_a_single_row_has_an_axis() -> None:
    assert roles(over(Param(a=[1]) * Param(b=[2])))[:2] == ("line", "a")


def test_an_array_brings_its_own_axis() -> None:
    results = table(
        Param(a=[1, 2]) * Param(seed=range(3)),
        lambda a, seed: {"v": np.arange(4.0) * a},
        dims={"v": ["time"]},
        coords={"time": [0, 10, 20, 30]},
    )
    assert roles(results)[:4] == ("line", "time", "v", "a")
    assert sorted(set(pictured(results).marks["x"])) == [0, 10, 20, 30]


def test_coords_may_be_a_column() -> None:
    results = table(
        Param(a=[1, 2]),
        lambda a: {"v": [1.0, 2.0], "when": [0.5, 1.5], "other": [1.0, 2.0]},
        dims={"v": ["time"]},
        coords={"time": "when"},
    )
    assert sorted(set(pictured(results, "y=v").marks["x"])) == [0.5, 1.5]


def test_coords_that_differ_from_row_to_row_make_points() -> None:
    results = table(
        Param(a=[1, 2]),
        lambda a: {"v": [1.0, 2.0], "t": [0.5 * a, 1.5]},
        dims={"v": ["t"]},
    )
    picture = pictured(results, "y=v")
    assert picture.design.kind == "scatter"
    assert sorted(picture.marks["x"]) == [0.5, 1.0, 1.5, 1.5]


def test_a_matrix_is_a_heat_map() -> None:
    results = over(Param(seed=range(2)), m=np.eye(9))
    design = designed(results)
    assert (design.kind, design.x, design.vertical) == ("heatmap", "index 1 of m", "index 0 of m")


def test_arrays_of_different_length_are_drawn_as_far_as_they_go() -> None:
    results = table(Param(n=[2, 4]) * Param(seed=[0]), lambda n, seed: {"v": list(range(n))})
    picture = pictured(results, "hue=n")
    assert picture.n_marks == 6 and "differ in length" in " ".join(picture.notes)


@pytest.mark.parametrize(
    ("levels", "scale"),
    [([1, 2, 4, 8], "log"), ([1, 2, 3], "linear"), ([0.001, 0.01, 0.1], "log"),
     ([0, 1, 10, 100], "symlog"), ([-1, 1, 10], "linear"), ([1, 10], "linear")],
)  # fmt: skip
def test_geometric_levels_have_a_logarithmic_axis(levels: list[float], scale: str) -> None:
    assert pictured(over(Param(a=levels))).x_scale == scale
    assert pictured(over(Param(a=levels)), log="none").x_scale == "linear"


def test_a_logarithmic_axis_has_a_place_for_zero() -> None:
    results = table(Param(a=range(4)), lambda a: {"y": a - 1})
    assert pictured(results, log="y").y_scale == "symlog"


def test_dates_are_an_axis_in_their_order() -> None:
    days = [datetime.date(2024, 1, 3), datetime.date(2024, 1, 1)]
    levels = pictured(over(Param(day=days))).levels["x"]
    assert (levels.kind, levels.texts()) == ("date", ["2024-01-01", "2024-01-03"])


@pytest.mark.parametrize("values", [[True, False], ["u", None], [1.0, float("inf")], [1j, 2j]])
def test_what_has_no_place_of_its_own_is_a_category(values: list[Any]) -> None:
    assert not pictured(over(Param(a=values))).levels["x"].is_ordered


def test_several_outputs_are_listed_with_what_to_type() -> None:
    with pytest.raises(UsageError, match=r"several outputs: u, v.*psy plot TASK y=u"):
        designed(over(NUMBERS, u=1.0, v=2.0))
    assert designed(over(NUMBERS, u=1.0, text="x")).value == "u"


def test_ten_thousand_outputs_are_not_listed() -> None:
    results = over(Param(a=[1, 2]), **{f"c{i}": 1.0 for i in range(10_000)})
    for words in ([], ["y=nothing"]):
        with pytest.raises(UsageError) as caught:
            designed(results, *words)
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("words", "wish", "error", "message"),
    [
        (["y=z"], {}, UnknownColumnError, 'no column "z"'),
        (["x=aa"], {}, UnknownColumnError, 'no column "aa"'),
        (["hue=bb"], {}, UnknownColumnError, 'no column "bb"'),
        (["x=y"], {}, UsageError, 'Both axes would be "y"'),
        (["x=a", "y=a"], {"kind": "heatmap"}, UsageError, "Both axes"),
        (["row=b", "col=b"], {}, UsageError, "would both be"),
        (["hue=text"], {}, UsageError, "has 27 levels"),
        (["col=a"], {"kind": "hist"}, None, ""),
        (["y=text"], {}, UsageError, "it is text"),
        (["y=z1"], {}, UsageError, "it is complex"),
        (["y=none"], {}, UsageError, "it is nothing"),
        (["x=y", "y=y"], {"kind": "hist"}, UsageError, "not both"),
        (["x=a"], {"kind": "parallel"}, UsageError, "leave out x="),
        (["colour=a"], {}, UnknownNameError, "role"),
        (["a"], {}, UsageError, "gives no column a role"),
        (["x=a", "x=b"], {}, UsageError, "given twice"),
        ([], {"kind": "lines"}, UnknownNameError, 'Did you mean "line"'),
        ([], {"spread": "ci"}, UnknownNameError, "spread"),
        ([], {"log": "z"}, UnknownNameError, "logarithmic"),
    ],
)
def test_what_makes_no_sense_is_refused(
    words: list[str], wish: dict[str, Any], error: type[Exception] | None, message: str
) -> None:
    rows = iter(range(100))
    results = table(
        NUMBERS,
        lambda a, b: {"y": 1.0, "text": f"t{next(rows)}", "z1": 1j, "none": None},
    )
    if error is None:
        assert designed(results, *words, **wish)
        return
    with pytest.raises(error, match=message):
        designed(results, *words, **wish)


def test_a_bare_file_has_no_parameters_so_both_axes_are_said() -> None:
    results = Results({"a": [1, 2, 3], "y": [3.0, 1.0, 2.0]})
    with pytest.raises(UsageError, match="x=… y=a"):
        designed(results)
    assert roles(results, "x=a", "y=y")[:3] == ("scatter", "a", "y")


def test_no_rows_are_refused() -> None:
    with pytest.raises(UsageError, match="No row is left"):
        designed(Results({"a": [], "y": []}, parameters=["a"]))


def test_the_same_column_may_have_two_roles() -> None:
    assert roles(over(NUMBERS), "x=b", "hue=b")[1:4] == ("b", "y", "b")
