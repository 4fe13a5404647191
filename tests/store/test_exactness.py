"""What comes back from NPZ and HDF5: types and dtypes, not only values."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from psyflow.columns import concatenate, pack_numbers
from psyflow.exceptions import RaggedColumnWarning, UnsupportedDataError
from psyflow.store import H5Store, NpzStore, PickleStore, Store, _h5write
from psyflow.store.base import AdaptedStore, write_packed
from psyflow.testing.stores import assert_same_table

EXACT = [NpzStore(), H5Store()]
NAN = float("nan")

quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(params=EXACT, ids=["npz", "h5"])
def store(request):
    return request.param


@pytest.fixture
def path(store, tmp_path):
    return tmp_path / f"table{store.ext}"


def round_trip(store, path, column, **options):
    store.save(path, {"x": column})
    return store.load(path, **options)["x"]


def assert_identical(actual, expected):
    """Equal down to the sign of zero, the byte order and the type of each value."""
    assert type(actual) is type(expected)
    if isinstance(expected, np.ndarray):
        assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
        assert actual.tobytes() == expected.tobytes()
    elif isinstance(expected, list):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_identical(one, other)
    elif isinstance(expected, float) and math.isnan(expected):
        assert math.isnan(actual)
    else:
        assert actual == expected
        assert not isinstance(expected, np.generic) or actual.dtype == expected.dtype


@pytest.mark.parametrize(
    ("column", "dtype"),
    [([1, 2], "i8"), ([0.5], "f8"), ([True], "?"), ([1j], "c16"), ([2**63], "u8")],
)
def test_lists_of_numbers_become_arrays(store, path, column, dtype):
    assert_identical(round_trip(store, path, column), np.array(column, dtype))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([1, 2.5], np.array([1.0, 2.5])),
        ([1, NAN], np.array([1.0, NAN])),
        ([2**60, 0.5], np.array([2.0**60, 0.5])),
        ([1, 1j], np.array([1, 1j])),
        ([np.float32(0.1), 2.0], np.array([np.float32(0.1), 2.0])),
        ([np.int8(1), np.int16(2)], np.array([1, 2], np.int16)),
        ([np.int64(5), np.uint64(2**64 - 1)], np.array([5, 2**64 - 1], np.uint64)),
        ([np.arange(2), np.array([0.5, 1])], np.array([[0, 1], [0.5, 1]])),
        ([np.datetime64("2020"), np.datetime64("2020-01-02")], ["2020-01-01", "2020-01-02"]),
    ],
)
def test_numbers_are_joined_if_that_is_exact(store, path, column, expected):
    if isinstance(expected, list):
        expected = np.array(expected, "M8[D]")
    assert_identical(round_trip(store, path, column), expected)


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ([2**53 + 1, 0.5], "int64 .* float64"),
        ([2**64 - 1, 0.5], "uint64 .* float64"),
        ([2**1000, 0.5], "64 bits"),
        ([2**64], "64 bits"),
        ([-(2**63) - 1], "64 bits"),
        ([-1, 2**63], "64 bits"),
        ([np.int64(-1), np.uint64(1)], "int64 .* uint64"),
        ([True, 1], "bool and int"),
        ([np.True_, 0.5], "bool.* and float"),
        (["a", 1], "str and int"),
        (["a", 1.5, NAN], "str and float"),
        (["a", b"a"], "text and bytes"),
        (["a", np.array(["a"])], "str and ndarray"),
        ([np.array([True]), np.array([1])], "bool and number"),
        ([np.datetime64("2020-01-01"), np.timedelta64(1, "D")], "datetime64 and timedelta64"),
        ([np.timedelta64(1, "M"), np.timedelta64(1, "D")], "timedelta64"),
        ([np.datetime64("300000-01-01"), np.datetime64("2020-01-01", "ns")], "datetime64"),
        ([{"a": 1}], "dict"),
        ([[1, 2]], r"list \(numpy.array"),
        ([(1,)], "tuple"),
        ([1, object()], "object"),
        (np.zeros(2, "i4,f4"), "dtype"),
        ([np.zeros(2, object)], "dtype object"),
        (np.ma.masked_array([1, 2], [0, 1]), "MaskedArray"),
        ([np.array([True]), np.array([True, False])], "bool arrays of different shapes"),
        ([np.array([2**53 + 1]), np.array([1, 2])], "int64 .* float64"),
    ],
)
def test_what_would_change_is_refused(store, path, column, words):
    store.save(path, {"old": [1]})
    with pytest.raises(UnsupportedDataError, match=f'"x y".*{words}.*PickleStore') as caught:
        store.save(path, {"fine": [0] * len(column), "x y": column})
    assert isinstance(caught.value, NotImplementedError)
    assert_same_table(store.load(path), {"old": [1]})


class Text(str):
    pass


@pytest.mark.parametrize("value", [Text("a"), type("I", (int,), {})(1), np.ma.array([1])])
def test_subclasses_are_refused(store, value):
    with pytest.raises(UnsupportedDataError, match=f'"x".* {type(value).__name__}'):
        store.check({"x": value})


@pytest.mark.parametrize(
    "column",
    [
        ["a", None, "b\0"],
        ["a", NAN, None],
        [None, NAN, True],
        [1, None],
        [1.5, None, NAN],
        [b"\0", None, NAN],
        [None, np.float32(1.5)],
        [None, np.arange(3, dtype=np.int8)],
        [NAN, np.array(["a", "bc"]), np.array(["", "xy"])],
        [NAN, np.datetime64("2020-01-01", "ms")],
        [NAN, np.array([True, False])],
        [None, None],
    ],
)
def test_none_and_nan_among_others_are_exact(store, path, column):
    loaded = round_trip(store, path, column)
    assert_identical(loaded, column)
    store.append(path, {"x": column})
    assert_identical(store.load(path)["x"], column + column)


def test_text_array_becomes_list_of_str(store, path):
    assert_identical(round_trip(store, path, np.array(["a", "ö"])), ["a", "ö"])
    assert_identical(round_trip(store, path, [np.str_("a\0")]), ["a\0"])
    assert_identical(round_trip(store, path, np.array(["a", None], object)), ["a", None])


def test_text_arrays_take_the_widest(store, path):
    column = [np.array(["a"]), np.array(["bcd"])]
    assert_identical(round_trip(store, path, column), np.array([["a"], ["bcd"]]))


def test_pickle_gives_back_exactly_what_was_put_in(tmp_path):
    column = [1, 1.0, True, None, "a", Text("b"), {"a": [1]}, np.float32(1), np.array(["x"])]
    PickleStore().save(tmp_path / "a.pkl", {"x": column, "y": np.arange(9, dtype=">i2")})
    loaded = PickleStore().load(tmp_path / "a.pkl", ragged=True)
    assert_identical(loaded["x"], column)
    assert_identical(loaded["y"], np.arange(9, dtype=">i2"))


def test_pickle_names_what_cannot_be_pickled(tmp_path):
    store, local = PickleStore(), [1, lambda: 1]
    with pytest.raises(UnsupportedDataError, match=r'"bad".*function.*exclude_from_result'):
        store.save(tmp_path / "a.pkl", {"good": [1, 2], "bad": local})
    with pytest.raises(UnsupportedDataError, match=r'"bad".*function'):
        store.check({"good": 1, "bad": local[1]})
    assert not list(tmp_path.iterdir())


# --- ragged --------------------------------------------------------------------------------


def test_ragged_arrays_are_padded_and_kept(store, path):
    column = [np.arange(2), np.zeros((1, 3), int), np.int64(7), np.zeros(0, int)]
    with pytest.warns(RaggedColumnWarning, match='"x"') as caught:
        padded = round_trip(store, path, column)
    assert len(caught) == 1
    expected = np.full((4, 2, 3), NAN)
    expected[0, :, 0] = [0, 1]
    expected[1, 0] = 0
    expected[2, 0, 0] = 7
    assert_identical(padded, expected)
    assert_identical(store.load(path, ragged=True)["x"], column)
    assert_identical(store.load(path, row=1, ragged=True)["x"], column[1:2])
    assert_identical(store.load(path, row=1)["x"], expected[1:2])
    assert_identical(store.read(path, 1, 3)["x"], expected[1:3])


@pytest.mark.parametrize(
    ("dtype", "padding"),
    [("f4", NAN), ("c8", NAN), ("M8[s]", "NaT"), ("m8[s]", "NaT"), ("U3", ""), ("S2", b"")],
)
def test_ragged_padding_keeps_the_dtype(store, path, dtype, padding):
    column = [np.zeros(1, dtype), np.zeros(2, dtype)]
    expected = np.zeros((2, 2), dtype)
    expected[0, 1] = padding
    with pytest.warns(RaggedColumnWarning):
        assert_identical(round_trip(store, path, column), expected)
    assert_identical(store.load(path, ragged=True)["x"], column)


def test_one_warning_for_each_ragged_column(store, path):
    ragged = [np.zeros(1), np.zeros(2)]
    with pytest.warns(RaggedColumnWarning) as caught:
        store.save(path, {"a": ragged, "b": ragged, "c": [1, 2]})
    assert [str(w.message).split('"')[1] for w in caught] == ["a", "b"]


def test_append_keeps_ragged_arrays(store, path):
    column = [np.zeros(1, np.float32), np.ones(3, np.float32), None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RaggedColumnWarning)
        store.save(path, {"x": column})
        store.append(path, {"x": [np.ones(2, np.float32)]})
    loaded = store.load(path, ragged=True)["x"]
    assert_identical(loaded, [*column, np.ones(2, np.float32)])


# --- properties ----------------------------------------------------------------------------

scalars = {
    "int": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(),
    "bool": st.booleans(),
    "complex": st.complex_numbers(),
}
dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(),
    hnp.complex_number_dtypes(),
    hnp.datetime64_dtypes(),
    hnp.timedelta64_dtypes(),
)
shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)
names = st.text(st.characters(), max_size=20)
texts = st.text(st.characters(categories=None))


def optional(values):
    return st.lists(st.one_of(values, st.none()), min_size=1)


@quick
@given(column=hnp.arrays(dtypes, shapes))
def test_any_array_is_exact(store, path, column):
    assert_identical(round_trip(store, path, column), column)


@quick
@given(columns=st.dictionaries(names, optional(texts), max_size=4))
def test_any_names_and_texts_are_exact(store, path, columns):
    n = min(map(len, columns.values()), default=0)
    table = {name: column[:n] for name, column in columns.items()}
    store.save(path, table)
    loaded = store.load(path)
    assert list(loaded) == list(table)
    for name, column in table.items():
        assert_identical(loaded[name], column)


@quick
@given(data=st.data(), kind=st.sampled_from(sorted(scalars)))
def test_any_numbers_with_none_are_exact(store, path, data, kind):
    column = [None, *data.draw(optional(scalars[kind]))]
    # A column of None and Python's numbers stays a list of Python's numbers.
    assert_same_table({"x": round_trip(store, path, column)}, {"x": column})
    assert list(map(type, store.load(path)["x"])) == list(map(type, column))


@quick
@given(column=st.lists(st.one_of(st.integers(-(2**70), 2**70), st.floats()), min_size=1))
def test_int_and_float_are_equal_or_refused(store, path, column):
    try:
        loaded = round_trip(store, path, column).tolist()
    except UnsupportedDataError:
        assert any(abs(value) > 2**53 for value in column if isinstance(value, int))
        return
    same = [a == b or (a != a and b != b) for a, b in zip(loaded, column, strict=True)]
    assert all(same)


@quick
@given(
    column=st.lists(hnp.arrays(np.float32, hnp.array_shapes(min_dims=0, min_side=0, max_dims=3)))
)
def test_any_ragged_arrays_are_exact(store, path, column):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RaggedColumnWarning)
        store.save(path, {"x": column})
    loaded = list(store.load(path, ragged=True)["x"])
    assert_identical([np.asarray(value) for value in loaded], column)


blocks = st.lists(
    st.dictionaries(
        st.sampled_from("ab"),
        st.one_of(
            st.lists(st.one_of(st.none(), st.integers(-5, 5), st.floats(width=16)), max_size=5),
            st.lists(st.one_of(st.none(), st.text(max_size=5), st.just(NAN)), max_size=5),
            st.lists(st.one_of(st.none(), st.booleans(), st.just(NAN)), max_size=5),
            hnp.arrays(np.int16, st.tuples(st.integers(0, 5), st.just(2))),
            hnp.arrays("U3", st.tuples(st.integers(0, 3), st.just(2))),
            hnp.arrays("U5", st.tuples(st.integers(0, 3), st.just(2))),
        ),
    ),
    max_size=6,
)


def equal_lengths(block):
    n = min(map(len, block.values()), default=0)
    return {name: column[:n] for name, column in block.items()}


def save_or_error(save):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RaggedColumnWarning)
        try:
            save()
        except UnsupportedDataError:
            return UnsupportedDataError
    return None


@pytest.mark.parametrize("buffer_bytes", [-1, 100, 1 << 24])
@settings(quick, max_examples=150)
@given(blocks=blocks)
def test_h5_blocks_are_as_if_saved_at_once(tmp_path, buffer_bytes, blocks):
    with pytest.MonkeyPatch.context() as patch:
        # Without a buffer every block goes to disk at once, and all widening happens there.
        patch.setattr(_h5write, "_BUFFER_BYTES", buffer_bytes)
        patch.setattr(_h5write, "_BLOCK_BYTES", 20)
        _compare_blocks(tmp_path, blocks)


def _compare_blocks(tmp_path, blocks):
    blocks = [equal_lengths(block) for block in blocks]
    whole, streamed = tmp_path / "whole.h5", tmp_path / "streamed.h5"
    store = H5Store()
    error = save_or_error(lambda: store.save(whole, concatenate(blocks)))
    assert save_or_error(lambda: store.write(streamed, iter(blocks))) is error
    if error is None:
        expected = store.load(whole, ragged=True)
        loaded = store.load(streamed, ragged=True)
        assert list(loaded) == list(expected)
        for name in expected:
            assert_identical(list(loaded[name]), list(expected[name]))


@quick
@given(blocks=blocks)
def test_packed_numbers_are_stored_as_lists_are(store, tmp_path, blocks):
    blocks = [equal_lengths(block) for block in blocks]
    packed = [{n: pack_numbers(column) for n, column in block.items()} for block in blocks]
    plain_path, packed_path = (tmp_path / f"{name}{store.ext}" for name in ("plain", "packed"))
    error = save_or_error(lambda: store.write(plain_path, iter(blocks)))
    assert save_or_error(lambda: write_packed(store, packed_path, iter(packed))) is error
    if error is None:
        assert plain_path.read_bytes() == packed_path.read_bytes()


class Overridden(H5Store):
    """As a plugin might do it, which knows of lists and arrays alone."""

    def write(self, filename, blocks):
        blocks = list(blocks)
        assert all(type(column) is list for block in blocks for column in block.values())
        super().write(filename, blocks)


class Saving(Store):
    """The least that a plugin has to do."""

    ext = ".saved"

    def save(self, filename, data):
        assert all(type(column) is list for column in data.values())
        PickleStore().save(filename, data)

    def load(self, filename, row=None):
        return PickleStore().load(filename, row)


@pytest.mark.parametrize(
    "store",
    [PickleStore(), Overridden(), Saving(), AdaptedStore(Saving())],
    ids=["pickle", "write", "save", "adapted"],
)
def test_other_stores_get_lists(store, tmp_path):
    path = tmp_path / "table"
    write_packed(store, path, iter([{"a": pack_numbers([1, 2])}, {"a": pack_numbers([3])}]))
    assert list(store.load(path)["a"]) == [1, 2, 3]
