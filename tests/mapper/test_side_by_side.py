"""Maps in several threads of one process, and forks of others beside them."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import psyflow
from psyflow.exceptions import UsageError
from tests.support.processes import eventually


def test_maps_in_threads_end_each_by_itself(tmp_path: Path) -> None:
    """No worker or guard of one map holds on to what another one waits for the end of."""
    has_begun, may_end = tmp_path / "begun", tmp_path / "end"

    def long(x: int) -> dict[str, int]:
        has_begun.touch()
        eventually(may_end.exists)
        return {"y": x}

    with ThreadPoolExecutor(1) as pool:
        others: list[Future[psyflow.Results]] = []

        def begin_another(_outcome: object) -> None:
            if not others:
                psets = [{"x": 1}]
                others.append(pool.submit(psyflow.map, long, psets, progress=False, pool_size=1))
                eventually(has_begun.exists)

        # What is forked for the other one has all that this one has open.
        psets = [{"x": x} for x in range(3)]
        found = psyflow.map(
            lambda x: {"y": x}, psets, progress=False, pool_size=1, on_outcome=begin_another
        )
        assert list(found["y"]) == [0, 1, 2]
        assert not others[0].done()
        may_end.touch()
        assert list(others[0].result()["y"]) == [1]


def test_maps_that_begin_together_all_end() -> None:
    n = 4
    together = threading.Barrier(n)

    def one(k: int) -> list[int]:
        together.wait()
        psets = [{"x": k + x} for x in range(20)]
        return list(psyflow.map(lambda x: {"y": 2 * x}, psets, progress=False, pool_size=2)["y"])

    with ThreadPoolExecutor(n) as pool:
        assert [*pool.map(one, range(n))] == [[2 * (k + x) for x in range(20)] for k in range(n)]


def test_maps_with_folders_leave_the_output_alone(tmp_path: Path) -> None:
    """Each says what it does in its own logs, and nowhere else."""
    n, out = 3, sys.stdout
    together = threading.Barrier(n)
    psets = [{"x": x} for x in range(5)]

    def one(k: int) -> list[int]:
        together.wait()
        found = psyflow.map(
            lambda x: {"y": x}, psets, progress=False, backend="serial", workdir=tmp_path / f"{k}"
        )
        return [*found["y"]]

    with ThreadPoolExecutor(n) as pool:
        assert [*pool.map(one, range(n))] == [[*range(5)]] * n
    assert sys.stdout is out
    for k in range(n):
        logs = "".join(path.read_text() for path in (tmp_path / str(k)).glob("*.log"))
        assert logs.count("5 items in 1 batch") == 1


def test_a_process_of_the_users_does_not_keep_a_map_from_its_end() -> None:
    context = multiprocessing.get_context("fork")
    started: list[Any] = []
    reader, writer = context.Pipe(duplex=False)

    def start(_outcome: object) -> None:
        if not started:
            started.append(context.Process(target=reader.recv))
            started[0].start()

    psets = [{"x": x} for x in range(3)]
    found = psyflow.map(lambda x: {"y": x}, psets, progress=False, on_outcome=start)
    assert list(found["y"]) == [0, 1, 2]
    assert started[0].is_alive()
    writer.send(None)
    started[0].join()


@pytest.mark.parametrize("backend", ["processes", "serial", "threads"])
def test_what_was_given_before_an_iterator_raised_is_evaluated(backend: str) -> None:
    def broken() -> Iterator[dict[str, int]]:
        yield from ({"x": x} for x in range(10))
        raise RuntimeError("mine")

    found = []
    with pytest.raises(RuntimeError, match="mine"):
        for outcome in psyflow.imap(lambda x: {"y": x}, broken(), backend=backend, pool_size=2):
            found.append(outcome.result["y"])
    assert sorted(found) == [*range(10)]
    with pytest.raises(UsageError, match="not 5"):
        for outcome in psyflow.imap(lambda x: {"y": x}, iter([{"x": 1}, 5]), backend=backend):
            found.append(outcome.result["y"])
    assert found[-1] == 1
