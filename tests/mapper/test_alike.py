"""Maps whose psets all fail: said once, and ended where no pset can do better."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import psyflow
from psyflow.exceptions import ItemsFailedError, UsageError
from psyflow.mapper import map_pspace, map_pspace_hdd_backed, map_pspace_parallel

MANY = {"x": range(10_001)}
MORE = {"x": range(200_001)}
"""What no machine has done before somebody looks: quick failures take microseconds."""
FEW = {"x": range(60)}


def unnamed(x: int) -> dict[str, Any]:
    return {"y": unknown_name}  # type: ignore[name-defined]  # noqa: F821


def not_installed(x: int) -> dict[str, Any]:
    import no_such_module  # type: ignore[import-not-found]

    return {"y": no_such_module.y}


def missing_program(x: int) -> dict[str, Any]:
    return {"y": subprocess.run(["no-such-program", str(x)])}


def unstorable(x: int) -> dict[str, Any]:
    return {"y": lambda: x}


def unlucky(x: int) -> dict[str, Any]:
    return {"y": 1 / (x * 0)}


def deadly(x: int) -> dict[str, Any]:
    if x == 3:
        os._exit(3)
    return {"y": x}


DOOMED = [unnamed, not_installed, missing_program, unstorable]
each_doomed = pytest.mark.parametrize("function", DOOMED, ids=lambda one: one.__name__)
Tried = Callable[..., Any]


@each_doomed
@pytest.mark.parametrize("backend", ["processes", "threads", "serial"])
def test_a_map_in_which_every_pset_must_fail_stops(
    function: Tried, backend: str, capfd: pytest.CaptureFixture[str]
) -> None:
    results = psyflow.map(function, MANY, backend=backend, pool_size=2)
    told = capfd.readouterr().err
    assert results.failures.n_rows < 2000 and results.missing.n_rows == 10_001
    assert "the map stops" in told and told.count("Traceback") <= 1
    assert "10001 items failed" in told and "never ran" in told
    assert "psyflow/" not in told and len(told.splitlines()) < 20


def test_it_stops_in_a_folder_and_goes_on_there(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    assert psyflow.map(unnamed, MANY, workdir=folder, progress=False).failures.n_rows < 2000
    assert psyflow.map(deadly, FEW, workdir=folder, progress=False).n_rows == 59


def test_a_whole_pset_as_argument_and_a_lambda() -> None:
    results = psyflow.map(
        lambda pset: {"y": unknown_name},  # type: ignore[name-defined]  # noqa: F821
        MANY,
        call="pset",
        progress=False,
    )
    assert results.failures.n_rows < 2000


@each_doomed
def test_imap_raises_when_no_pset_can_do_better(function: Tried) -> None:
    outcomes = []
    with pytest.raises(ItemsFailedError, match="Every other item would fail there") as raised:
        for outcome in psyflow.imap(function, ({"x": x} for x in range(10_001)), pool_size=2):
            outcomes.append(outcome)
    assert 3 <= len(raised.value.failures) <= len(outcomes) < 2000
    assert not any(outcome.is_done for outcome in outcomes)


@each_doomed
@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_a_parallel_map_stops(function: Tried, backend: str) -> None:
    with pytest.raises(ItemsFailedError, match="never ran") as raised:
        map_pspace_parallel(function, MANY, 2, backend)
    assert len(raised.value.failures) < 2000
    assert str(raised.value).count("Traceback") <= 1


@each_doomed
@pytest.mark.parametrize("backend", [None, "threading"])
def test_a_map_into_a_file_stops(
    function: Tried, backend: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "all.npz"
    with pytest.raises(ItemsFailedError, match="never ran") as raised:
        map_pspace_hdd_backed(function, MORE, file, pool_size=2, backend=backend)
    assert len(raised.value.failures) < 200_001
    assert len(capfd.readouterr().err.splitlines()) < 5
    assert map_pspace_hdd_backed(lambda x: {"y": x}, FEW, file, return_data=False) is None


def test_what_others_may_escape_is_said_once_and_goes_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert psyflow.map(unlucky, MANY).failures.n_rows == 10_001
    told = capfd.readouterr().err
    assert "Others may do better, so the map goes on" in told
    assert told.count("Traceback") == 1 and told.count("ZeroDivisionError") == 1
    assert len(list(psyflow.imap(unlucky, FEW))) == 60
    with pytest.raises(ItemsFailedError, match="60 of 60") as raised:
        map_pspace_parallel(unlucky, FEW, 2, "threading")
    assert str(raised.value).count("Traceback") == 1


def test_max_failures_chooses_otherwise(tmp_path: Path) -> None:
    for most, n_failed in ((math.inf, 60), (len(FEW["x"]), 60)):
        results = psyflow.map(unnamed, FEW, max_failures=most, progress=False)
        assert results.failures.n_rows == n_failed
        assert len(list(psyflow.imap(unnamed, FEW, max_failures=most))) == n_failed
        with pytest.raises(ItemsFailedError, match="60 of 60"):
            map_pspace_parallel(unnamed, FEW, 2, "threading", max_failures=most)
        with pytest.raises(ItemsFailedError, match="60 of 60"):
            map_pspace_hdd_backed(unnamed, FEW, tmp_path / f"{most}.pkl", max_failures=most)
    with pytest.raises(ItemsFailedError, match="never ran") as raised:
        map_pspace_parallel(unlucky, MANY, 2, "threading", max_failures=3)
    assert len(raised.value.failures) < 2000
    for wrong in (0, -1, "x", True, float("nan")):
        for asked in (psyflow.map, map_pspace_parallel):
            with pytest.raises(UsageError, match="`max_failures`"):
                asked(unlucky, FEW, max_failures=wrong)
        with pytest.raises(UsageError, match="`max_failures`"):
            map_pspace_hdd_backed(unlucky, FEW, tmp_path / "w.pkl", max_failures=wrong)


def test_one_result_is_enough_to_go_on() -> None:
    def mostly(x: int) -> dict[str, int]:
        return {"y": x} if x == 0 else unnamed(x)

    assert psyflow.map(mostly, FEW, pool_size=1, progress=False).failures.n_rows == 59


def into_file(function: Tried, psets: Any) -> Any:
    return map_pspace_hdd_backed(function, psets, "never.pkl")


MAPS = [psyflow.map, psyflow.imap, map_pspace, map_pspace_parallel, into_file]


@pytest.mark.parametrize("asked", MAPS, ids=lambda one: one.__name__)
def test_what_does_not_fit_is_refused_before_anything_runs(
    asked: Tried, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    calls = []

    def two(width: int, height: int) -> dict[str, int]:
        calls.append(width)
        return {"area": width * height}

    async def later(x: int) -> dict[str, int]:
        return {"y": x}

    def several(x: int) -> Any:
        yield {"y": x}

    def by_position(x: int, /) -> dict[str, int]:
        return {"y": x}

    for function, psets, told in (
        (two, {"width": [1], "heigth": [2]}, 'have "heigth", which `two` does not .*"height"'),
        (two, {"width": [1]}, "takes `height`, which the psets do not have"),
        (later, {"x": [1]}, "`later` is an `async def`"),
        (several, {"x": [1]}, "`several` has a `yield`"),
        (by_position, {"x": [1]}, "by position only"),
    ):
        with pytest.raises(UsageError, match=told):
            list(asked(function, psets))
    assert not calls and not list(tmp_path.iterdir())


def test_a_worker_that_dies_costs_one_pset(tmp_path: Path) -> None:
    psets = {"x": range(8)}
    assert list(psyflow.map(deadly, psets, progress=False)["x"]) == [0, 1, 2, 4, 5, 6, 7]
    assert sum(outcome.is_done for outcome in psyflow.imap(deadly, psets)) == 7
    with pytest.raises(ItemsFailedError, match="1 of 8") as raised:
        map_pspace_hdd_backed(deadly, psets, tmp_path / "file.pkl", pool_size=2)
    assert [failure.item for failure in raised.value.failures] == [3]
    with pytest.raises(ItemsFailedError, match="1 of 8") as raised:
        map_pspace_parallel(deadly, psets, 2)
    assert raised.value.columns is not None and len(raised.value.columns["y"]) == 7


def test_tracebacks_of_engines_show_the_users_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "script_of_mine.py"
    source = """
        import psyflow
        def wrong(x):
            return {"y": 1 / (x - 1)}
        if __name__ == "__main__":
            for backend in ("processes", "serial", "threads", "loky"):
                failures = psyflow.map(
                    wrong, {"x": [0, 1]}, backend=backend, progress=False
                ).failures
                print(failures["traceback"][0])
    """
    file.write_text(textwrap.dedent(source))
    done = subprocess.run([sys.executable, file], capture_output=True, text=True)
    assert done.stdout.count(f'File "{file}", line 4, in wrong') == 4, done.stderr
    assert "psyflow/" not in done.stdout
