from __future__ import annotations

import math
import mmap
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psyflow.outcomes.shard import ShardReader
from psyflow.system.exits import STOPPED
from psyflow.work.pacer import MAX_CLAIM, Pacer
from psyflow.work.slot import Slot
from tests.support.processes import eventually, script
from tests.support.rows import load

# --------------------------------------------------------------------------- slot


def test_a_slot_outlives_its_writer(tmp_path: Path) -> None:
    memory = mmap.mmap(-1, 2 * Slot.size)
    first, second = (Slot(memoryview(memory)[k * Slot.size :]) for k in (0, 1))
    second.running(3, 1.0)
    pid = os.fork()
    if pid == 0:
        first.running(2**62, 12345.678)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert first.read() == (2**62, 12345.678)
    assert second.read() == (3, 1.0)


def test_what_a_slot_says() -> None:
    slot = Slot(memoryview(bytearray(Slot.size)))
    slot.clear()
    assert slot.read()[0] == Slot.IDLE
    assert slot.stop_level == 0
    slot.tell_to_stop(2)
    slot.clear()
    assert slot.stop_level == 2
    slot.running(0, 1.0)
    slot.end()
    assert slot.read() == (0, 1.0)  # the item is what ends the worker
    slot.clear()
    slot.end()
    assert slot.read()[0] == Slot.ENDED


# --------------------------------------------------------------------------- pacer

claims = st.lists(st.floats(1e-7, 100), max_size=30)


@given(claims, st.integers(1, 1000), st.integers(1, 10**7))
def test_claims_are_a_fair_share_unless_that_is_nothing(
    seconds: list[float], n_workers: int, remaining: int
) -> None:
    pacer, item_seconds = Pacer(n_workers), 1000.0
    for taken in seconds:
        size = pacer.size(remaining)
        fair = math.ceil(remaining / (2 * n_workers))
        assert 1 <= size <= min(MAX_CLAIM, remaining)
        assert size <= fair or size * item_seconds <= 0.0101
        pacer.took(size, taken)
        item_seconds = taken / size


@given(st.floats(1e-6, 10))
def test_claims_settle_at_a_quarter_of_a_second(item_seconds: float) -> None:
    pacer = Pacer(n_workers=1)
    for _ in range(20):
        size = pacer.size(10**9)
        pacer.took(size, size * item_seconds)
    expected = min(MAX_CLAIM, max(1.0, 0.25 / item_seconds))
    assert 0.4 * expected <= pacer.size(10**9) <= 1.01 * expected


def test_the_first_claim_is_small_and_growth_is_stepwise() -> None:
    pacer, sizes = Pacer(n_workers=2), []
    for _ in range(4):
        sizes.append(pacer.size(10**6))
        pacer.took(sizes[-1], 0.0)
    assert sizes == [1, 8, 64, 512]
    pacer.took(512, 1000.0)
    assert pacer.size(10**6) == 1


def test_few_items_are_shared_out_in_ever_smaller_claims() -> None:
    pacer = Pacer(n_workers=4)
    pacer.took(100, 0.2)  # 2 ms each, so a hundredth of a second is five of them
    remaining, sizes = 1000, []
    while remaining:
        sizes.append(pacer.size(remaining))
        remaining -= sizes[-1]
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[1], sizes[-2]) == (125, 110, 5)


# --------------------------------------------------------------------------- work

WORK = """
    import os, signal, sys, time
    from pathlib import Path
    import numpy as np
    from psyflow.work.prepared import Prepared
    from psyflow.pspace import Param
    from psyflow.work.slot import Slot
    from psyflow.work.worker import Work, work

    folder, name, n, seconds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    first = np.array([int(i) for i in sys.argv[5:]]) if sys.argv[5:] else None

    def execute(i, proc):
        with open(folder / f"{name}.calls", "a") as file:
            file.write(f"{i}\\n")
        time.sleep(float(seconds))
        if i == 2 and name == "gated":
            wait_at_gate()
        return {"y": 2 * i, "proc": proc}

    def wait_at_gate():
        stop = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *a: (tell("SIGTERM"), stop(*a)))
        tell("waiting")
        for _ in range(12_000):
            if (folder / "gate").exists():
                return
            time.sleep(0.01)

    def tell(what):
        with open(folder / "told", "a") as file:
            file.write(f"{what}\\n")

    def hurry(*arguments):
        slot.tell_to_stop(2)
        tell("SIGALRM")

    job = Work(
        space=Param(i=list(range(2 * n))),
        items=np.arange(0, 2 * n, 2),
        claims=folder / "claims",
        out=folder,
        prefix="run",
        prepare=lambda index: Prepared(execute, extra={"proc": index}),
        n_workers=2,
    )
    slot = Slot(memoryview(bytearray(Slot.size)))
    signal.signal(signal.SIGALRM, hurry)
    # As workers do: an interpreter that winds up dies of a late SIGTERM.
    os._exit(work(job, 5, folder / f"{name}.rows", slot, first))
"""


def start(folder: Path, name: str, n: int, seconds: float = 0, first: list[int] | None = None):  # type: ignore[no-untyped-def]
    return script(WORK, folder, name, n, seconds, *(first or []))


def read(folder: Path, name: str) -> dict[int, Any]:
    path = folder / f"{name}.rows"
    reader = ShardReader(path)
    return load(reader, reader.new_frames()) if path.exists() else {}


def calls(folder: Path, name: str) -> list[int]:
    path = folder / f"{name}.calls"
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def told(folder: Path) -> list[str]:
    path = folder / "told"
    return path.read_text().splitlines() if path.exists() else []


def test_workers_share_a_log_and_count_positions_in_the_batch(tmp_path: Path) -> None:
    workers = [start(tmp_path, name, 300, 0.001) for name in "abc"]
    assert [worker.wait(120) for worker in workers] == [0, 0, 0]
    shares = [read(tmp_path, name) for name in "abc"]
    items = [item for share in shares for item in share]
    assert sorted(items) == list(range(0, 600, 2))
    for share in shares:
        assert all(row == {"y": 2 * i, "proc": 5} for i, row in share.items())


def test_what_a_dead_worker_left_comes_first(tmp_path: Path) -> None:
    assert start(tmp_path, "a", 5, first=[7, 1]).wait(120) == 0
    assert calls(tmp_path, "a")[:2] == [7, 1]
    assert sorted(read(tmp_path, "a")) == [0, 1, 2, 4, 6, 7, 8]


def test_nothing_to_do(tmp_path: Path) -> None:
    assert start(tmp_path, "a", 0).wait(120) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["claims"]


@pytest.mark.parametrize("is_urgent", [False, True])
def test_sigterm_ends_a_worker(tmp_path: Path, is_urgent: bool) -> None:
    worker = start(tmp_path, "gated", 1000)
    eventually(lambda: told(tmp_path) == ["waiting"])
    if is_urgent:
        worker.send_signal(signal.SIGALRM)
        eventually(lambda: "SIGALRM" in told(tmp_path))
    for number in (1, 2, 3):
        worker.terminate()
        # Otherwise the first one ends the worker, and the others come on its way there.
        eventually(lambda n=number: is_urgent or told(tmp_path).count("SIGTERM") == n)
    if not is_urgent:
        (tmp_path / "gate").touch()
    assert worker.wait(60) == STOPPED
    # The running item was finished, or counts as never begun.
    assert calls(tmp_path, "gated") == [0, 2]
    assert sorted(read(tmp_path, "gated")) == ([0] if is_urgent else [0, 2])
