from __future__ import annotations

import enum
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psyflow.columns import (
    Numbers,
    concatenate,
    cut,
    from_rows,
    pack,
    pack_numbers,
    table_length,
    take,
    unpacked,
)
from tests.support.rows import Half, column_values, same, values


@given(column_values)
def test_packing_changes_no_value(column: list[Any]) -> None:
    packed = pack(column)
    assert len(packed) == len(column)
    assert same(list(packed), column)


@pytest.mark.parametrize(
    "column",
    [
        [np.float64(1), np.float64(2)],
        [np.int8(1), np.int8(2)],
        [np.datetime64("2020-01-01"), np.datetime64("2021-01-01")],
        [np.zeros((2, 3)), np.ones((2, 3))],
        [np.bool_(True), np.bool_(False)],
    ],
)
def test_values_of_one_dtype_and_shape_are_packed(column: list[Any]) -> None:
    packed = pack(column)
    assert isinstance(packed, np.ndarray)
    assert packed.dtype == column[0].dtype


class MyFloat(np.float64):
    pass


@pytest.mark.parametrize(
    "column",
    [
        [np.array(1.0), np.array(2.0)],
        [np.ma.array([1], mask=[True]), np.ma.array([2])],
        [MyFloat(1), MyFloat(2)],
        [np.float64(1), 1.0],
        [np.datetime64("2020-01-01"), np.datetime64("2020-01-01T00")],
        [np.str_("a"), np.str_("bc")],
        [np.zeros(2), np.zeros(3)],
        [np.zeros(2), np.zeros(2, np.float32)],
        [Half(1), Half(2)],
    ],
)
def test_values_that_an_array_would_change_stay_in_a_list(column: list[Any]) -> None:
    packed = pack(column)
    assert type(packed) is list
    assert all(map(lambda a, b: a is b, packed, column))


def test_dtype_metadata_is_kept() -> None:
    dtype = np.dtype("f8", metadata={"unit": "m"})
    column = [np.zeros(2, dtype), np.zeros(2)]
    assert [v.dtype.metadata for v in pack(column)] == [{"unit": "m"}, None]


rows_of = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "c d"]), values, max_size=3), max_size=8
)


@given(rows_of)
def test_from_rows_keeps_values_and_marks_absent_ones(rows: list[dict[str, Any]]) -> None:
    columns = from_rows(rows, absent=None)
    assert set(columns) == {name for row in rows for name in row}
    for name, column in columns.items():
        assert same(list(column), [row.get(name) for row in rows])


@given(column_values, st.data())
def test_take_is_indexing(column: list[Any], data: st.DataObject) -> None:
    indices = st.integers(0, max(0, len(column) - 1))
    rows = data.draw(st.lists(indices, max_size=5 if column else 0))
    taken = take(pack(column), np.array(rows, dtype=np.int64))
    assert same(list(taken), [column[i] for i in rows])


@settings(max_examples=60)
@given(st.lists(rows_of, max_size=4))
def test_concatenate_is_from_rows_of_all_rows(blocks: list[list[dict[str, Any]]]) -> None:
    whole = concatenate(
        [from_rows(rows, None) for rows in blocks], None, lengths=[len(rows) for rows in blocks]
    )
    expected = from_rows([row for rows in blocks for row in rows], None)
    assert set(whole) == set(expected)
    for name, column in whole.items():
        assert same(list(column), list(expected[name]))


def test_concatenate_keeps_arrays_of_one_dtype_as_arrays() -> None:
    whole = concatenate([{"a": np.zeros((2, 3))}, {"a": np.ones((1, 3))}])
    assert isinstance(whole["a"], np.ndarray)
    assert whole["a"].shape == (3, 3)


def test_absent_values_are_nan() -> None:
    whole = concatenate([{"a": [1]}, {"b": np.zeros(2)}])
    assert same(list(whole["a"]), [1, float("nan"), float("nan")])
    assert same(list(whole["b"]), [float("nan"), np.float64(0), np.float64(0)])


def test_columns_without_rows_keep_their_names() -> None:
    assert concatenate([{"a": [], "b": []}, {"a": []}]) == {"a": [], "b": []}
    assert concatenate([]) == {}


def test_columns_of_different_length_are_an_error() -> None:
    assert table_length({"a": [1, 2], "b": np.zeros(2)}) == 2
    assert table_length({}) == 0
    with pytest.raises(ValueError, match="'a': 1, 'b': 2"):
        table_length({"a": [1], "b": [1, 2]})


# --------------------------------------------------------------------------- numbers

number_columns = st.one_of(
    st.lists(st.booleans(), min_size=1),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1),
    st.lists(st.floats(), min_size=1),
    st.lists(st.complex_numbers(), min_size=1),
)


@given(number_columns)
def test_packed_numbers_are_what_they_were(column: list[Any]) -> None:
    packed = pack_numbers(column)
    assert isinstance(packed, Numbers)
    assert same(list(packed), column)
    assert same([packed[i] for i in range(len(column))], column)
    assert same(list(pickle.loads(pickle.dumps(packed))), column)
    assert unpacked({"a": packed})["a"].__class__ is list


@given(column_values)
def test_packing_numbers_changes_no_value(column: list[Any]) -> None:
    packed = pack_numbers(column)
    assert same(list(packed), column)


class Level(enum.IntEnum):
    LOW = 1


@pytest.mark.parametrize(
    "column",
    [[], [1, True], [1, 2.0], [2**63], [Level.LOW], [Half(1)], [np.float64(1)], ["1"], [None]],
    ids=str,
)
def test_what_is_no_plain_number_is_not_packed(column: list[Any]) -> None:
    assert pack_numbers(column) is column


@given(number_columns, st.data())
def test_rows_of_packed_numbers(column: list[Any], data: st.DataObject) -> None:
    packed = pack_numbers(column)
    places = st.integers(0, len(column) - 1)
    rows = data.draw(st.lists(places, max_size=5))
    assert same(list(take(packed, np.array(rows, dtype=np.int64))), [column[i] for i in rows])
    start, stop = sorted((data.draw(places), data.draw(places)))
    assert same(list(cut(packed, start, stop)), column[start:stop])
    assert same(list(packed[start:stop]), column[start:stop])


@given(st.lists(number_columns | column_values, min_size=1, max_size=4))
def test_packed_and_other_columns_below_each_other(parts: list[list[Any]]) -> None:
    blocks = [{"a": pack_numbers(part)} for part in parts]
    joined = concatenate(blocks)["a"]
    assert same(list(joined), [value for part in parts for value in part])


def test_numbers_of_one_type_stay_packed_and_a_gap_gives_a_list() -> None:
    blocks = [{"a": pack_numbers([1, 2])}, {"a": pack_numbers([3])}]
    assert isinstance(concatenate(blocks)["a"], Numbers)
    with_gap = concatenate([*blocks, {"b": [1]}], absent=None)
    assert with_gap == {"a": [1, 2, 3, None], "b": [None, None, None, 1]}


def test_text_of_several_widths_is_joined_as_text() -> None:
    tables = [{"a": np.array(["x", "yy"])}, {"a": ["z\0"]}, {"a": np.array(["long"])}]
    joined = concatenate(tables)["a"]
    assert joined == ["x", "yy", "z\0", "long"]
    assert set(map(type, joined)) == {str}
    assert concatenate([{"a": np.array([b"x"])}, {"a": [None]}])["a"] == [b"x", None]
