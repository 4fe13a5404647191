"""`sweep`, `geom` and `igeom`."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psyflow.pspace import AmbiguousOperationError, Param, geom, igeom, sweep


def given_names(space):
    """Return the psets without what is absent."""
    return [{n: v for n, v in pset.items() if v == v} for pset in space]


def test_full_factorial_with_the_first_factor_outermost():
    space = sweep({"p": ["a", "b"], "q": [1, 2]})
    assert list(space) == [{"p": p, "q": q} for p in "ab" for q in (1, 2)]


def test_sub_sweeps_are_explored_for_their_level_only():
    space = sweep(
        {
            "one": ["a", "b"],
            "two": {1: {"u": ["x", "y"], "v": [0.0, 1.0]}, 2: {"w": [-10, 10]}, 3: {}},
        }
    )
    expected = []
    for one in "ab":
        expected += [{"one": one, "two": 1, "u": u, "v": v} for u in "xy" for v in (0.0, 1.0)]
        expected += [{"one": one, "two": 2, "w": w} for w in (-10, 10)]
        expected += [{"one": one, "two": 3}]
    assert given_names(space) == expected
    assert math.isnan(space[0]["w"])


def test_sub_sweeps_nest():
    space = sweep({"a": {1: {"b": {"x": {"c": [5, 6]}, "y": {}}}, 2: Param(d=[7])}})
    assert given_names(space) == [
        {"a": 1, "b": "x", "c": 5},
        {"a": 1, "b": "x", "c": 6},
        {"a": 1, "b": "y"},
        {"a": 2, "d": 7},
    ]


def test_factors_without_levels_are_left_out():
    assert sweep({"a": [1, 2], "b": [], "c": {}}).build() == {"a": [1, 2]}
    assert sweep({"a": {1: {"b": []}}}).build() == {"a": [1]}
    assert sweep({"a": []}).build() == sweep({}).build() == {}


def test_levels_may_be_any_iterable_or_a_single_value():
    space = sweep({"a": range(2), "b": (i for i in "xy"), "c": "text", "d": None})
    assert len(space) == 4
    assert space[3] == {"a": 1, "b": "y", "c": "text", "d": None}


def test_a_level_keeps_its_value():
    assert list(sweep({"a": {(1, 2): {}, "xyz": {}}})) == [{"a": (1, 2)}, {"a": "xyz"}]


def test_a_huge_sweep_stays_lazy():
    space = sweep({name: range(1000) for name in "abcdef"})
    assert len(space) == 10**18
    assert space[-1] == dict.fromkeys("abcdef", 999)


def test_sub_sweeps_must_be_mappings():
    with pytest.raises(TypeError, match=r"levels of `a` are a dict.*it is \[1, 2\]"):
        sweep({"a": {"x": [1, 2]}})


def test_a_sweep_takes_a_dict_with_names():
    with pytest.raises(TypeError, match=r"takes a dict of factors and levels, not \[1, 2\]"):
        sweep([1, 2])
    with pytest.raises(TypeError, match="must be a string, not 1"):
        sweep({1: [2]})


def test_a_factor_within_itself_is_refused():
    with pytest.raises(AmbiguousOperationError, match="`a`"):
        sweep({"a": {1: {"a": [2]}}})


def test_geom_and_igeom():
    assert geom(1, 1000, 4) == [1, 10, 100, 1000]
    assert geom(1000, 1, 4) == [1000, 100, 10, 1]
    assert geom(-1, -4, 3) == [-1, -2, -4]
    assert geom(3, 7, 2) == [3, 7]
    assert geom(3, 7, 1) == [3]
    assert all(type(v) is float for v in geom(1, 8, 4))
    assert igeom(128, 2048, 3) == [128, 512, 2048]
    assert igeom(1, 4, 9) == [1, 2, 3, 4]
    assert all(type(v) is int for v in igeom(1, 8, 4))


@pytest.mark.parametrize(
    "arguments", [(0, 1, 3), (1, 0, 3), (-1, 1, 3), (1, 2, 0), (1, math.inf, 3), (math.nan, 1, 2)]
)
def test_impossible_progressions(arguments):
    for build in (geom, igeom):
        with pytest.raises(ValueError, match="progression"):
            build(*arguments)


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.integers(1, 50))
def test_geom_has_a_constant_ratio(first, last, n):
    numbers = geom(first, last, n)
    assert len(numbers) == n
    assert numbers[0] == first
    if n > 1:
        assert numbers[-1] == last
        ratio = (last / first) ** (1 / (n - 1))
        for a, b in itertools.pairwise(numbers):
            assert math.isclose(b / a, ratio, rel_tol=1e-12)


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 50))
def test_igeom_is_monotonic_and_distinct(first, last, n):
    numbers = igeom(first, last, n)
    assert len(set(numbers)) == len(numbers) <= n
    assert numbers in (sorted(numbers), sorted(numbers, reverse=True))
    assert numbers[0] == first
