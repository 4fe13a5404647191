"""The table that `psyflow.load` gives: its rows, and statistics of them."""

from __future__ import annotations

import math
import pickle
import statistics
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from psyflow.exceptions import UnknownColumnError, UnknownNameError, UsageError
from psyflow.results import Results
from psyflow.results.statistics import STATISTICS, t_quantile

# W. H. Beyer, tables of Student's t, two-sided 95 %.
T_TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 8: 2.306, 15: 2.131, 60: 2.000}


def trials() -> Results:
    columns = {
        "y": np.array([1.0, 3.0, 2.0, np.nan, 5.0]),
        "a": [1, 1, 2, 2, 2],
        "trial": [0, 1, 0, 1, 2],
        "word": np.array(["p", "q", "p", "q", "p"]),
    }
    return Results(columns, parameters=["a", "trial"])


def test_it_is_a_dict_of_columns_with_parameters_first() -> None:
    table = trials()
    assert list(table) == ["a", "trial", "y", "word"]
    assert table.parameters == ["a", "trial"] and table.outputs == ["y", "word"]
    assert pd.DataFrame(table).equals(pd.DataFrame(dict(table)))
    assert table.n_rows == table.n_items == table.n_done == 5 and table.is_complete


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(KeyError, match=r'There is no column "words"\. Did you mean "word"'):
        trials()["words"]
    with pytest.raises(UnknownColumnError):
        trials().where(lambda b: b > 1)
    with pytest.raises(UnknownColumnError):
        trials().sort_by("-b")
    assert trials().get("words") is None and "words" not in trials()


def test_where_has_the_words_of_spaces() -> None:
    table = trials()
    assert table.where(a=2, word="p")["trial"] == [0, 2]
    assert table.where(lambda a, trial: a > trial)["trial"] == [0, 0, 1]
    assert table.where(lambda trial, **rest: rest["word"] == "q")["a"] == [1, 2]
    assert table.where(lambda y: y > 2, a=2)["y"].tolist() == [5.0]
    assert table.where(a=3).n_rows == 0
    # By the rules for psets: numbers by their value, NaN is NaN.
    assert table.where(a=1.0).n_rows == 2 and table.where(y=np.nan)["trial"] == [1]
    assert table.where(a=1).parameters == ["a", "trial"]


def test_one_row() -> None:
    assert trials().item(a=1, trial=1) == {"a": 1, "trial": 1, "y": 3.0, "word": "q"}
    with pytest.raises(UsageError, match=r"2 rows have a=1\. Give more names"):
        trials().item(a=1)
    with pytest.raises(UsageError, match="No rows have a=7"):
        trials().item(a=7)
    assert [row["y"] for row in trials().where(a=1).rows()] == [1.0, 3.0]


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.sampled_from([1.5, -2.0, None, float("nan")]))),
    st.booleans(),
)
def test_rows_are_sorted_as_python_does_with_absent_ones_last(
    rows: list[tuple[int, float | None]], descending: bool
) -> None:
    table = Results(
        {"a": [a for a, _ in rows], "y": [y for _, y in rows], "i": [*range(len(rows))]}
    )
    there = [i for i, (_, y) in enumerate(rows) if y is not None and not math.isnan(y)]
    absent = [i for i in range(len(rows)) if i not in there]
    sign = -1 if descending else 1
    expected = sorted(there, key=lambda i: sign * rows[i][1])
    assert table.sort_by("-y" if descending else "y")["i"] == expected + absent
    by_both = table.sort_by("a", "i")["i"]
    assert by_both == sorted(range(len(rows)), key=lambda i: (rows[i][0], i))


def test_text_is_sorted_and_what_cannot_be_is_said() -> None:
    assert trials().sort_by("-word", "trial")["trial"] == [1, 1, 0, 0, 2]
    with pytest.raises(UsageError, match="cannot be sorted"):
        Results({"a": [1, "x"]}).sort_by("a")


def test_times_are_sorted_with_absent_ones_last() -> None:
    days = Results({"day": np.array(["2020-01-01", "NaT", "2019-01-01"], dtype="M8[D]")})
    up, down = days.sort_by("day")["day"], days.sort_by("-day")["day"]
    assert list(map(str, up)) == ["2019-01-01", "2020-01-01", "NaT"]
    assert list(map(str, down)) == ["2020-01-01", "2019-01-01", "NaT"]


def test_rows_are_taken_at_places_and_by_flags() -> None:
    table = Results({"a": [1, 2, 3], "y": np.array([0.5, 1.5, 2.5])}, parameters=["a"])
    assert table.at([2, 0])["a"] == [3, 1]
    assert table.at([-1])["a"] == [3]
    assert table.at([]).n_rows == 0
    assert table.at(np.asarray(table["y"]) > 1)["a"] == [2, 3]
    for wrong in ([3], [True], [0.5], ["x"], 1):
        with pytest.raises(UsageError, match="at"):
            table.at(wrong)


def test_where_says_what_it_takes() -> None:
    with pytest.raises(UsageError, match=r"where\(a=2\), and no str"):
        Results({"y": [1.0]}).where("y>1")  # type: ignore[arg-type]


def test_tables_are_put_below_each_other() -> None:
    other = Results({"a": [3], "trial": [0], "z": [1.0]}, parameters=["a", "trial"])
    joined = trials().concat(other)
    assert joined.parameters == ["a", "trial"]
    assert list(joined["a"]) == [1, 1, 2, 2, 2, 3]
    assert np.isnan(list(joined["z"])[:5]).all() and joined["z"][5] == 1.0
    assert list(joined["word"][:5]) == list(trials()["word"])


def test_a_summary_groups_by_every_parameter_but_those_named() -> None:
    summary = trials().summary(over="trial", stats=["mean", "n", "n_missing"])
    assert summary.parameters == ["a"] and summary["a"] == [1, 2]
    assert list(summary) == ["a", "y_mean", "y_n", "y_n_missing"]
    assert summary["y_mean"].tolist() == [2.0, 3.5]
    assert summary["y_n"].tolist() == [2, 2] and summary["y_n_missing"].tolist() == [0, 1]
    assert trials().summary().n_rows == 5
    assert trials().summary(over=["a", "trial"], stats=["max"])["y_max"].tolist() == [5.0]
    with pytest.raises(UnknownNameError, match=r'parameter "trail"\. Did you mean "trial"'):
        trials().summary(over="trail")
    with pytest.raises(UnknownNameError, match=r'statistic "men"\. Did you mean "mean"'):
        trials().summary(over="trial", stats=["men"])


def test_one_statistic_may_be_named_alone() -> None:
    table = Results({"a": [1, 1], "y": [1.0, 3.0]}, parameters=["a"])
    assert dict(table.summary(stats="max")) == {"a": [1], "y_max": np.array([3.0])}


def test_no_statistic_takes_the_place_of_a_parameter() -> None:
    columns = {"y_mean": [7, 7, 8], "repeat": [0, 1, 0], "y": [1.0, 2.0, 3.0]}
    table = Results(columns, parameters=["y_mean", "repeat"])
    with pytest.raises(UsageError, match='The mean of "y" would be called "y_mean"'):
        table.summary()
    assert list(table.summary(stats="max")) == ["y_mean", "y_max"]
    assert list(table.summary(over=["y_mean", "repeat"], stats="mean")) == ["y_mean"]


def test_groups_come_in_the_order_of_their_first_rows() -> None:
    table = Results({"a": ["z", "b", "z", "a"], "y": [1, 2, 3, 4]}, parameters=["a"])
    assert list(table.summary(stats=["n"])["a"]) == ["z", "b", "a"]


def test_arrays_are_summed_up_element_by_element() -> None:
    trace = np.array([[1.0, 10.0], [3.0, np.nan], [5.0, 5.0]])
    table = Results({"a": [1, 1, 2], "trace": trace}, parameters=["a"])
    summary = table.summary(over=[], stats=["mean", "n", "std"])
    assert summary["trace_mean"].tolist() == [[2.0, 10.0], [5.0, 5.0]]
    assert summary["trace_n"].tolist() == [[2, 1], [1, 1]]
    assert np.isnan(summary["trace_std"][1]).all()


def test_what_is_no_number_is_left_out_of_a_summary() -> None:
    columns: dict[str, Any] = {
        "a": [1, 1],
        "text": ["x", "y"],
        "ragged": [np.zeros(2), np.zeros(3)],
        "nested": [[[1], [2, 3]], [[1], [2]]],
        "array or not": [np.zeros(2), 3.0],
        "array or none": [np.ones(2), None],
        "none": [None, 2],
        "flag": [True, False],
        "whole": [2**70, 1],
        "dicts": [{}, {}],
    }
    summary = Results(columns, parameters=["a"]).summary(stats=["mean"])
    assert list(summary) == ["a", "array or none_mean", "none_mean", "flag_mean"]
    assert summary["array or none_mean"].tolist() == [[1.0, 1.0]]
    assert summary["none_mean"].tolist() == [2.0] and summary["flag_mean"].tolist() == [0.5]


VALUES = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=1, max_size=12)


@given(st.lists(VALUES, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_statistics_are_those_of_numpy_and_the_standard_library(
    groups: list[list[float]], chance: Any
) -> None:
    rows = [(g, value) for g, values in enumerate(groups) for value in values]
    chance.shuffle(rows)
    table = Results({"g": [g for g, _ in rows], "y": [y for _, y in rows]}, parameters=["g"])
    summary = table.summary(over=[], stats=list(STATISTICS))
    for row in summary.rows():
        values = [y for g, y in rows if g == row["g"] and not math.isnan(y)]
        n = len(values)
        assert row["y_n"] == n and row["y_n_missing"] == len(groups[row["g"]]) - n
        expected = dict.fromkeys(STATISTICS, float("nan"))
        if n:
            low, high = np.quantile(values, [0.25, 0.75])
            expected |= {"mean": np.mean(values), "median": np.median(values)}
            expected |= {"iqr": high - low, "min": min(values), "max": max(values)}
        if n > 1:
            std = statistics.stdev(values)
            expected |= {"std": std, "sem": std / math.sqrt(n)}
            expected["ci95"] = t_quantile(n - 1) * std / math.sqrt(n)
        for name in set(expected) - {"n", "n_missing"}:
            assert row[f"y_{name}"] == pytest.approx(
                expected[name], rel=1e-9, abs=1e-6, nan_ok=True
            )


@pytest.mark.parametrize("dof", T_TABLE)
def test_quantiles_of_students_t(dof: int) -> None:
    assert t_quantile(dof) == pytest.approx(T_TABLE[dof], abs=5e-4)


def test_quantiles_go_over_into_the_normal_ones() -> None:
    assert t_quantile(10_000) == pytest.approx(t_quantile(10_001), abs=1e-7)
    assert t_quantile(10**9) == pytest.approx(1.959963984540054, abs=1e-8)


def test_infinite_values_stay_what_they_are() -> None:
    table = Results({"g": [1, 1, 1], "y": [np.inf, np.inf, 1.0]}, parameters=["g"])
    row = table.summary(over=[], stats=["max", "median", "min"]).item()
    assert (row["y_max"], row["y_median"], row["y_min"]) == (np.inf, np.inf, 1.0)


@pytest.mark.filterwarnings("error")
def test_infinities_of_both_signs_have_no_mean_and_give_no_warning() -> None:
    table = Results({"y": [math.inf, 1.0, -math.inf]})
    assert math.isnan(table.summary(stats="mean")["y_mean"][0])


def test_an_empty_table_has_an_empty_summary() -> None:
    empty = trials().where(a=7)
    assert empty.summary(over="trial").n_rows == 0
    assert list(empty.summary(over="trial")) == ["a", "y_mean", "y_ci95", "y_n"]
    assert empty.summary(over=["a", "trial"]).n_rows == 0
    assert "0 rows" in repr(empty)


def test_a_data_frame_has_arrays_as_objects() -> None:
    columns = {"a": [1, 2], "trace": np.arange(6.0).reshape(2, 3), "b": [[1], [2, 3]]}
    frame = Results(columns, parameters=["a"]).to_pandas()
    assert list(frame["trace"][1]) == [3.0, 4.0, 5.0] and frame["b"][1] == [2, 3]
    assert frame["a"].dtype == np.int64


def test_it_is_shown_in_few_lines_whatever_is_in_it() -> None:
    long = Results({"x": list(range(1000)), "t": ["\x1b[31mred" + "r" * 100] * 1000})
    shown = repr(long)
    assert len(shown.splitlines()) == 15 and "…" in shown and "999" in shown
    assert "\x1b" not in shown and max(map(len, shown.splitlines())) < 40
    assert repr(Results({})) == "Results: 0 rows"


def test_it_is_pickled_and_copied_as_what_it_is() -> None:
    table = trials()
    for other in (pickle.loads(pickle.dumps(table)), table.copy()):
        assert type(other) is Results and other.parameters == table.parameters
        assert repr(other) == repr(table)


def test_a_table_of_no_run_says_what_to_load() -> None:
    assert trials().task is None and trials().run is None
    with pytest.raises(UsageError, match="by the name of the task"):
        trials().failures
