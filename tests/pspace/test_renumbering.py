"""Which psets of one space are in another, found out without the keys of all."""

import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from psyflow.pspace import Param, missing
from psyflow.pspace.alike import KeyedSpace, n_alike
from psyflow.pspace.renumbering import renumbered

NAMES = "abc"

VALUES = st.one_of(
    st.builds(range, st.integers(0, 2), st.integers(0, 6), st.integers(1, 2)),
    st.lists(st.sampled_from([0, 1, 2, 3.5, "x", None]), max_size=5),
    st.lists(st.integers(0, 3), max_size=5).map(np.array),
    st.integers(0, 2),
)


@st.composite
def spaces(draw, names=NAMES, depth=2):
    kind = draw(st.sampled_from("psd+*") if depth else st.just("p"))
    if kind == "p" or (kind == "*" and len(names) == 1):
        return Param(**{draw(st.sampled_from(names)): draw(VALUES)})
    if kind == "*":
        return draw(spaces(names[:1], depth - 1)) * draw(spaces(names[1:], depth - 1))
    one = draw(spaces(names, depth - 1))
    if kind == "+":
        return one + draw(spaces(names, depth - 1))
    if kind == "s":
        return one[draw(st.integers(0, 1)) : draw(st.integers(1, 9))]
    return missing(one, Param(**{name: [0] for name in one.keys()}))  # noqa: SIM118


@st.composite
def changed(draw):
    """Give two spaces that have something in common, as a rule."""
    space = draw(spaces())
    extra = draw(st.sampled_from([[0], [0, 1], [1], [1, 0, 0]]))
    levels = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(lambda v: Param(d=v))
    others = st.sampled_from([space, space[1:], space[::-1], space * Param(d=extra)])
    pairs = st.one_of(
        st.tuples(st.just(space), others),
        st.tuples(others, st.just(space)),
        st.tuples(st.just(space), spaces().map(lambda other: space + other)),
        st.tuples(st.just(space), spaces().map(lambda other: other + space)),
        st.tuples(levels, levels).map(lambda d: (d[0] * space, d[1] * space)),
        st.tuples(levels, levels).map(lambda d: (space * d[0], space * d[1])),
        st.tuples(st.just(space), spaces()),
    )
    return draw(pairs)


DEFAULTS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 1), max_size=2)


NOTHING = Param(a=[]) * Param(b=[0, 1])


@settings(max_examples=300)
@given(changed(), DEFAULTS, DEFAULTS, st.booleans())
@example((Param(b=[0, 1])[1:] + Param(b=[1]), NOTHING), {}, {}, False)
@example((Param(b=[0, 1]), NOTHING), {}, {}, False)
def test_each_pset_is_found_where_the_next_equal_one_is(pair, defaults, others, are_same):
    old = KeyedSpace(pair[0], defaults)
    new = KeyedSpace(pair[1], defaults if are_same else others)
    wanted, free = old.keys().tolist(), {}
    for place, key in enumerate(new.keys().tolist()):
        free.setdefault(tuple(key), []).append(place)
    expected = [free[tuple(k)].pop(0) if free.get(tuple(k)) else -1 for k in wanted]
    found = renumbered(old, new)
    assert list(range(len(old)) if found is None else found) == expected
    same = [a == b for a, b in zip(wanted, new.keys().tolist(), strict=False)]
    assert n_alike(old, new) == (same.index(False) if False in same else len(same))


GRID = Param(a=range(10**5)) * Param(b=np.linspace(0, 1, 10**4))


@pytest.mark.parametrize(
    ("old", "new", "n"),
    [
        (Param(a=range(10**9)), Param(a=range(10**9 + 1)), 10**9),
        (GRID, Param(a=range(10**5 + 1)) * Param(b=np.linspace(0, 1, 10**4)), 10**9),
        (GRID, GRID + Param(a=[-1], b=[0.5]), 10**9),
        (GRID.limit(10**8), GRID.limit(10**8 + 1), 10**8),
    ],
)
def test_what_grew_at_its_end_is_known_without_any_key_of_a_thousand_million(old, new, n):
    start = time.process_time()
    assert renumbered(KeyedSpace(old, {}), KeyedSpace(new, {})) is None
    assert n_alike(KeyedSpace(new, {}), KeyedSpace(old, {})) == n
    assert time.process_time() - start < 1


def test_a_factor_that_grew_shifts_a_million_psets_without_their_keys():
    levels = Param(a=list(range(1000)))
    old, new = levels * Param(b=range(1000)), levels * Param(b=range(1001))
    start = time.process_time()
    found = renumbered(KeyedSpace(old, {}), KeyedSpace(new, {}))
    assert time.process_time() - start < 0.3
    np.testing.assert_array_equal(
        found, np.delete(np.arange(1001 * 1000), slice(1000, None, 1001))
    )
