"""What comes back from NPZ and HDF5: types and dtypes, not only values."""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from psyflow.columns import concatenate, pack_numbers
from psyflow.exceptions import RaggedColumnWarning, UnsupportedDataError
from psyflow.store import H5Store, NpzStore, PickleStore, Store, _h5write
from psyflow.store.adapted import AdaptedStore
from psyflow.store.base import write_packed
from psyflow.testing.stores import assert_same_table

EXACT = [NpzStore(), H5Store()]
NAN = float("nan")

quick = settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(params=EXACT, ids=["npz", "h5"])
def store(request):
    return request.param


@pytest.fixture
def path(store, tmp_path):
    return tmp_path / f"table{store.ext}"


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def round_trip(store, path, column, **options):
    store.save(path, {"x": column})
    return store.load(path, **options)["x"]


def assert_identical(actual, expected):
    """Equal down to the sign of zero, the byte order and the type of each value."""
    assert type(actual) is type(expected)
    if isinstance(expected, np.ndarray):
        assert (actual.dtype, actual.shape) == (expected.dtype, expected.shape)
        if expected.dtype == object:
            assert_identical(actual.tolist(), expected.tolist())
        else:
            assert actual.tobytes() == expected.tobytes()
    elif isinstance(expected, list | tuple):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_identical(one, other)
    elif isinstance(expected, float | np.floating):
        # NaN is NaN, and -0.0 is not 0.0.
        assert repr(actual) == repr(expected)
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
        ([[2**64]], "64 bits"),
        ([[1, 2], [-1, 2**63]], "64 bits"),
        ([[1, None]], "list with a value of type NoneType"),
        ([[1], None, [{}]], "list with a value of type dict"),
        ([[np.zeros(2)]], "list with a value of type ndarray"),
        ([[b"a"]], "list with a value of type bytes"),
        ([[np.datetime64("2020")]], "list with a value of type datetime64"),
        ([["a", 1]], "lists that mix text and other"),
        ([["a"], [1]], "lists that mix text and other"),
        ([[1], [[2]]], "lists of different depths"),
        ([[1, [2]]], "lists of different depths"),
        ([[[], []], [1]], "lists of different depths"),
        ([[2**53 + 1], [0.5]], "int64 .* float64"),
        ([[1], 2.0], "list and float"),
        ([[1], "a"], "list and str"),
        ([(1,), np.zeros(1)], "tuple and ndarray"),
        ([nested(17)], "nested deeper than 16"),
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


@pytest.mark.parametrize(
    "blocks",
    [
        [[["a"]], [[1]]],
        [[[1]], [[[2]]]],
        [[[[], []]], [[1]]],
        [[[2**53 + 1]], [[0.5]]],
        [[[0.5]], [[2**53 + 1]]],
        [[[1]], [2.0]],
    ],
)
def test_lists_that_do_not_go_together_are_refused_block_by_block(store, path, blocks):
    store.save(path, {"old": [1]})
    with pytest.raises(UnsupportedDataError, match=r'"x".*PickleStore'):
        store.write(path, iter([{"x": block} for block in blocks]))
    assert_same_table(store.load(path), {"old": [1]})


class Text(str):
    pass


class Pair(NamedTuple):
    one: int
    other: int


class Listing(list):
    pass


class Double(np.float64):
    pass


@pytest.mark.parametrize("value", [[Text("a")], [Double(1)], [Pair(1, 2)], [Listing()]])
def test_subclasses_in_lists_are_refused(store, value):
    with pytest.raises(UnsupportedDataError, match=f'"x".* {type(value[0]).__name__}'):
        store.check({"x": value})


@pytest.mark.parametrize(
    "value", [Pair(1, 2), Listing(), Text("a"), type("I", (int,), {})(1), np.ma.array([1])]
)
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
    is_single = not any(isinstance(value, np.ndarray) for value in column)
    as_loaded = objects if is_single else list
    assert_identical(round_trip(store, path, column), as_loaded(column))
    store.append(path, {"x": column})
    assert_identical(store.load(path)["x"], as_loaded(column + column))


def objects(values):
    return np.fromiter(values, object, len(values))


@pytest.mark.parametrize("store", [*EXACT, PickleStore()], ids=["npz", "h5", "pkl"])
@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["a", "ö"], np.array(["a", "ö"])),
        (np.array(["a", "ö"]), np.array(["a", "ö"])),
        ([""], np.array([""])),
        (["\0a", "b"], np.array(["\0a", "b"])),
        ([b"a", b"bc"], np.array([b"a", b"bc"])),
        (["a\0", "b"], objects(["a\0", "b"])),
        ([b"a\0"], objects([b"a\0"])),
        (["a", None], objects(["a", None])),
        ([b"a", NAN], objects([b"a", NAN])),
        ([True, None], objects([True, None])),
        ([True, NAN], objects([True, NAN])),
        ([None], objects([None])),
        (["x"] * 1000 + ["y" * 10**6], objects(["x"] * 1000 + ["y" * 10**6])),
    ],
    ids=repr,
)
def test_columns_of_text_or_with_absent_values_are_arrays(store, path, column, expected):
    loaded = round_trip(store, path, column)
    assert_identical(loaded, expected)
    # Of a text that it is given to compare with, NumPy cuts NULs off, too.
    if column[0] not in ("a\0", b"a\0"):
        assert (loaded == column[0]).tolist() == [value == column[0] for value in column]
    store.append(path, {"x": column})
    assert_identical(store.load(path)["x"].tolist(), expected.tolist() * 2)
    if store.ext != ".h5":
        return
    # Neither array has what the other one needs.
    assert_identical(store.read(path, 0, 1)["x"].tolist(), expected[:1].tolist())


def test_pandas_takes_what_numpy_loads(tmp_path):
    pd = pytest.importorskip("pandas")
    table = {
        "n": [1, 2, 3],
        "model": ["a", "öä", ""],
        "some": ["x", None, NAN],
        "flag": [True, False, None],
        "day": np.array(["2020", "NaT", "2021"], "M8[s]"),
        "raw": [b"a", b"bc", b""],
    }
    NpzStore().save(tmp_path / "a.npz", table)
    with np.load(tmp_path / "a.npz") as arrays:
        frame = pd.DataFrame(dict(arrays))
    assert list(frame)[:3] == ["n", "model", "some"]
    assert frame["model"].tolist() == table["model"]
    assert frame[frame.model == "öä"]["n"].tolist() == [2]
    assert frame["psyflow__2_mask"].tolist() == [0, 1, 2]
    assert pd.DataFrame(NpzStore().load(tmp_path / "a.npz"))["some"].isna().tolist() == [0, 1, 1]


def test_layout_that_comments_cannot_hold_is_an_entry(tmp_path):
    table = {"x" * 10**6: ["a", None], "y": [1, 2]}
    NpzStore().save(tmp_path / "a.npz", table)
    assert_same_table(NpzStore().load(tmp_path / "a.npz"), table)
    assert NpzStore().length(tmp_path / "a.npz") == 2


@pytest.mark.parametrize("store", [*EXACT, PickleStore()], ids=["npz", "h5", "pkl"])
def test_files_of_an_earlier_psyflow_are_read_exactly(store):
    path = Path(__file__).parent / "old" / f"table{store.ext}"
    loaded = store.load(path, ragged=True)
    expected = {name: OLD[name] for name in loaded}
    assert len(expected) == (3 if store.ext == ".h5" else len(OLD))
    for name, column in expected.items():
        if store.ext == ".pkl" and name == "n":
            column = column.tolist()
        assert_identical(loaded[name], column)


OLD = {
    "t": objects(["a", "ö\0", ""]),
    "some": objects(["x", None, NAN]),
    "b": objects([b"\0", b"a", None]),
    "n": np.array([1, 2, 3]),
    "m": objects([1, None, 3]),
    "flag": objects([True, NAN, False]),
    "l": [[1], [0.5, 2], []],
    "u": [(1, 2), (3, 4), (5, 6)],
    "w": [["a"], ["b\0"], []],
    "r": [np.arange(2), np.arange(3), np.zeros(0, int)],
    "none": objects([None] * 3),
    "d": np.array(["2020", "NaT", "2021"], "M8[D]"),
    "a b": np.array(["p", "q", "r"]),
}


def test_text_of_numpy_becomes_that_of_python(store, path):
    assert_identical(round_trip(store, path, [np.str_("a\0")]), objects(["a\0"]))
    assert_identical(round_trip(store, path, np.array(["a", None], object)), objects(["a", None]))


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


# --- lists ---------------------------------------------------------------------------------

LISTS = [
    [[1.0, 2.0]],
    [[1, 2], [3, 4]],
    [[1], [2, 3]],
    [[2**63], [2**64 - 1, 0]],
    [[2**63], [0.5]],
    [[True, False], [True]],
    [[1j, -0.0, 0.0, NAN], [1]],
    [[0, 0.5], [1, 2]],
    [[0, 0.5], [True]],
    [[np.float32(0.1), 0.1], [np.int8(3)]],
    [[np.longdouble(1) / 3, 1], [np.float16(0.5), np.float16(1)]],
    [[64], [64, 32]],
    [[[64], [64, 32]], [], [[]]],
    [[[[1]], []], [[[2, 3], []], [[4]]]],
    [[]],
    [[], [[]], [[[]], []]],
    [()],
    [(), []],
    [(1, 2), (3, 4)],
    [(1, 2), [3, 4]],
    [[(1, 2), (3, 4)], [(5, 6), (7, 8)]],
    [[(1, 2), (3, 4)], [[5, 6]], ()],
    [["a", "b\0", ""], [], ["\0"]],
    [["ö≠😀", "\udce4"], None, NAN],
    [[["x"], []], [], [("y",), ["", "z"]]],
    [None, [1, 2], [3, 4]],
    [NAN, [1], None, [2, 3.5]],
    [nested(16)],
]


@pytest.mark.parametrize("column", LISTS)
def test_lists_are_exact(store, path, column):
    assert_identical(round_trip(store, path, column), column)
    for i in range(len(column)):
        assert_identical(store.load(path, row=i)["x"], column[i : i + 1])
        store.check({"x": column[i]})
    store.append(path, {"x": column})
    assert_identical(store.load(path)["x"], column + column)
    assert_identical(
        store.read(path, 1, len(column) + 1)["x"], (column + column)[1:][: len(column)]
    )


@pytest.mark.parametrize("column", LISTS)
def test_lists_row_by_row_are_exact(store, path, column):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_h5write, "_BUFFER_BYTES", -1)
        for order in (column, column[::-1]):
            store.write(path, iter([{"x": [value]} for value in order]))
            assert_identical(store.load(path)["x"], order)


@pytest.mark.parametrize("column", [[[1], [0.5, 2]], [[1, 2], [3, 4]], [["a"], []]])
def test_rows_that_lack_lists_get_nan(store, path, column):
    blocks = [{"a": [1, 2]}, {"a": [3] * len(column), "x": column}, {"a": [4]}]
    store.write(path, iter(blocks))
    assert_identical(store.load(path)["x"], [NAN, NAN, *column, NAN])


def test_lists_give_no_warning(store, path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        round_trip(store, path, [[1], [2, 3]])


def test_list_that_holds_itself_is_refused(store):
    value = []
    value.append(value)
    with pytest.raises(UnsupportedDataError, match="nested deeper"):
        store.check({"x": value})


def test_numpy_alone_reads_lists_of_one_shape(tmp_path):
    NpzStore().save(tmp_path / "a.npz", {"x": [[1.0, 2.0], [3, 4]], "y": [[[1, 2]], [(3, 4)]]})
    with np.load(tmp_path / "a.npz") as arrays:
        assert_identical(arrays["x"], np.array([[1.0, 2.0], [3.0, 4.0]]))
        assert arrays["y"].tolist() == [1, 2, 3, 4]


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
        assert_identical(list(_plain(loaded[name])), column)
        assert n == 0 or isinstance(loaded[name], np.ndarray)


def _plain(column):
    return column.tolist() if isinstance(column, np.ndarray) else column


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


numbers = st.one_of(
    st.booleans(),
    st.integers(-5, 5),
    st.floats(),
    st.floats(width=16).map(np.float16),
    st.integers(0, 9).map(np.uint8),
)


def sequences(leaves, depth):
    """Lists and tuples of lists and tuples, of different lengths and one depth."""
    values = leaves
    for _ in range(depth):
        some = st.lists(values, max_size=3)
        values = st.one_of(some, some.map(tuple))
    return values


@quick
@given(data=st.data(), leaves=st.sampled_from([numbers, texts]), depth=st.integers(1, 3))
def test_any_lists_are_exact(store, path, data, leaves, depth):
    values = st.one_of(sequences(leaves, depth), st.none(), st.just(NAN))
    column = [data.draw(sequences(leaves, depth)), *data.draw(st.lists(values))]
    assert_identical(round_trip(store, path, column), column)
    store.write(path, iter([{"x": [value]} for value in column]))
    assert_identical(store.load(path)["x"], column)


blocks = st.lists(
    st.dictionaries(
        st.sampled_from("ab"),
        st.one_of(
            st.lists(st.one_of(st.none(), st.integers(-5, 5), st.floats(width=16)), max_size=5),
            st.lists(st.one_of(st.none(), st.text(max_size=5), st.just(NAN)), max_size=5),
            st.lists(st.one_of(st.none(), st.booleans(), st.just(NAN)), max_size=5),
            st.lists(st.one_of(st.none(), st.just(NAN), sequences(numbers, 1)), max_size=3),
            st.lists(sequences(numbers, 2), max_size=3),
            st.lists(sequences(st.text(max_size=3), 1), max_size=3),
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
@settings(quick, max_examples=40)
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
