"""linspace, arange and logspace: the decimals one would type."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import psyflow
from psyflow import Param, arange, linspace, logspace

decimals = st.integers(-(10**6), 10**6).map(lambda i: Decimal(i) / 1000)
steps = st.integers(1, 10**4).map(lambda i: Decimal(i) / 1000)


def test_points_are_what_one_would_type():
    assert linspace(0, 1, 11) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert np.linspace(0, 1, 11).tolist() != linspace(0, 1, 11)
    assert arange(0.1, 0.65, 0.1) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert arange(1, 0, -0.25) == [1.0, 0.75, 0.5, 0.25]
    assert logspace(-4, 4, 9) == [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1e3, 1e4]
    assert logspace(0, 1, 3)[1] == 10**0.5
    assert (linspace(0.3, 7, 1), logspace(2, 3, 1)) == ([0.3], [100.0])


def test_numbers_of_numpy_and_decimals_are_taken_as_they_read():
    assert linspace(np.float32(0.1), Decimal("0.3"), 3) == [0.1, 0.2, 0.3]
    assert arange(np.float64(0), np.int64(1), Fraction(1, 2)) == [0.0, 0.5]


def test_types():
    assert {type(x) for x in linspace(0, 10, 11) + logspace(0, 2, 3) + arange(0, 2, 0.5)} == {
        float
    }
    assert {type(x) for x in arange(4) + arange(np.int64(1), 9, 2)} == {int}
    # NumPy's arange ends with 0.30000000000000004.
    assert arange(0, 0.3, 0.1) == [0.0, 0.1, 0.2]
    assert arange(3, 3) == arange(3, 0) == []


@given(decimals, decimals, st.integers(2, 40), st.integers(1, 5))
def test_every_point_is_exactly_a_point_of_a_finer_grid(first, last, n, times):
    a, b, finer = float(first), float(last), (n - 1) * times + 1
    assert linspace(a, b, n) == linspace(a, b, finer)[::times]
    assert linspace(a, b, n) == linspace(b, a, n)[::-1]
    small_a, small_b = a / 100, b / 100
    assert logspace(small_a, small_b, n) == logspace(small_a, small_b, finer)[::times]


@given(
    decimals,
    st.integers(1, 50),
    st.integers(1, 10**4).map(lambda i: Decimal(i) / 1000),
    st.integers(1, 5),
)
def test_steps_are_exact_decimals(start, n, step, times):
    stop = start + n * step
    expected = [float(start + i * step) for i in range(n)]
    assert arange(float(start), float(stop), float(step)) == expected
    finer = arange(float(start), float(stop), float(Decimal(step) / 10))
    assert finer[::10] == expected


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.integers(2, 30))
def test_they_are_nearly_those_of_numpy(first, last, n):
    size = max(abs(first), abs(last), 1)
    assert linspace(first, last, n) == pytest.approx(np.linspace(first, last, n), abs=1e-14 * size)
    assert linspace(first, last, n)[0] == first
    assert linspace(first, last, n)[-1] == last


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linspace(0, float("inf"), 3), "to or from inf"),
        (lambda: linspace(float("nan"), 1, 3), "to or from nan"),
        (lambda: linspace(0, 1, 0), "at least one number, not 0"),
        (lambda: arange(0, 1, 0), "step must not be 0"),
        (lambda: logspace(0, 1, 3, base=-1), "base must be positive, not -1"),
    ],
)
def test_what_is_no_grid_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_refined_study_asks_for_no_pset_again():
    coarse, fine = Param(x=linspace(0, 1, 11)), Param(x=linspace(0, 1, 101))
    assert len(coarse - fine) == 0
    assert {"linspace", "arange", "logspace"} <= set(psyflow.__all__)
