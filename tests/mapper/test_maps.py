"""`map_pspace`, as psyrun had it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from psyflow import Param, Skip, map_pspace, map_pspace_hdd_backed, map_pspace_parallel
from psyflow.exceptions import (
    IneffectiveExcludeWarning,
    ItemsFailedError,
    UnsupportedDataError,
    UsageError,
)
from psyflow.mapper.maps import get_result
from psyflow.utils.example import square


def test_columns_are_lists_of_what_was_put_in_and_returned() -> None:
    space = Param(b=["x", "y"], a=[[1], 2])
    found = map_pspace(lambda a, b: {"n": 1 if b == "x" else 2.5, "pair": (a, b)}, space)
    assert found == {"a": [[1], 2], "b": ["x", "y"], "n": [1, 2.5], "pair": [([1], "x"), (2, "y")]}
    assert list(found) == ["a", "b", "n", "pair"] and type(found["n"][0]) is int


class OwnError(Exception):
    """An error that knows a number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"number {number}")
        self.number = number


def test_what_the_function_raises_is_raised_and_ends_it() -> None:
    called: list[int] = []

    def fails(x: int) -> dict[str, int]:
        called.append(x)
        if x == 2:
            raise OwnError(x)
        return {"y": x}

    with pytest.raises(OwnError) as raised:
        map_pspace(fails, Param(x=[0, 1, 2, 3]))
    assert raised.value.number == 2 and called == [0, 1, 2]
    assert raised.traceback[-1].name == "fails"
    for error in (KeyboardInterrupt, SystemExit):

        def ends(x: int, error: type[BaseException] = error) -> dict[str, int]:
            raise error

        with pytest.raises(error):
            map_pspace(ends, Param(x=[0, 1]))


def test_results_that_nobody_could_keep_are_refused() -> None:
    results: list[Any] = [{"y": 1}, 3]
    with pytest.raises(TypeError, match="3"):
        map_pspace(lambda x: results[x], Param(x=[0, 1]))
    with pytest.raises(UnsupportedDataError, match='returned 5 as "x"'):
        map_pspace(lambda x: {"x": 5}, Param(x=[0, 1]))


def test_swapped_arguments_are_told(tmp_path: Path) -> None:
    space: Any = Param(x=[1])
    for swapped in (
        lambda: map_pspace(space, abs),  # type: ignore[arg-type]
        lambda: map_pspace_parallel(space, abs),  # type: ignore[arg-type]
        lambda: map_pspace_hdd_backed(space, abs, tmp_path / "r.npz"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match="The function comes first"):
            swapped()


def test_skips_have_no_row_and_absent_results_are_nan() -> None:
    def some(x: int, z: int = 0) -> dict[str, int]:
        if x == 1:
            raise Skip
        return {"even": x} if x % 2 == 0 else {"odd": x}

    found = map_pspace(some, Param(x=[0, 1, 2, 3]))
    assert found["x"] == [0, 2, 3] and found["even"][:2] == [0, 2]
    assert found["even"][2] != found["even"][2] and found["odd"][2] == 3
    assert map_pspace(some, Param(x=[1]) * Param(z=[2]), exclude=["z"]) == {"x": []}
    with pytest.warns(IneffectiveExcludeWarning, match="other"):
        assert map_pspace(some, Param(x=[0]), exclude=["even", "other"]) == {"x": [0]}


def test_what_the_function_does_to_its_arguments_and_results_harms_no_other() -> None:
    result: dict[str, Any] = {}

    def changes(v: list[int]) -> dict[str, Any]:
        v.append(0)
        result["n"], result["at"] = len(v), time.monotonic()
        return result

    found = map_pspace(changes, [{"v": values} for values in ([1], [1, 2], [3])])
    assert found["n"] == [2, 3, 2] and len(set(found["at"])) == 3
    assert found["v"] == [[1], [1, 2], [3]]


@pytest.mark.parametrize("number", [0, 1.5, True, "2", None])
def test_a_number_of_workers_that_is_none_is_refused(tmp_path: Path, number: Any) -> None:
    space = Param(x=[1])
    with pytest.raises(UsageError, match="`n_jobs` is the number of workers: 1 or more"):
        map_pspace_parallel(square, space, number)
    with pytest.raises(UsageError, match="`pool_size` is the number of workers: 1 or more"):
        map_pspace_hdd_backed(square, space, tmp_path / "r.npz", pool_size=number)
    assert map_pspace_parallel(square, space, -2, "threading")["y"] == [1]


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (4, "`misses` returned 4, of type int"),
        ({3: 4}, "`misses` returned a dict with the key 3"),
        ({"x": 5}, '`misses` returned 5 as "x"'),
    ],
)
def test_what_is_wrong_with_a_result_names_the_function(returned: Any, told: str) -> None:
    def misses(x: int) -> Any:
        return returned

    for evaluated in (
        lambda: map_pspace(misses, Param(x=[1])),
        lambda: map_pspace_parallel(misses, Param(x=[1]), 1, "threading"),
        lambda: get_result(misses, {"x": 1}),
    ):
        with pytest.raises((TypeError, UnsupportedDataError, ItemsFailedError), match=told):
            evaluated()
