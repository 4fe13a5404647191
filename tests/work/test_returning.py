"""What a busy worker gives back of what it was dealt: nothing of it is done twice, or never."""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psyflow.outcomes.shard import ShardReader, ShardWriter
from psyflow.work.conditions import Conditions
from psyflow.work.evaluate import Evaluator
from psyflow.work.prepared import Prepared
from psyflow.work.returning import Returning
from psyflow.work.slot import Slot
from tests.support.job import Job

MakeJob = Callable[..., Job]


class Worker:
    """Evaluates deals as a worker does, in this process."""

    def __init__(self, path: Path, execute: Callable[..., Any]) -> None:
        self.slot = Slot(memoryview(bytearray(Slot.size)))
        self.path = path
        self.writer = ShardWriter(path)
        self.evaluator = Evaluator(Prepared(execute), self.writer)
        self.evaluator.looks.look_after(Conditions())
        self.returning = Returning(self.slot, self.evaluator.looks.take_left)
        self.before_block: Callable[[], object] = lambda: None

    def evaluate(self, number: int, start: int, stop: int, size: int) -> tuple[int, int]:
        """Evaluate a deal in blocks, and return from where to where it was given back."""
        items = np.arange(start, stop)
        self.returning.dealt(number, start, stop)
        for begin in self.returning.blocks(items, size):
            self.before_block()
            left = items[begin : begin + size]
            while len(left):
                left = self.evaluator.evaluate(left, {"i": left.tolist()})
        n_given = self.returning.end()
        back = self.slot.given_back(number) or (stop, stop)
        assert back[1] == stop and back[1] - back[0] == n_given
        return back

    def outcomes(self) -> Counter[int]:
        self.evaluator.flush()
        reader = ShardReader(self.path)
        return Counter(item for frame in reader.new_frames() for item in frame.items.tolist())


def deals(rng: random.Random, n: int) -> Iterator[tuple[int, int, int, int]]:
    start = 0
    for number in range(1, n + 1):
        stop = start + rng.randrange(1, 40)
        yield number, start, stop, rng.choice([1, 3, 8, 100])
        start = stop


@pytest.mark.parametrize("seed", range(5))
def test_wherever_a_worker_is_when_it_gives_back(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    calls: Counter[int] = Counter()

    def at_any_moment() -> None:
        if rng.random() < 0.05:
            worker.returning.heed()

    def execute(i: int) -> dict[str, int]:
        calls[i] += 1
        at_any_moment()
        return {"y": i}

    worker = Worker(tmp_path / "a.rows", execute)
    worker.before_block = at_any_moment
    expected: set[int] = set()
    with worker.writer:
        for number, start, stop, size in deals(rng, 100):
            if rng.random() < 0.8:
                worker.slot.recall(number)
            cut, _ = worker.evaluate(number, start, stop, size)
            expected |= set(range(start, cut))
        assert worker.outcomes() == calls == Counter(expected)
    assert len(expected) < stop  # some were given back


def test_a_thread_that_takes_what_it_can_at_every_moment(tmp_path: Path) -> None:
    calls: Counter[int] = Counter()
    rng = random.Random(1)
    is_over = threading.Event()

    def execute(i: int) -> dict[str, int]:
        calls[i] += 1
        return {"y": i}

    def take() -> None:
        while not is_over.is_set():
            worker.returning.heed()

    worker = Worker(tmp_path / "a.rows", execute)
    thread = threading.Thread(target=take)
    interval = sys.getswitchinterval()
    expected: set[int] = set()
    with worker.writer:
        thread.start()
        sys.setswitchinterval(1e-6)
        try:
            for number, start, stop, size in deals(rng, 300):
                worker.slot.recall(number)
                cut, _ = worker.evaluate(number, start, stop, size)
                expected |= set(range(start, cut))
        finally:
            sys.setswitchinterval(interval)
            is_over.set()
            thread.join()
        assert worker.outcomes() == calls == Counter(expected)


def test_what_nobody_wants_back_is_kept(tmp_path: Path) -> None:
    worker = Worker(tmp_path / "a.rows", lambda i: {"y": i})
    worker.before_block = worker.returning.heed
    with worker.writer:
        worker.slot.recall(1)
        assert worker.evaluate(2, 0, 10, 3) == (10, 10)
        # What was left by others is no deal.
        for _ in worker.returning.blocks(np.arange(10, 12), 1):
            worker.returning.heed()
        assert worker.returning.end() == 0


WAITS = """
def n_called():
    return len(set((folder / "notes").read_text().split()))


def execute(i):
    note(i)
    if i == {item}:
        # All others are done while it is running.
        wait_for(lambda: n_called() == n_items, 100)
    return {{"y": 2 * i}}
"""


@pytest.mark.parametrize("item", [0, 40, 2000])
def test_what_was_dealt_does_not_wait_for_an_item_that_takes_long(job: MakeJob, item: int) -> None:
    run = job(3000, WAITS.format(item=item))
    assert run.run() == 0
    run.check_all_done()
    assert set(run.calls().values()) == {1}


def test_a_worker_killed_after_it_has_given_back_costs_its_item_alone(job: MakeJob) -> None:
    source = WAITS.replace("return {{", "if i == 40: os.kill(os.getpid(), 9)\n    return {{")
    run = job(3000, source.format(item=40))
    assert run.run() == 0
    run.check_all_done({40: "crash"})
