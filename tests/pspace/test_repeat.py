"""Spaces with the parameter `repeat`."""

from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import pytest

from psyflow import Param
from psyflow.exceptions import AmbiguousOperationError
from psyflow.pspace.identity import identity_keys
from psyflow.pspace.repeat import FIRST, n_repeats, repeated_space, without_repeats
from psyflow.pspace.streams import RandomStreams

SPACES = {
    "one after the other": Param(a=[1, 2]) + Param(b=[3]),
    "a product": Param(a=[1, 2]) * Param(b=["x", "y"]),
    "some of a product": (Param(a=[1, 2]) * Param(b=["x", "y"])).where(lambda a, b: a < 2),
    "no parameters": Param.from_psets([{}]),
    "one without psets": Param(a=[]),
}


@pytest.mark.parametrize("kind", SPACES)
def test_psets_come_one_after_the_other_each_so_often(kind: str) -> None:
    space = SPACES[kind]
    repeated = repeated_space(space, 3)
    assert len(repeated) == 3 * len(space)
    for i in range(len(repeated)):
        expected = {**space[i // 3], "repeat": i % 3}
        assert repr(sorted(repeated[i].items())) == repr(sorted(expected.items()))


@pytest.mark.parametrize("kind", SPACES)
def test_first_repetitions_have_the_keys_of_the_psets_without(kind: str) -> None:
    space = SPACES[kind]
    keys = identity_keys(repeated_space(space, 3), FIRST)
    assert np.array_equal(keys[::3], identity_keys(space, {}))
    assert len(np.unique(keys, axis=0)) == len(keys)


@pytest.mark.parametrize("kind", SPACES)
def test_the_space_without_them_is_found_again(kind: str) -> None:
    space = SPACES[kind]
    repeated = pickle.loads(pickle.dumps(repeated_space(space, 3)))
    assert n_repeats(repeated) == 3
    assert repr(list(without_repeats(repeated))) == repr(list(space))
    assert n_repeats(space) is None
    assert without_repeats(space) is space


def test_a_parameter_of_that_name_among_others_is_none_of_it() -> None:
    assert n_repeats(Param(a=[1]) * Param(b=[1, 2], repeat=[1, 2])) is None
    assert n_repeats(Param(repeat=[1, 2]) * Param(a=[1])) is None
    with pytest.raises(AmbiguousOperationError, match="repeat"):
        repeated_space(Param(repeat=[1, 2]), 3)


def test_many_psets_stay_lazy() -> None:
    tracemalloc.start()
    space = repeated_space(Param(a=range(1000)) * Param(b=range(1000)), 10**6)
    last = space[10**12 - 1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert last == {"a": 999, "b": 999, "repeat": 10**6 - 1}
    assert peak < 1 << 20


def test_streams_of_first_repetitions_are_those_of_the_psets_without() -> None:
    space = Param(a=[1, 2])
    items = np.arange(6)
    alone = [rng.random() for rng in RandomStreams(7).generators(space, items[:2])]
    streams = RandomStreams(7, defaults=FIRST)
    drawn = [rng.random() for rng in streams.generators(repeated_space(space, 3), items)]
    assert drawn[::3] == alone
    assert len(set(drawn)) == 6
