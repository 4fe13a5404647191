from __future__ import annotations

import numpy as np
import pytest

from psyflow.cli.grid import width_of
from psyflow.results.text.digits import texts_of, texts_with_spread


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([1.0, 2.0], ["1.0", "2.0"]),
        ([0.1, 0.25], ["0.10", "0.25"]),
        ([1 / 3, 100 / 3], ["0.333", "33.333"]),
        ([1e-12, 2.5e-12], ["1.0e-12", "2.5e-12"]),
        ([1e300, 0.0], ["1e+300", "0e+00"]),
        ([1e-3, 12345.678], ["    0.001", "12346    "]),
        ([float("nan"), float("inf"), 0.5], ["nan", "inf", "0.5"]),
        ([1, 2.5], ["1.0", "2.5"]),
        ([10**30, 1], [f"{10**30}", "1"]),
        ([True, False], ["True", "False"]),
        ([], []),
        ([0.0, 0.0], ["0.0", "0.0"]),
        ([10**400, 1.5], [f"1{'0' * 198}…", "1.5"]),
    ],
)
def test_numbers_have_as_many_digits_as_make_sense(values, shown):
    assert [text.strip() for text in texts_of(values).cells] == [text.strip() for text in shown]


@pytest.mark.parametrize(
    "dtype", ["f4", "f8", "i8", "u1", "c16", "U3", "S3", "M8[s]", "m8[s]", "O"]
)
def test_every_kind_of_array_is_shown(dtype):
    cells = texts_of(np.ones(2, dtype="i8").astype(dtype)).cells
    assert len(cells) == 2 and all(len(text) < 30 for text in cells)


def test_values_of_parameters_stay_apart():
    values = [1.0, 1.0 + 2**-52, 0.1 + 0.2, 0.3]
    assert len(set(texts_of(values, is_exact=True).cells)) == 4
    assert len(set(texts_of(values).cells)) == 2


def test_a_spread_of_nothing_is_nothing():
    cells = texts_with_spread(np.array([1.5, 2.0]), np.array([0.0, np.nan])).cells
    assert cells == ["1.5 ± 0", "2.0"]
    assert texts_with_spread(np.array([5e20]), np.array([1e19])).cells == ["5e+20 ± 1e+19"]


def test_places_on_a_terminal():
    assert [width_of(text) for text in ("ab", "日本", "e\u0301", "🙂", "\u200b")] == [
        2,
        4,
        1,
        2,
        0,
    ]
