"""Frozen spaces: which psets of an earlier one are those of the present one."""

from __future__ import annotations

import numpy as np
import pytest

from psyflow import Param
from psyflow.pspace.keys import match
from psyflow.pspace.repeat import FIRST, repeated_space
from psyflow.record.frozen import FrozenSpace

PLAIN = FrozenSpace.of(Param(a=[1, 2]))
REPEATED = FrozenSpace.of(repeated_space(Param(a=[1, 2]), 3), FIRST)
COUNTED = FrozenSpace.of(Param(a=[1, 2]) * Param(repeat=range(3)))


@pytest.mark.parametrize(
    ("present", "earlier", "expected"),
    [
        (REPEATED, PLAIN, [0, -1, -1, 1, -1, -1]),
        (PLAIN, REPEATED, [0, 3]),
        (REPEATED, REPEATED, [0, 1, 2, 3, 4, 5]),
        # What the task counts itself are values like any other, with streams of their own.
        (REPEATED, COUNTED, [-1, 1, 2, -1, 4, 5]),
        (COUNTED, REPEATED, [-1, 1, 2, -1, 4, 5]),
        (PLAIN, COUNTED, [-1, -1]),
    ],
)
def test_which_repetitions_are_which_psets(
    present: FrozenSpace, earlier: FrozenSpace, expected: list[int]
) -> None:
    found = match(present.keys(), present.keys_of(earlier.space, earlier.defaults))
    assert found.tolist() == expected


def test_defaults_of_the_present_count_for_its_own_parameters() -> None:
    earlier = FrozenSpace.of(Param(a=[1]) * Param(b=[0, 1]), {"b": 1})
    present = FrozenSpace.of(Param(a=[1]) * Param(b=[0, 1]), {"b": 0})
    keys = present.keys_of(earlier.space, earlier.defaults)
    assert np.array_equal(keys, present.keys())


@pytest.mark.parametrize("n", [None, 1, 3, 5])
@pytest.mark.parametrize("frozen", [PLAIN, REPEATED])
def test_a_frozen_space_takes_any_number_of_repetitions(
    frozen: FrozenSpace, n: int | None
) -> None:
    found = frozen.repeating(n)
    wanted = PLAIN if n is None else FrozenSpace.of(repeated_space(PLAIN.space, n), FIRST)
    assert found.is_equal(wanted)
    assert found.repeating(n) is found
