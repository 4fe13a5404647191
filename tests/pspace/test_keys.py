"""Keys: what is equal, what is not, the same in every process, and how keys are matched."""

import collections
import dataclasses
import datetime
import enum
import os
import pathlib
import plistlib
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from psyflow.columns import Numbers, pack_numbers
from psyflow.pspace import Param
from psyflow.pspace.keys import (
    KeySet,
    column_keys,
    first_positions,
    isin,
    key_hex,
    match,
    pset_key,
)

NAN, INF = float("nan"), float("inf")


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Model:
    name: object
    parts: object = None


class Colour(str):
    pass


Point = collections.namedtuple("Point", "x y")


def key(value):
    return pset_key({"a": value})


EQUAL = [
    [1, 1.0, 1 + 0j, np.int8(1), np.uint64(1), np.float16(1), np.float32(1), np.complex64(1),
     np.longdouble(1), Fraction(1), Decimal("1.0"), np.array(1)],
    [0, 0.0, -0.0, np.float32(-0.0), complex(-0.0, -0.0), Decimal("-0")],
    [0.5, Fraction(1, 2), Decimal("0.50"), np.longdouble(0.5), 0.5 + 0j],
    [2**53 + 1, np.int64(2**53 + 1), np.uint64(2**53 + 1), Fraction(2**53 + 1)],
    [-(2**53) - 1, np.int64(-(2**53) - 1)],
    [2**64 - 1, np.uint64(2**64 - 1)],
    [2**62, float(2**62), np.int64(2**62)],
    [2**100, float(2**100), Decimal(2**100)],
    [10**400],
    [2**100 + 1, Decimal(2**100 + 1)],
    [Fraction(1, 3)],
    [INF, np.float32(INF), Decimal("Infinity")],
    [-INF],
    [1 + 2j, np.complex64(1 + 2j), np.clongdouble(1 + 2j)],
    [2 + 1j],
    [True, np.True_],
    [False, np.False_],
    ["1", np.str_("1")], [Colour("1")], [Level.LOW],
    ["é"], ["e\u0301"], ["\ud800"], [""],
    [b"1", np.bytes_(b"1"), bytearray(b"1")],
    [b""],
    [None],
    [np.datetime64("2020-01-01"), np.datetime64("2020", "Y"),
     np.datetime64("2020-01-01T00:00:00", "ns"), np.datetime64("2020-01-01", "10s"),
     np.datetime64("2020-01", "M")],
    [np.datetime64("2020-01-01T00:00:00.000000001")],
    [np.datetime64(-1, "ns"), np.datetime64(-1000, "ps")],
    [np.timedelta64(1, "D"), np.timedelta64(24, "h"), np.timedelta64(86400 * 10**9, "ns")],
    [np.timedelta64(2**62, "D"), np.timedelta64(2**62, "D")],
    [np.timedelta64(2**62, "s")], [np.timedelta64(2**62, "W")], [np.datetime64(2**62, "D")],
    [np.timedelta64(1, "Y"), np.timedelta64(12, "M")],
    [[1, 2], (1, 2.0), np.array([1, 2]), np.array([1, 2], dtype="f4"), range(1, 3),
     np.array([1, 2], dtype=object), [np.int8(1), True + 1]],
    [Point(1, 2), Point(1.0, np.int8(2))],
    [[2, 1]],
    [[1, [2]]],
    [[[1, 2], [3, 4]], np.array([[1, 2], [3, 4]]), [np.array([1, 2]), (3, 4)],
     np.array([[1., 2], [3, 4]]), np.array([[1, 3], [2, 4]]).T,
     np.array([[1, 2], [3, 4]], dtype=object)],
    [[1, 2, 3, 4]],
    [[[1], [2], [3], [4]]],
    [[], (), np.zeros(0)], [np.zeros((0, 3)), np.zeros((0, 3), int)], [np.zeros((0, 4))],
    [[[], []], np.zeros((2, 0))],
    [[True, 2], (np.True_, 2)],
    [[NAN, 1], np.array([np.nan, 1])],
    [list(range(40)), np.arange(40), tuple(map(float, range(40))), range(40)],
    [["x", 1, None], ("x", 1.0, None)],
    [np.array(["u", "v"]), ["u", "v"], np.array(["u", "v"], dtype="U9")],
    [np.array([(1, 2.5)], dtype=[("p", int), ("q", float)]),
     np.array([(1, 2.5)], dtype=[("p", "f4"), ("q", float)])],
    [{"x": 1, "y": [2]}, {"y": (2.0,), "x": np.int8(1)}],
    [collections.OrderedDict(y=[2], x=1)], [collections.OrderedDict(x=1, y=[2])],
    [{"x": 1}],
    [{"x": NAN}],
    [{}],
    [{1, 2}, frozenset([2.0, 1])],
    [set()],
    [Color.RED], [Color.BLUE],
    [pathlib.Path("a/b"), pathlib.PurePosixPath("a/b")],
    [Model("x", {"p", "q"}), Model("x", {"q", "p"}), Model("x", frozenset("pq"))],
    [Model("x", np.arange(3)), Model("x", [0, 1, 2])],
    [Model("y")],
    [datetime.datetime(2020, 1, 1)], [datetime.date(2020, 1, 1)],
    [np.sin], [np.cos], [len], [int],
]  # fmt: skip


@pytest.mark.parametrize("values", EQUAL, ids=lambda values: type(values[0]).__name__)
def test_equal_values_have_equal_keys(values):
    assert len({key(value) for value in values}) == 1


def test_different_values_have_different_keys():
    keys = [key(values[0]) for values in EQUAL]
    assert len(set(keys)) == len(keys)
    assert 0 not in keys


@pytest.mark.parametrize(
    "value",
    [
        NAN,
        np.float32("nan"),
        np.longdouble("nan"),
        complex(0, NAN),
        Decimal("nan"),
        np.datetime64("NaT", "D"),
        np.datetime64("NaT", "s"),
        np.timedelta64("NaT", "s"),
        np.array(np.nan),
    ],
)
def test_nan_is_as_good_as_absent(value):
    assert pset_key({"a": value, "b": 1}) == pset_key({"b": 1})
    for few_or_many in (3, 50):
        keys = column_keys({"a": [value] * few_or_many}, few_or_many)
        assert not keys.any()


@pytest.mark.filterwarnings("ignore:The 'generic' unit:DeprecationWarning")
def test_times_without_a_unit():
    assert key(np.datetime64("NaT")) == key(np.timedelta64("NaT")) == 0
    assert key(np.timedelta64(1)) not in (0, key(1), key(np.timedelta64(1, "s")))


def test_names_and_values_are_paired():
    assert pset_key({"a": 1, "b": 2}) == pset_key({"b": 2, "a": 1})
    assert pset_key({"a": 1, "b": 2}) != pset_key({"a": 2, "b": 1})
    assert pset_key({"ab": "c"}) != pset_key({"a": "bc"})
    assert pset_key({}) == 0


@pytest.mark.parametrize("length", [1, 8, 9, 100])
def test_a_column_gets_the_keys_of_its_values_whatever_their_mixture(length):
    values = [v for group in EQUAL for v in group]
    values = (values * 3)[:: max(1, len(values) // length)][:length]
    expected = [f"{key(v):032x}" for v in values]
    assert [key_hex(k) for k in column_keys({"a": values}, len(values))] == expected


numbers = st.one_of(
    npst.arrays(
        st.sampled_from(["f2", "f4", "f8", ">f8", "c8", "c16", "?", "g", "G"]),
        st.integers(0, 30),
    ),
    npst.arrays(
        st.sampled_from(["i1", "i8", "u8", ">i4"]),
        st.integers(0, 30),
    ),
    npst.arrays(npst.datetime64_dtypes(max_period="D"), st.integers(0, 20), elements=None),
    npst.arrays(st.sampled_from(["m8[D]", "m8[ns]", "m8[M]"]), st.integers(0, 20)),
    npst.arrays("i8", st.integers(0, 30), elements=st.integers(2**53 - 5, 2**53 + 5)),
    npst.arrays("u8", st.integers(0, 30), elements=st.integers(2**63 - 3000, 2**63 + 3000)),
    npst.arrays("f8", npst.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=4)),
    npst.arrays(st.sampled_from(["U2", "S2"]), st.integers(0, 20)),
)


@settings(max_examples=100, deadline=None)
@given(numbers, st.integers(1, 9))
def test_arrays_get_the_keys_of_their_elements(array, step):
    for column in (array, array[::step], list(array)):
        got = [key_hex(k) for k in column_keys({"a": column}, len(column))]
        assert got == [f"{key(v):032x}" for v in column]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.booleans()), max_size=40))
def test_lists_get_the_keys_of_their_elements(values):
    got = [key_hex(k) for k in column_keys({"a": values}, len(values))]
    assert got == [f"{key(v):032x}" for v in values]


@settings(max_examples=100, deadline=None)
@given(st.integers(-(2**66), 2**66), st.integers(-(2**66), 2**66))
def test_integers_are_compared_exactly(i, j):
    assert (key(i) == key(j)) == (i == j)
    assert (key(i) == key(float(i))) == (int(float(i)) == i)


def test_many_keys_do_not_collide_in_either_half():
    space = Param(a=range(300)) * Param(b=np.linspace(0, 1, 300)) * Param(c=[1, 2])
    keys = space.pset_keys()
    for half in range(2):
        assert len(np.unique(keys[:, half])) == len(space)
    bits = np.unpackbits(keys.view(np.uint8), axis=1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.01


LEAVES = st.sampled_from([0, 1, True, 1.0, -0.0, 2**70, NAN, "x", b"x", None, (1,), (True,)])
ARRAYS = npst.arrays(
    st.sampled_from([np.dtype("i4"), np.dtype(">f8"), np.dtype("?"), np.dtype("M8[s]")]),
    npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
)
NESTED = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4), max_leaves=8)


@given(st.lists(NESTED | NESTED.map(lambda v: (v, v)), min_size=17, max_size=40))
def test_lists_in_a_long_column_have_the_keys_that_each_has_alone(values):
    column = [value if isinstance(value, list | tuple) else [value] for value in values]
    keys = column_keys({"a": [*column, column[0]]}, len(column) + 1)
    assert [key_hex(key) for key in keys] == [
        f"{pset_key({'a': value}):032x}" for value in [*column, column[0]]
    ]


@given(st.lists(ARRAYS, min_size=17, max_size=30))
def test_ragged_arrays_in_a_long_column_have_the_keys_that_each_has_alone(values):
    keys = column_keys({"a": values}, len(values))
    assert [key_hex(key) for key in keys] == [f"{pset_key({'a': v}):032x}" for v in values]


def test_large_array_valued_columns_are_hashed_in_parts():
    array = np.arange(3 * 70_000.0).reshape(3, 70_000)
    keys = column_keys({"a": array}, 3)
    assert [key_hex(k) for k in keys] == [f"{key(list(row)):032x}" for row in array]


def test_values_without_identity_are_named():
    expected = "Parameter `f`: .* cannot be pickled"
    with pytest.raises(TypeError, match=expected):
        pset_key({"f": lambda: 0})
    with pytest.raises(TypeError, match=expected):
        Param(f=[lambda: 0] * 20).pset_keys()
    with pytest.raises(TypeError, match=expected):
        pset_key({"f": Model(lambda: 0)})


def test_objects_that_contain_themselves_have_keys():
    def looped(name):
        model = Model(name)
        model.parts = [model]
        return model

    assert key(looped("x")) == key(looped("x")) != key(looped("y"))


GOLDEN = {
    "empty": ({}, "0" * 32),
    "int": ({"a": 1}, "36c0c25cdd2d70d9a0c78b5d90fec40f"),
    "negative int": ({"a": -3}, "155894fea613e2462a578ff5ef011c51"),
    "inexact int": ({"a": 2**53 + 1}, "9686ce0ba3c5a2604dbaf31ed96075f4"),
    "huge int": ({"a": -(2**90) - 1}, "35f570ba582f9cc59f653e9412e85967"),
    "float": ({"a": 0.1}, "3777dc0b67a45a8b57fb67c8a50ead21"),
    "float32": ({"a": np.float32(0.1)}, "cf7834d052e74e0517b29ac5485ba327"),
    "ratio": ({"a": Fraction(1, 3)}, "58f34aa677453a1fb3b225692ba6e542"),
    "complex": ({"a": 1 - 2j}, "a7716acafa46cb20c8e9a47467b95a6f"),
    "text": ({"a": "text"}, "7cca1a828f4f9a9c0fcbba812e3001c5"),
    "unicode": ({"größe": "naïve ☃"}, "f5a44221e347f3efee3f1f8ddf33b44a"),
    "bytes": ({"a": b"\x00\xff"}, "2a6733e720d3fe8a4a206babdc311730"),
    "none": ({"a": None}, "4a2cfe6b0feb046674885456b7579bf0"),
    "bool": ({"a": True}, "1946b9ad75a997c39d7ae29bf4bb16ce"),
    "list": ({"a": [1, "x", None]}, "b588177e158f61b85a344680dd5c41d6"),
    "array": ({"a": np.arange(6.0).reshape(2, 3)}, "702583b85336484754aa71105b21a23c"),
    "long array": ({"a": np.arange(100)}, "9d94afb0fdd175af5ee7f1532302df60"),
    "dict": ({"a": {"x": 1, "y": [2, 3]}}, "2f73c52c0180660640c03dfc9a340d98"),
    "set": ({"a": {"x", "y", 3}}, "3d65eecfc25999b0c724598112c406ca"),
    "instant": (
        {"a": np.datetime64("2020-02-03T04:05:06.789")},
        "1e575adc2dcb0c5a7d16718f7a7969cc",
    ),
    "span": ({"a": np.timedelta64(90, "s")}, "664153ca60004cfa4059fac6734d5bfc"),
    "enum": ({"a": plistlib.PlistFormat.FMT_XML}, "e89e8b2b06383f162b54a1f37a3b487c"),
    "path": ({"a": pathlib.PurePosixPath("/x/y")}, "9bc0ed5eb9dd6b7e6138e7e321b7e9ce"),
    "object": ({"a": datetime.datetime(2020, 1, 2, 3)}, "fedaf5bf4d02cdb9a1811d3cb3994934"),
    "function": ({"a": np.sin}, "fb54c2c17d29fee31da4d81c13599deb"),
    "mixed": (
        {"a": 1, "b.c": "x", "d e": 2.5, "f": [True], "g": None},
        "2d687e1b4e4c6a70bb68bd789121282b",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_keys(name):
    """These values are on users' disks: they must never change."""
    pset, expected = GOLDEN[name]
    assert f"{pset_key(pset):032x}" == expected


def test_golden_keys_in_whole_columns():
    for pset, expected in GOLDEN.values():
        keys = column_keys({name: [value] * 30 for name, value in pset.items()}, 30)
        assert {key_hex(k) for k in keys} == {expected}


IN_ANOTHER_PROCESS = """
import numpy as np, pathlib, collections
from psyflow.pspace.keys import pset_key
class Thing:
    def __init__(self): self.tags = {"p", "q", "r"}; self.more = {"x": 1}
pset = {"s": {"x", "y", "z"}, "d": {"k": [1, {"q", "r"}]}, "t": Thing()}
pset |= {"n": np.arange(3), "f": len, "c": Thing}
print(f"{pset_key(pset):032x}")
"""


def test_keys_do_not_depend_on_the_hash_seed():
    def printed(seed):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.check_output([sys.executable, "-c", IN_ANOTHER_PROCESS], env=env)

    assert printed("1") == printed("2") == printed("3")


def keys_of(values):
    return column_keys({"a": values}, len(values))


def test_key_hex():
    (row,) = keys_of([5])
    assert key_hex(row) == f"{key(5):032x}"
    assert len(key_hex(row)) == 32


small = st.lists(st.integers(0, 6), max_size=30)


@settings(max_examples=100, deadline=None)
@given(small, small)
def test_match_pairs_equal_keys_in_order_each_row_once(wanted, have):
    free = collections.defaultdict(collections.deque)
    for position, value in enumerate(have):
        free[value].append(position)
    expected = [free[value].popleft() if free[value] else -1 for value in wanted]
    got = match(keys_of(wanted), keys_of(have))
    assert got.dtype == np.int64
    assert got.tolist() == expected


@settings(max_examples=100, deadline=None)
@given(small, small)
def test_isin_and_first_positions(keys, others):
    assert isin(keys_of(keys), keys_of(others)).tolist() == [k in others for k in keys]
    firsts = [i for i, k in enumerate(keys) if k not in keys[:i]]
    assert first_positions(keys_of(keys)).tolist() == firsts


halves = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=20)


@settings(max_examples=100, deadline=None)
@given(halves, halves)
def test_all_128_bits_are_compared(wanted, have):
    a, b = (np.array(rows, dtype=np.uint64).reshape(-1, 2) for rows in (wanted, have))
    assert KeySet(b).contains(a).tolist() == [row in have for row in wanted]
    found = match(a, b)
    counts = collections.Counter(have)
    assert sum(found >= 0) == sum((counts & collections.Counter(wanted)).values())
    assert all(have[j] == row for row, j in zip(wanted, found, strict=True) if j >= 0)
    assert len(first_positions(a)) == len(set(wanted))


@given(
    st.one_of(
        st.lists(kind, min_size=9)
        for kind in (
            st.booleans(),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(),
            st.complex_numbers(),
        )
    )
)
def test_packed_numbers_have_the_keys_of_the_numbers(column):
    packed = pack_numbers(column)
    assert isinstance(packed, Numbers)
    keys = column_keys({"a": packed, "b": packed}, len(column))
    for key, value in zip(keys, column, strict=True):
        assert key_hex(key) == f"{pset_key({'a': value, 'b': value}):032x}"
