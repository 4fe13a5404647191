"""Combinations, progressions and counts. Numbers such as E1 are of the behaviours of execo."""

from __future__ import annotations

import pytest

from psyflow.exceptions import AmbiguousOperationError
from psyflow.sweeper import HashableDict, ParamSweeper, geom, igeom, sweep, sweep_stats


def test_all_combinations_the_first_factor_outermost() -> None:  # E1
    assert sweep({"param 1": ["a", "b"], "param 2": [1, 2]}) == [
        {"param 1": "a", "param 2": 1},
        {"param 1": "a", "param 2": 2},
        {"param 1": "b", "param 2": 1},
        {"param 1": "b", "param 2": 2},
    ]


def test_factors_of_one_level_only() -> None:  # E2
    combinations = sweep(
        {
            "param 1": ["a", "b"],
            "param 2": {
                1: {"param 1 1": ["x", "y"], "param 1 2": [0.0, 1.0]},
                2: {"param 2 1": [-10, 10]},
            },
        }
    )
    # As the manual of execo_engine prints them, but for the order within a level.
    told = [
        {"param 1 2": 0.0, "param 1 1": "x", "param 1": "a", "param 2": 1},
        {"param 1 2": 0.0, "param 1 1": "y", "param 1": "a", "param 2": 1},
        {"param 1 2": 1.0, "param 1 1": "x", "param 1": "a", "param 2": 1},
        {"param 1 2": 1.0, "param 1 1": "y", "param 1": "a", "param 2": 1},
        {"param 2 1": -10, "param 1": "a", "param 2": 2},
        {"param 2 1": 10, "param 1": "a", "param 2": 2},
        {"param 1 2": 0.0, "param 1 1": "x", "param 1": "b", "param 2": 1},
        {"param 1 2": 0.0, "param 1 1": "y", "param 1": "b", "param 2": 1},
        {"param 1 2": 1.0, "param 1 1": "x", "param 1": "b", "param 2": 1},
        {"param 1 2": 1.0, "param 1 1": "y", "param 1": "b", "param 2": 1},
        {"param 2 1": -10, "param 1": "b", "param 2": 2},
        {"param 2 1": 10, "param 1": "b", "param 2": 2},
    ]
    assert sorted(map(sorted_items, combinations)) == sorted(map(sorted_items, told))
    assert [c["param 2"] for c in combinations] == [c["param 2"] for c in told]
    assert sweep({"a": {1: {}, 2: {"b": {3: {"c": [4, 5]}}}}}) == [
        {"a": 1},
        {"a": 2, "b": 3, "c": 4},
        {"a": 2, "b": 3, "c": 5},
    ]


def sorted_items(combination: HashableDict) -> str:
    return repr(sorted(combination.items()))


def test_combinations_are_keys_and_elements_of_sets() -> None:  # E3
    combinations = sweep({"a": [1, 2], "b": ["x"]})
    assert {c: c["a"] for c in combinations}[HashableDict(b="x", a=2)] == 2
    assert {*combinations, HashableDict(a=1, b="x")} == {*combinations}
    assert isinstance(combinations, list)
    assert {HashableDict(a=[1])} == {HashableDict(a=[1])}


def test_a_factor_without_levels_is_left_out() -> None:  # E4
    assert sweep({"a": [], "b": [1], "c": {}}) == [{"b": 1}]
    assert sweep({}) == [{}]


@pytest.mark.parametrize(
    ("factors", "error", "message"),
    [
        ([1, 2], TypeError, "takes a dict"),
        ({"a": 1}, TypeError, "have to be a list, not 1"),
        ({"a": {1: [2]}}, TypeError, "a dict of its own factors"),
        ({"a": [1], "b": {2: {"a": [3]}}}, AmbiguousOperationError, "'a' is given twice"),
        ({"a": {1: {"a": [3]}}}, AmbiguousOperationError, "'a' is given twice"),
    ],
)
def test_bad_factors(factors: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sweep(factors)


def test_counts_by_level(tmp_path: object) -> None:  # E16
    combinations = sweep({"a": ["x", "y"], "b": [1, 2]})
    sweeper = ParamSweeper(tmp_path, combinations)
    sweeper.done(combinations[0])
    sweeper.get_next()
    sweeper.skip(combinations[2])
    told = sweep_stats(sweeper.stats())
    assert told["total"] == {"a": {"x": 2, "y": 2}, "b": {1: 2, 2: 2}}
    assert told["done"] == {"a": {"x": 1}, "b": {1: 1}}
    assert told["done_ratio"] == {"a": {"x": 0.5, "y": 0.0}, "b": {1: 0.5, 2: 0.0}}
    assert told["inprogress"] == {"a": {"x": 1}, "b": {2: 1}}
    assert told["skipped_ratio"] == {"a": {"x": 0.0, "y": 0.5}, "b": {1: 0.5, 2: 0.0}}
    assert told["remaining"] == {"a": {"y": 1}, "b": {2: 1}}
    with pytest.raises(TypeError, match="that are dicts"):
        sweep_stats(([1], [1], [], [], []))


def test_progressions() -> None:  # E17
    assert geom(range_min=1, range_max=1000, num_steps=4) == [1.0, 10.0, 100.0, 1000.0]
    assert igeom(range_min=1, range_max=1000, num_steps=4) == [1, 10, 100, 1000]
