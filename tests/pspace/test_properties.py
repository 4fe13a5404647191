"""The algebra against brute force on lists of dicts."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psyflow.pspace import AmbiguousOperationError, Param, missing
from psyflow.pspace.keys import isin, key_hex, pset_key

NAN = float("nan")
NAMES = ["a", "b", "c d", "x.y"]
VALUES = [0, -0.0, 1, 1.0, True, np.int8(1), np.float32(2), 2, NAN, None, "x", "é", (1, 2), 2**70]


def identity(pset):
    """What makes two psets equal, worked out without any hash of ours."""
    return frozenset((name, plain(v)) for name, v in pset.items() if not is_nan(v))


def is_nan(value):
    return isinstance(value, float | np.floating) and math.isnan(value)


def plain(value):
    if isinstance(value, bool | np.bool_):
        return "boolean", bool(value)
    if isinstance(value, int | float | np.number):
        return "number", value
    return type(value), value


def same(a, b):
    return type(a) is type(b) and ((is_nan(a) and is_nan(b)) or a == b)


def assert_same_rows(got, expected):
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert list(one) == sorted(other)
        assert all(same(one[name], other[name]) for name in other), (one, other)


def rows_of(columns, length):
    return [{name: column[i] for name, column in columns.items()} for i in range(length)]


@st.composite
def leaves(draw):
    """A `Param`, its names and its rows."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=2))
    length = draw(st.integers(0, 4)) if names else 0
    columns = {}
    for name in names:
        kind = draw(st.sampled_from(["list", "array", "range"]))
        values = draw(st.lists(st.sampled_from(VALUES), min_size=length, max_size=length))
        if kind == "array":
            values = np.array(draw(st.lists(st.integers(0, 3), min_size=length, max_size=length)))
        columns[name] = range(1, length + 1) if kind == "range" else values
    rows = rows_of(columns, length)
    if rows and draw(st.booleans()):
        return Param.from_psets(rows), names, rows
    return Param(**columns), names, rows


def fill(rows, names):
    return [{name: row.get(name, NAN) for name in names} for row in rows]


def without(rows, removed, names):
    gone = {identity({n: row.get(n, NAN) for n in names}) for row in removed}
    return [row for row in rows if identity({n: row[n] for n in names}) not in gone]


def multiplied(one, other):
    (space_a, names_a, rows_a), (space_b, names_b, rows_b) = one, other
    if set(names_a) & set(names_b):
        with pytest.raises(AmbiguousOperationError):
            space_a * space_b
        return one
    if not names_a or not names_b:
        return (space_a * space_b, names_a + names_b, rows_a + rows_b)
    rows = [{**a, **b} for a in rows_a for b in rows_b]
    return space_a * space_b, names_a + names_b, rows


def added(one, other):
    (space_a, names_a, rows_a), (space_b, names_b, rows_b) = one, other
    names = sorted({*names_a, *names_b})
    return space_a + space_b, names, fill(rows_a + rows_b, names)


def subtracted(one, other):
    (space_a, names_a, rows_a), (space_b, names_b, rows_b) = one, other
    if set(names_b) - set(names_a):
        with pytest.raises(AmbiguousOperationError):
            space_a - space_b
        return one
    return space_a - space_b, names_a, without(rows_a, rows_b, names_b)


def lacking(one, other):
    (space_a, names_a, rows_a), (space_b, names_b, rows_b) = one, other
    if set(names_a) - set(names_b) and rows_b:
        with pytest.raises(AmbiguousOperationError):
            missing(space_a, space_b)
        return one
    return missing(space_a, space_b), names_a, without(rows_a, rows_b, names_a)


def uniques(one):
    space, names, rows = one
    first = {}
    for row in rows:
        first.setdefault(identity(row), row)
    return space.unique(), names, list(first.values())


def accepted(one):
    space, names, rows = one

    def predicate(**pset):
        return hash(identity(pset)) % 2 == 0

    return space.where(predicate), names, [row for row in rows if predicate(**row)]


SLICES = st.slices(5)


@st.composite
def cases(draw):
    """A space, its names and its rows, made by some operations."""
    case = draw(leaves())
    for _ in range(draw(st.integers(0, 5))):
        operation = draw(
            st.sampled_from([multiplied, added, subtracted, lacking, uniques, accepted, "slice"])
        )
        if operation == "slice":
            rows = draw(SLICES)
            case = case[0][rows], case[1], case[2][rows]
        elif operation in (uniques, accepted):
            case = operation(case)
        else:
            other = draw(leaves())
            case = operation(case, other) if draw(st.booleans()) else operation(other, case)
    return case


@settings(max_examples=100, deadline=None)
@given(cases(), st.data())
def test_a_space_is_what_brute_force_says(case, data):
    space, names, rows = case
    assert space.keys() == sorted(names)
    assert len(space) == len(rows)
    assert_same_rows(list(space.iterate()), rows)
    built = space.build()
    assert list(built) == sorted(names)
    assert_same_rows(rows_of(built, len(rows)), rows)

    part = data.draw(st.slices(len(rows)).filter(lambda s: s.step in (None, 1)))
    columns = space.columns(part.start or 0, part.stop)
    assert_same_rows(rows_of(columns, len(rows[part])), rows[part])

    if rows:
        items = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=20))
        chosen = [rows[i] for i in items]
        assert_same_rows(rows_of(space.take(np.array(items, np.int64)), len(items)), chosen)
        assert [key_hex(k) for k in space.key_take(items)] == [
            f"{pset_key(r):032x}" for r in chosen
        ]
        i = data.draw(st.integers(-len(rows), len(rows) - 1))
        assert_same_rows([space[i]], [rows[i]])


@settings(max_examples=100, deadline=None)
@given(cases(), st.sets(st.sampled_from(NAMES)))
def test_keys_follow_the_algebra(case, names):
    space, _, rows = case
    assert [key_hex(k) for k in space.pset_keys()] == [f"{pset_key(row):032x}" for row in rows]
    narrowed = [{name: v for name, v in row.items() if name in names} for row in rows]
    keys = space.pset_keys(1, -1, names=names)
    assert [key_hex(k) for k in keys] == [f"{pset_key(row):032x}" for row in narrowed][1:-1]


@settings(max_examples=100, deadline=None)
@given(cases())
def test_equal_keys_mean_equal_psets(case):
    space, _, rows = case
    keys = [key_hex(k) for k in space.pset_keys()]
    identities = [identity(row) for row in rows]
    for i in range(len(rows)):
        for j in range(i):
            assert (keys[i] == keys[j]) == (identities[i] == identities[j])


@settings(max_examples=100, deadline=None)
@given(cases())
def test_pickling_changes_nothing(case):
    space, names, rows = case
    data = pickle.dumps(space)
    copy = pickle.loads(data)
    assert copy.keys() == sorted(names)
    assert_same_rows(list(copy), rows)
    np.testing.assert_array_equal(copy.pset_keys(), space.pset_keys())


@settings(max_examples=100, deadline=None)
@given(cases(), st.integers(0, 9))
def test_what_is_done_and_what_is_missing_make_the_whole(case, n):
    space, names, rows = case
    done = space.limit(n) if n else space[:0]
    left = missing(space, done)
    assert not isin(left.pset_keys(), done.pset_keys()).any()
    assert len(left) == len(without(rows, rows[:n], names))
