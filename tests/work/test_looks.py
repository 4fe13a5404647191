"""When a worker looks after items, and what it gives up if they have changed something."""

from __future__ import annotations

import decimal
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psyflow.exceptions import Skip
from psyflow.mapper.batches import Batch
from psyflow.mapper.batches import evaluate as evaluate_batch
from psyflow.outcomes.records import Failure
from psyflow.outcomes.shard import SKIP, ShardReader, ShardWriter
from psyflow.pspace.streams import RandomStreams
from psyflow.work import flusher, kept, looks
from psyflow.work.conditions import Conditions
from psyflow.work.evaluate import Evaluator
from psyflow.work.integrity import Integrity
from psyflow.work.prepared import NO_RETRIES, Prepared, Retries
from tests.support.processes import eventually
from tests.support.rows import load


class Worker:
    """An evaluator of a process that is psyflow's own, of which this test plays the part."""

    def __init__(
        self,
        path: Path,
        execute: Callable[..., Any],
        retries: Retries = NO_RETRIES,
        **prepared: Any,
    ) -> None:
        self.path = path
        self._retries = retries
        self._writer = ShardWriter(path)
        self._prepared = Prepared(execute, **prepared)
        self.evaluator = Evaluator(
            self._prepared, self._writer, retries=retries, integrity=Integrity()
        )
        self.evaluator.looks.look_after(Conditions())

    def run(self, n_items: int, **columns: Any) -> None:
        columns = columns or {"i": list(range(n_items))}
        with self._writer, self.evaluator:
            evaluate_batch(self.evaluator, self._prepared, Batch(np.arange(n_items), columns))
            self.evaluator.flush()

    def evaluate(self, **columns: Any) -> dict[int, Any]:
        self.run(len(next(iter(columns.values()))), **columns)
        reader = ShardReader(self.path)
        frames = reader.new_frames()
        recorded = Counter(item for frame in frames for item in frame.items.tolist())
        assert set(recorded.values()) == {1} or self._retries.limit
        assert max(recorded.values()) <= 1 + self._retries.limit
        last = {item: frame for frame in frames for item in frame.items.tolist()}
        outcomes: dict[int, Any] = {}
        for frame in {id(frame): frame for frame in last.values()}.values():
            outcomes |= load(reader, [frame])
        return outcomes


class AtOnce(Retries):
    """Retries that wait for nothing."""

    @staticmethod
    def pause(attempt: int) -> float:
        return 0.0


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Return a list with an entry for each look."""
    made: list[None] = []
    changed = Conditions.changed

    def counting(self: Conditions) -> list[int]:
        made.append(None)
        return changed(self)

    monkeypatch.setattr(Conditions, "changed", counting)
    return made


def test_quick_items_are_looked_after_together(tmp_path: Path, looked: list[None]) -> None:
    n_items = 100_000
    found = Worker(tmp_path / "a.rows", lambda i: {"y": i}).evaluate(i=list(range(n_items)))
    assert len(found) == n_items
    # One that a busy machine has interrupted is none that took no time.
    assert 0 < len(looked) < n_items / 20


def test_quick_items_are_looked_after_one_by_one_once_there_was_a_reason(
    tmp_path: Path, looked: list[None]
) -> None:
    calls: list[int] = []

    def execute(i: int) -> dict[str, Any]:
        calls.append(i)
        seen = os.environ.get("FOO")
        if i == 500:
            os.environ["FOO"] = "bar"
        return {"seen": str(seen)}

    found = Worker(tmp_path / "a.rows", execute).evaluate(i=list(range(1000)))
    assert {row["seen"] for row in found.values()} == {"None"}
    assert "FOO" not in os.environ
    assert len(looked) >= 500
    # Nothing is evaluated again but what began since the last look.
    assert max(map(calls.count, set(calls))) <= 2


def test_quick_skips_are_looked_after_together(tmp_path: Path, looked: list[None]) -> None:
    n_items = 20_000

    def execute(i: int) -> dict[str, Any]:
        raise Skip(f"dull {i}")

    reader = skipped_by(Worker(tmp_path / "a.rows", execute), n_items)
    why = {skip.item: skip.exception for frame in reader for skip in frame}
    assert why == {i: f"dull {i}" for i in range(n_items)}
    assert 0 < len(looked) < n_items / 10
    assert len(reader) < n_items / 10


def test_what_a_skip_has_changed_is_put_back_and_what_came_after_it_runs_again(
    tmp_path: Path,
) -> None:
    calls: list[int] = []

    def execute(i: int) -> dict[str, Any]:
        calls.append(i)
        seen = os.environ.get("FOO")
        if i == 500:
            os.environ["FOO"] = "bar"
        raise Skip(str(seen))

    reader = skipped_by(Worker(tmp_path / "a.rows", execute), 1000)
    why = [(skip.item, skip.exception) for frame in reader for skip in frame]
    assert sorted(why) == [(i, "None") for i in range(1000)]
    assert "FOO" not in os.environ
    # Nothing is evaluated again but what began since the last look.
    assert max(map(calls.count, set(calls))) <= 2


def skipped_by(worker: Worker, n_items: int) -> list[list[Failure]]:
    """Evaluate items that are all skipped, and return the records of each frame."""
    worker.run(n_items)
    reader = ShardReader(worker.path)
    frames = reader.new_frames()
    assert {frame.kind for frame in frames} == {SKIP}
    return [reader.failures(frame) for frame in frames]


@pytest.mark.parametrize(("culprit", "twice"), [(3, {3, 4, 5, 6, 7}), (5, {6, 7})])
def test_the_thread_that_writes_settles_nothing_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, culprit: int, twice: set[int]
) -> None:
    monkeypatch.setattr(flusher, "FLUSH_SECONDS", 0.01)
    # There is a look after each of the first two items, and the next one after the last.
    monkeypatch.setattr(looks, "N_FIRST", 0)
    monkeypatch.setattr(looks, "SHARE", 1e-9)
    monkeypatch.setattr(kept, "WRITE_SECONDS", 1e9)
    answers: list[bool] = []
    are_as_ever = Conditions.are_as_ever
    calls: list[int] = []
    waits = threading.Event()

    def asked(self: Conditions) -> bool:
        # On a busy machine, the thread could have its turn between any two items.
        if not waits.is_set():
            return False
        answers.append(are_as_ever(self))
        return answers[-1]

    monkeypatch.setattr(Conditions, "are_as_ever", asked)

    def execute(i: int) -> dict[str, Any]:
        calls.append(i)
        seen = os.environ.get("FOO")
        if i == 5 and calls.count(i) == 1:
            waits.set()
            eventually(lambda: answers[2:] or True in answers)
            waits.clear()
        if i == culprit:
            os.environ["FOO"] = "bar"
        return {"seen": str(seen)}

    found = Worker(tmp_path / "a.rows", execute).evaluate(i=list(range(8)))
    assert found == {i: {"seen": "None"} for i in range(8)}
    assert (True in answers) is (culprit == 5)
    assert {i for i in calls if calls.count(i) == 2} == twice
    assert len(calls) == 8 + len(twice)


def test_random_numbers_of_what_is_evaluated_again_are_the_same(tmp_path: Path) -> None:
    def execute(i: int, rng: np.random.Generator) -> dict[str, Any]:
        if i == 50:
            sys.path.append("/nowhere")
        return {"y": float(rng.random())}

    def harmless(i: int, rng: np.random.Generator) -> dict[str, Any]:
        return {"y": float(rng.random())}

    columns = {"i": list(range(100))}
    streams = RandomStreams(1)
    found = Worker(tmp_path / "a.rows", execute, streams=streams).evaluate(**columns)
    assert "/nowhere" not in sys.path
    assert found == Worker(tmp_path / "b.rows", harmless, streams=streams).evaluate(**columns)


def _change_errors() -> None:
    np.seterr(all="raise")


def _change_decimals() -> None:
    decimal.getcontext().prec = 4


STATES: list[tuple[Callable[[], Any], Callable[[], Any]]] = [
    (lambda: os.environ.get("FOO"), lambda: os.environ.update(FOO="bar")),
    (lambda: str(Path.cwd()), lambda: os.chdir("/")),
    (lambda: sys.path[-1], lambda: sys.path.append("/nowhere")),
    (np.geterr, _change_errors),
    (lambda: str(1 / decimal.Decimal(7)), _change_decimals),
]


@given(
    st.lists(
        st.tuples(
            st.integers(-len(STATES), len(STATES) - 1),
            st.sampled_from(["return", "raise", "result"]),
            st.booleans(),
        ),
        min_size=1,
        max_size=40,
    ),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 3, looks.N_FIRST]),
    st.sampled_from([1e-4, flusher.FLUSH_SECONDS]),
)
@settings(deadline=None, max_examples=150)
def test_in_whatever_order_items_set_and_read_each_sees_the_same(
    deeds: list[tuple[int, str, bool]],
    is_changeable: bool,
    retries: bool,
    n_first: int,
    flush_seconds: float,
) -> None:
    with np.errstate(), decimal.localcontext(), pytest.MonkeyPatch.context() as patch:
        # Some are looked after together, and another thread may settle what they are.
        patch.setattr(looks, "N_FIRST", n_first)
        patch.setattr(flusher, "FLUSH_SECONDS", flush_seconds)
        own = repr([see() for see, _ in STATES])
        # By what each attempt of each item has seen, in the end.
        last: dict[int, str] = {}

        def execute(i: int, values: Any) -> Any:
            state, end, is_slow = deeds[i]
            last[i] = repr([see() for see, _ in STATES])
            if state >= 0:
                STATES[state][1]()
            if is_slow:
                sum(range(50_000))
            if end == "raise":
                raise ValueError(last[i])
            return {"seen": last[i]} if end == "return" else object()

        numbers = list(range(len(deeds)))
        values = [[1]] * len(deeds) if is_changeable else [1] * len(deeds)
        with tempfile.TemporaryDirectory() as folder:
            limit = AtOnce(1, ["error"]) if retries else NO_RETRIES
            worker = Worker(Path(folder) / "a.rows", execute, limit)
            found = worker.evaluate(i=numbers, values=values)
        assert set(last.values()) == {own}
        assert sorted(found) == numbers
        for i, outcome in found.items():
            if deeds[i][1] == "return":
                assert outcome == {"seen": own}
            elif deeds[i][1] == "raise":
                assert own in outcome.exception
        assert worker.evaluator.n_failed == sum(end != "return" for _, end, _ in deeds)
        assert repr([see() for see, _ in STATES]) == own
