"""Paths among the values of a space, and the items that have them."""

from __future__ import annotations

import dataclasses
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from psyflow import Param
from psyflow.pspace.paths import items_with, paths_in
from psyflow.record.frozen import FrozenSpace


@dataclasses.dataclass(frozen=True)
class Source:
    path: Path


A, B = Path("a.csv"), Path("b.csv")


@pytest.mark.parametrize(
    "value",
    [
        A,
        [1, (A,)],
        {"x": {A}},
        {A: 1},
        Source(A),
        np.array([A, None]),
        Param(x=[1]) * Param(y=[A]),
    ],
)
def test_a_path_is_found_wherever_it_is(value):
    assert paths_in(value) == {"a.csv"}


def test_text_and_paths_of_no_file_system_are_none():
    assert paths_in(["a.csv", PurePosixPath("a.csv")]) == set()


@pytest.mark.parametrize("made", [lambda p: p, lambda p: (p, 1), Source, lambda p: {"p": [p]}])
def test_the_items_with_a_path_are_found(made):
    space = Param(n=[1, 2]) * Param(file=[made(A), made(B), made(A)]) + Param(n=[3])
    assert items_with(space, {"a.csv"}).tolist() == [0, 2, 3, 5]
    assert items_with(space, {"c.csv"}).tolist() == []
    assert items_with(space[::2], {"b.csv"}).tolist() == [2]


def test_a_space_that_was_narrowed_by_a_function_stays_as_narrow():
    space = Param(file=[A, B]).where(lambda file: file.name == "a.csv")
    assert items_with(space, {"a.csv"}).tolist() == [0]


def test_only_contents_that_are_known_on_both_sides_differ():
    frozen = dataclasses.replace(
        FrozenSpace.of(Param(file=[A, B])), contents={"a.csv": "1", "b.csv": "2"}
    )
    assert frozen.paths == {"a.csv", "b.csv"}
    assert frozen.changed_since({"a.csv": "0", "b.csv": "2", "c.csv": "3"}) == ["a.csv"]
    assert frozen.changed_since({}) == []


def test_keys_go_by_names_and_never_by_contents():
    frozen = FrozenSpace.of(Param(file=[A]))
    known = dataclasses.replace(frozen, contents={"a.csv": "1"})
    assert np.array_equal(frozen.keys(), known.keys()) and frozen.digest == known.digest
