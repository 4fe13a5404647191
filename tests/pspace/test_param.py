"""`Param`: what counts as a sequence, what comes out again, how it looks."""

import math
import pickle

import numpy as np
import pandas as pd
import pytest

from psyflow.columns import Numbers, unpacked
from psyflow.pspace import Param, dict_concat


def test_single_values_are_replicated_to_the_length_of_the_sequences():
    space = Param(a=[1, 2, 3], b=[4, 5, 6], c=7, mode="fast", nothing=None, options={"x": 1})
    assert space.build() == {
        "a": [1, 2, 3],
        "b": [4, 5, 6],
        "c": [7, 7, 7],
        "mode": ["fast"] * 3,
        "nothing": [None] * 3,
        "options": [{"x": 1}] * 3,
    }


@pytest.mark.parametrize(
    "value", ["item", b"item", bytearray(b"x"), None, 3, 2.5, {"k": [1]}, np.float32(1), len]
)
def test_only_single_values_make_one_pset(value):
    space = Param(a=value)
    assert len(space) == 1
    assert type(space[0]["a"]) is type(value)
    assert space.build() == {"a": [value]}


def test_zero_dimensional_array_is_a_single_value():
    (value,) = Param(a=np.array(3, dtype=np.int16)).build()["a"]
    assert type(value) is np.int16
    assert value == 3


def test_no_parameters_make_no_psets():
    assert len(Param()) == 0
    assert Param().build() == {}
    assert list(Param().iterate()) == []


def test_empty_sequences_keep_their_names():
    assert Param(a=[], b=1).build() == {"a": [], "b": []}
    assert Param(a=[], b=1).keys() == ["a", "b"]


def test_unequal_lengths_are_named():
    with pytest.raises(ValueError, match=r"Parameter lists differ in length\.") as caught:
        Param(alpha=[1, 2], beta=[1, 2, 3], c=1)
    assert "`alpha` has 2, `beta` has 3" in str(caught.value)


def test_lists_of_one_are_not_replicated():
    with pytest.raises(ValueError, match="differ in length"):
        Param(a=[1], b=[1, 2])


@pytest.mark.parametrize(
    "make",
    [
        lambda: (1, 2, 3),
        lambda: range(1, 4),
        lambda: iter([1, 2, 3]),
        lambda: (i for i in [1, 2, 3]),
        lambda: {1: "x", 2: "y", 3: "z"}.keys(),
        lambda: {3, 1, 2},
        lambda: frozenset([2, 3, 1]),
    ],
)
def test_iterables_are_sequences(make):
    space = Param(a=make())
    assert space.build() == space.build() == {"a": [1, 2, 3]}
    assert {type(v) for v in space.build()["a"]} == {int}


def test_sets_that_cannot_be_sorted_are_refused():
    with pytest.raises(TypeError, match="Parameter `a` is a set"):
        Param(a={1, "x"})


def test_ranges_are_not_expanded():
    space = Param(a=range(10**15), b=range(10**15, 0, -1))
    assert space[-2] == {"a": 10**15 - 2, "b": 2}
    assert type(space[3]["a"]) is int
    assert len(pickle.dumps(space)) < 1000


def test_ranges_of_huge_integers():
    assert Param(a=range(2**70, 2**70 + 3))[1:].build() == {"a": [2**70 + 1, 2**70 + 2]}


def test_lists_give_the_very_objects_that_were_put_in():
    objects = [object(), [1, 2], np.zeros(3), np.float64(1), "x", True]
    for given, got in zip(objects, Param(a=objects).build()["a"], strict=True):
        assert got is given


@pytest.mark.parametrize(
    "dtype", ["i1", "u8", "f4", "f8", "c8", "?", "U3", "S3", "M8[ms]", "m8[D]"]
)
def test_arrays_give_numpy_scalars_of_their_type(dtype):
    array = np.array([0, 1, 2]).astype(dtype)
    built = Param(a=array).build()["a"]
    assert [type(v) for v in built] == [array.dtype.type] * 3
    assert [v.dtype for v in built] == [v.dtype for v in array]
    assert built == list(array)
    assert Param(a=array).columns()["a"].dtype == array.dtype


def test_rows_of_arrays_are_array_valued_parameters():
    array = np.arange(12.0).reshape(3, 2, 2)
    space = Param(a=array, b=[1, 2, 3])
    assert len(space) == 3
    np.testing.assert_array_equal(space[1]["a"], array[1])
    np.testing.assert_array_equal(space.columns(1)["a"], array[1:])


def test_object_and_masked_arrays_are_lists():
    assert Param(a=np.array([1, "x"], dtype=object)).build() == {"a": [1, "x"]}
    masked = Param(a=np.ma.array([1, 2], mask=[False, True])).build()["a"]
    assert masked[0] == 1
    assert masked[1] is np.ma.masked


def test_a_space_does_not_change_with_what_it_was_made_from():
    values, array = [1, 2], np.array([1, 2])
    space = Param(a=values, b=array)
    values.append(3)
    array[0] = 9
    assert space.build() == {"a": [1, 2], "b": [1, 2]}


def test_nor_with_what_it_gave_out():
    space = Param(a=np.array([1, 2]))
    space.columns()["a"][:] = 0
    space.pset_keys()[:] = 0
    assert space.build() == {"a": [1, 2]}
    assert space.pset_keys().any()


def test_any_string_is_a_name():
    names = ["b.x", "learning rate", "", "self", "ünï", "class", "items", "\ud800"]
    space = Param(**{name: [1, 2] for name in names})
    assert space.keys() == sorted(names)
    assert space[1] == dict.fromkeys(names, 2)
    assert len(space.pset_keys()) == 2


def test_text_of_a_space():
    space = Param(**{"b.b": [3, 4], "a": [1, 2], "c": "x"})
    assert str(space) == "Param(a=[1, 2], b.b=[3, 4], c='x')"
    assert repr(space) == "Param(**{'a': [1, 2], 'b.b': [3, 4], 'c': 'x'})"
    assert eval(repr(space)).build() == space.build()
    assert (
        str(Param(r=range(3), a=np.array([1.0, 2, 3])))
        == "Param(a=array([1., 2., 3.]), r=range(0, 3))"
    )


def test_text_of_a_large_space_is_short():
    space = Param(a=list(range(10**5)), b=np.arange(10**5), c=range(10**5))
    assert len(repr(space)) < 200


@pytest.mark.parametrize("rows_type", [list, tuple, iter])
def test_from_rows(rows_type):
    rows = [{"a": 1, "l": [1, 2]}, {"a": "x", "b": 2}]
    space = Param.from_psets(rows_type(rows))
    built = space.build()
    assert built["a"] == [1, "x"]
    assert built["l"][0] == [1, 2]
    assert math.isnan(built["l"][1])
    assert math.isnan(built["b"][0])
    assert built["b"][1] == 2


def test_from_rows_keeps_multiplicity_also_without_names():
    assert len(Param.from_psets([{"a": 1}] * 5)) == 5
    empty = Param.from_psets([{}] * 5)
    assert list(empty) == [{}] * 5
    assert len(empty * Param(a=[1, 2])) == 10
    assert [*(empty + Param(a=[1]))][5] == {"a": 1}
    assert len(empty + empty) == 10
    assert len(Param.from_psets([])) == 0


def test_from_rows_of_other_dict_likes():
    frame = pd.DataFrame({"a": [1, 2]})
    rows = [row for _, row in frame.iterrows()]
    assert Param.from_psets(rows).build() == {"a": [1, 2]}
    assert Param.from_psets([[("a", 1)], [("a", 2)]]).build() == {"a": [1, 2]}
    assert Param.from_psets(Param(a=[1, 2])).build() == {"a": [1, 2]}


def test_from_columns():
    assert Param.from_psets({"a": [1, 2], "b": 3}).build() == {"a": [1, 2], "b": [3, 3]}
    with pytest.raises(ValueError, match="differ in length"):
        Param.from_psets({"a": [1, 2], "b": [1]})


def test_from_data_frame():
    frame = pd.DataFrame(
        {
            "i": np.array([1, 2], dtype=np.int16),
            "t": pd.to_datetime(["2020-01-01", None]),
            "s": ["x", "y"],
            "o": [[1], None],
            "n": pd.array([5, None], dtype="Int64"),
            "c": pd.Categorical(["u", "v"]),
        },
        index=[7, 7],
    )
    built = Param.from_psets(frame).build()
    assert [type(v) for v in built["i"]] == [np.int16] * 2
    assert built["t"][0] == np.datetime64("2020-01-01")
    assert built["s"] == ["x", "y"]
    assert built["o"] == [[1], None]
    assert built["n"][0] == 5
    assert math.isnan(built["n"][1])
    assert built["c"] == ["u", "v"]
    assert Param(a=frame["i"]).columns()["a"].dtype == np.int16
    assert len(Param.from_psets(pd.DataFrame(index=range(3)))) == 3


def test_names_that_are_no_strings_are_refused():
    for rows in ([{1: 2}], {1: [2]}, pd.DataFrame({1: [2]})):
        with pytest.raises(TypeError, match="must be a string, not 1"):
            Param.from_psets(rows)


@pytest.mark.parametrize("rows", [None, 3, [1], "abc", pd.Series([1]), [("a", 1)]])
def test_what_is_no_table_is_refused(rows):
    with pytest.raises(TypeError, match="made from dicts, a dict of columns or a data frame"):
        Param.from_psets(rows)


def test_data_frame_with_two_columns_of_one_name_is_refused():
    with pytest.raises(ValueError, match="Two columns are called `a`"):
        Param.from_psets(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_dict_concat():
    assert dict_concat([{"a": 1}, {"b": 2}, {"a": 3, "b": 4}]) == {
        "a": [1, None, 3],
        "b": [None, 2, 4],
    }
    assert dict_concat([]) == {}


def test_what_is_taken_are_lists_of_python_numbers():
    space = Param(a=range(20)) * Param(b=["x"]) + Param(a=range(3))
    for table in (space.take(np.arange(23)), space.columns()):
        assert type(table["a"]) is list
        assert set(map(type, table["a"])) == {int}
    assert type(space[3]["a"]) is int
    assert {type(pset["a"]) for pset in space} == {int}


def test_ranges_are_at_hand_as_packed_numbers():
    space = Param(a=range(5, 25, 2)) * Param(b=["x", "y"])
    packed = space.take_packed(np.arange(20)[::-1])
    assert isinstance(packed["a"], Numbers)
    assert unpacked(packed) == space.take(np.arange(20)[::-1])
    assert space.keys() == list(packed)


def test_a_range_beyond_64_bits_is_taken_too():
    levels = range(2**63 - 2, 2**63 + 8)
    assert Param(a=levels).take(np.arange(10)) == {"a": list(levels)}
