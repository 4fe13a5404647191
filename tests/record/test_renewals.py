"""`Renewals`: when items were asked for anew, against a dictionary."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from psyflow.record.renewals import Renewals

ITEMS = st.lists(st.integers(0, 30), max_size=20).map(
    lambda items: np.array(items, dtype=np.int64)
)
WISHES = st.lists(st.tuples(ITEMS, st.integers(1, 5)), max_size=6)


def made(wishes):
    renewals, times = Renewals(), {}
    for items, time in wishes:
        renewals = renewals.renewed(items, time)
        times |= dict.fromkeys(items.tolist(), time)
    return renewals, times


@given(WISHES)
def test_the_last_time_counts(wishes):
    renewals, times = made(wishes)
    every = np.arange(40)
    assert renewals.times_of(every).tolist() == [times.get(item, 0) for item in range(40)]
    assert list(renewals.items) == sorted(times)


@given(WISHES)
def test_it_is_the_same_after_it_was_written(wishes):
    renewals, _ = made(wishes)
    again = Renewals.from_json(json.loads(json.dumps(renewals.to_json())))
    assert again.is_equal(renewals)


@given(WISHES, st.permutations(range(40)), st.sets(st.integers(0, 39)))
def test_items_move_to_another_space(wishes, order, gone):
    renewals, times = made(wishes)
    places = np.array([-1 if item in gone else place for item, place in enumerate(order)])
    moved = {int(places[item]): time for item, time in times.items() if item not in gone}
    found = renewals.numbered(places)
    assert dict(zip(found.items, found.times, strict=True)) == moved
    assert list(found.items) == sorted(moved)


def test_of_equal_psets_the_last_time_counts():
    renewals = Renewals().renewed(np.array([0, 1]), 5).renewed(np.array([1]), 7)
    assert renewals.numbered(np.array([2, 2])).to_json() == [[2, 3, 7]]


def test_a_million_items_in_a_row_are_one_range():
    assert Renewals().renewed(np.arange(10**6), 3).to_json() == [[0, 10**6, 3]]
