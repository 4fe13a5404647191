"""Which parameter values are suspect, and where failures happened."""

from __future__ import annotations

import itertools
from fractions import Fraction
from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psyflow import Param
from psyflow.outcomes.records import Failure
from psyflow.record.layout import Layout
from psyflow.report.failures import hypergeometric_tail, place_of, suspects


@st.composite
def draws(draw):
    """Return k, n_all, n_marked, n_drawn that can be observed."""
    n_all = draw(st.integers(1, 60))
    n_marked, n_drawn = draw(st.integers(0, n_all)), draw(st.integers(0, n_all))
    k = draw(st.integers(max(0, n_marked + n_drawn - n_all), min(n_marked, n_drawn)))
    return k, n_all, n_marked, n_drawn


@given(draws())
@settings(max_examples=100, deadline=None)
def test_tail_of_the_hypergeometric_distribution(case):
    k, n_all, n_marked, n_drawn = case
    ways = sum(
        comb(n_marked, i) * comb(n_all - n_marked, n_drawn - i)
        for i in range(k, min(n_marked, n_drawn) + 1)
    )
    exact = Fraction(ways, comb(n_all, n_drawn))
    assert hypergeometric_tail(*case) == pytest.approx(float(exact), rel=1e-9)


def test_the_tail_of_large_numbers():
    assert 0 <= hypergeometric_tail(900, 1_000_000, 1_000, 5_000) < 1e-300
    assert 0.3 < hypergeometric_tail(5, 1_000_000, 1_000, 5_000) < 0.6


def found(space, group, ran=None):
    ran = np.arange(len(space)) if ran is None else np.array(ran)
    return [(s.name, s.value, s.n_group, s.n_ran) for s in suspects(space, group, ran)]


SPACE = Param(a=[0.5, 1.5, 2.5]) * Param(b=range(10))


def test_the_value_that_all_failures_share_is_a_suspect():
    assert found(SPACE, range(10, 16)) == [("a", "1.5", 6, 10)]


def test_suspects_are_shown_as_psets_are_and_in_the_order_of_the_space():
    space = Param(a=np.linspace(2.0, 0.5, 4)) * Param(b=range(20))
    group = [*range(12), *range(20, 32)]
    assert found(space, group) == [("a", "2.0", 12, 20), ("a", "1.5", 12, 20)]


def test_scattered_failures_have_no_suspects():
    assert found(SPACE, [0, 3, 11, 14, 22, 28]) == []
    assert found(SPACE, range(30)) == []


def test_few_failures_have_no_suspects():
    wide = Param(a=range(500)) * Param(b=range(2))
    assert found(wide, [10, 11]) == []


def test_items_that_did_not_run_do_not_count():
    # All that ran have the value, so that it is no wonder that those that failed have it.
    assert found(SPACE, range(10, 16), range(10, 20)) == []


def test_several_suspects_come_least_likely_first():
    # All of a = 1, and most of b = 0.
    space = Param(a=range(8)) * Param(b=range(8))
    group = {8 + b for b in range(8)} | {8 * a for a in range(6)}
    assert [(name, value) for name, value, *_ in found(space, group)] == [("a", "1"), ("b", "0")]


@pytest.mark.parametrize(
    "value", [float("nan"), None, "é", [1, 2], {"lr": 0.1}, np.arange(3), (1, "x")]
)
def test_values_of_any_kind(value):
    values = [value, 7, 8, 9]
    space = Param(v=values) * Param(b=range(6))
    ((name, text, n_group, n_ran),) = found(space, range(6))
    assert (name, n_group, n_ran) == ("v", 6, 6)
    assert text == repr(space[0]["v"])


def test_a_large_space_is_counted_in_blocks():
    space = Param(a=range(400)) * Param(b=range(500))
    group = [500 * 7 + b for b in range(300)]
    assert found(space, group) == [("a", "7", 300, 500)]


@given(st.sets(st.integers(0, 29), min_size=3, max_size=29))
@settings(max_examples=60, deadline=None)
def test_counts_are_those_of_brute_force(group):
    psets = list(SPACE.iterate())
    for name, value, n_group, n_ran in found(SPACE, group):
        has = [repr(pset[name]) == value for pset in psets]
        assert n_ran == sum(has)
        assert n_group == sum(has[item] for item in group)
        assert n_group / len(group) > n_ran / len(psets)


# -- places --------------------------------------------------------------------------------------

TASKS, LAYOUT = Path("/study/psy-tasks"), Layout(Path("/study/w/t"), "t", Path("/study/w/t/r.pkl"))
CODE = "/study/w/t/plans/20260101T000000-0a0b0c/code"


def failure(*frames: str, kind: str = "error") -> Failure:
    lines = [f'  File "{frame}", line {n}, in f{n}\n    x()' for n, frame in enumerate(frames, 3)]
    trace = "\n".join(["Traceback (most recent call last):", *lines, "ValueError: no"])
    return Failure(0, kind, "ValueError: no", trace)


@pytest.mark.parametrize(
    ("frames", "place"),
    [
        ([f"{CODE}/task_t.py"], "task_t.py, line 3, in f3"),
        ([f"{CODE}/task_t.py", f"{CODE}/lib/h.py"], "lib/h.py, line 4, in f4"),
        ([f"{CODE}/task_t.py", "/usr/lib/json.py"], "task_t.py, line 3, in f3"),
        (["/usr/a.py", str(TASKS / "h.py"), "/usr/lib/json.py"], "h.py, line 4, in f4"),
        (["/usr/lib/json.py"], "ValueError"),
        ([], "ValueError"),
    ],
)
def test_the_place_is_the_last_line_of_the_tasks_code(frames, place):
    assert place_of(failure(*frames), TASKS, LAYOUT) == place


@pytest.mark.parametrize("kind", ["crash", "timeout", "oom"])
def test_what_is_no_exception_goes_by_its_kind(kind):
    assert place_of(Failure(0, kind, "Its process ended."), TASKS, LAYOUT) == kind


def test_lines_within_exception_groups_are_found():
    text = f'  + Exception Group Traceback:\n  | File "{CODE}/task_t.py", line 9, in g\n'
    group = Failure(0, "error", "ExceptionGroup: 2 of them", text)
    assert place_of(group, TASKS, LAYOUT) == "task_t.py, line 9, in g"


def test_places_do_not_depend_on_the_plan():
    runs = ("20260101T000000-0a0b0c", "20270101T000000-ffffff")
    frames = [f"/study/w/t/plans/{run}/code/task_t.py" for run in runs]
    assert len({place_of(failure(frame), TASKS, LAYOUT) for frame in frames}) == 1
    assert len(set(itertools.chain(frames))) == 2
