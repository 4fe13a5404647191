"""Columns of text as users load them: each value exact, in an array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from psyflow.store.comparing import comparable, strings

texts = st.text(st.characters(categories=None), max_size=4)
singles = st.one_of(
    texts, st.binary(max_size=4), st.none(), st.floats(), st.booleans(), st.integers(), st.just(1j)
)


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and repr(one) == repr(other)


@given(st.one_of(st.lists(singles), st.lists(texts), st.lists(st.binary(max_size=4))))
def test_an_array_of_single_values_has_each_as_it_was(values: list[Any]) -> None:
    column = comparable(values)
    found = column.tolist() if isinstance(column, np.ndarray) else column
    assert len(found) == len(values) and all(map(same, found, values))


@given(st.lists(singles, min_size=1))
def test_only_numbers_stay_a_list(values: list[Any]) -> None:
    types = set(map(type, values))
    is_of_numbers = types <= {int, float, complex} or types == {bool}
    assert isinstance(comparable(values), list) == is_of_numbers


@pytest.mark.parametrize("value", [["a"], ("a",), {"a": 1}, np.zeros(2), np.void(b"a"), object()])
def test_other_values_stay_in_a_list(value: Any) -> None:
    column = ["a", value, None]
    assert comparable(column) is column


@pytest.mark.parametrize(("n", "is_array"), [(10, True), (10**4, False)])
def test_one_long_text_does_not_make_the_others_long(n: int, is_array: bool) -> None:
    column = ["a"] * n + ["b" * 10**4]
    assert (strings(column) is not None) == is_array
    assert (comparable(column) == "a").sum() == n


def test_columns_that_are_no_list_stay_what_they_are() -> None:
    for column in (np.arange(3), np.array(["a"]), []):
        assert comparable(column) is column
