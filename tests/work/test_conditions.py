"""What an item does to the conditions under which items run ends with it."""

from __future__ import annotations

import decimal
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import psyflow
from psyflow.mapper.batches import Batch
from psyflow.mapper.batches import evaluate as evaluate_batch
from psyflow.outcomes.shard import ROWS, ShardReader, ShardWriter
from psyflow.pspace.streams import RandomStreams
from psyflow.work.conditions import Conditions
from psyflow.work.evaluate import Evaluator
from psyflow.work.integrity import Integrity
from psyflow.work.prepared import NO_RETRIES, Prepared, Retries
from tests.support.job import Job
from tests.support.rows import load

MakeJob = Callable[..., Job]

SOURCE = """
import decimal, gc, locale, socket, tempfile, time, warnings

def all_there_is():
    return {
        "folder": os.getcwd(),
        "environ": sorted(os.environ.items()),
        "handlers": [str(signal.getsignal(n)) for n in (1, 2, 10, 12, 14, 15, 28, 40)],
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "umask": [os.umask(0o22), os.umask(0o22)],
        "limit": sys.getrecursionlimit(),
        "digits": sys.get_int_max_str_digits(),
        "path": [sys.path[:], sys.argv[:], len(sys.meta_path), len(sys.path_hooks)],
        "filters": warnings.filters[:],
        "numbers": [np.geterr(), np.geterrcall(), str(np.get_printoptions())],
        "decimal": str(1 / decimal.Decimal(7)) + str(decimal.getcontext().traps),
        "locale": [locale.setlocale(locale.LC_ALL), time.tzname],
        "gc": [gc.isenabled(), gc.get_threshold()],
        "others": [socket.getdefaulttimeout(), sys.getswitchinterval()],
    }

def step_aside():
    here = tempfile.mkdtemp(dir=folder)
    os.chdir(here)
    os.rmdir(here)

def close_and_step_aside():
    os.chdir("/")
    for fd in os.listdir("/proc/self/fd"):
        if os.path.islink(path := f"/proc/self/fd/{fd}") and os.readlink(path) == str(folder):
            os.dup2(os.open("/usr", os.O_RDONLY), int(fd))

def no_environ():
    os.environ = {"only": "this"}

def dirty_decimal():
    decimal.getcontext().prec = 5
    decimal.getcontext().traps[decimal.Inexact] = False

def blocked():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR2])

def filters():
    warnings.filters = [("error", None, Warning, None, 0)]

actions = [
    lambda: os.chdir("/"),
    step_aside,
    close_and_step_aside,
    lambda: os.environ.update(FOO="bar", HOME="/nowhere"),
    lambda: os.environ.pop("PATH"),
    lambda: os.environ.clear(),
    no_environ,
    lambda: (os.environ.update(TZ="Asia/Kathmandu"), time.tzset()),
    lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
    lambda: [signal.signal(n, print) for n in (1, 2, 10, 12, 14, 15, 28, 40)],
    blocked,
    lambda: os.umask(0o77),
    lambda: sys.setrecursionlimit(5000),
    lambda: sys.set_int_max_str_digits(0),
    lambda: sys.path.append("/nowhere"),
    lambda: setattr(sys, "path", ["/nowhere"]),
    lambda: (sys.meta_path.clear(), sys.path_hooks.clear(), sys.argv.clear()),
    lambda: warnings.simplefilter("error"),
    lambda: warnings.resetwarnings(),
    filters,
    lambda: np.seterr(all="raise"),
    lambda: np.seterrcall(print),
    lambda: np.set_printoptions(precision=2),
    dirty_decimal,
    lambda: decimal.setcontext(decimal.Context(prec=3)),
    lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"),
    lambda: (gc.disable(), gc.set_threshold(5)),
    lambda: (socket.setdefaulttimeout(3), sys.setswitchinterval(0.5)),
]
os.chdir(folder)
n_umask = os.umask(0o22)
"""


def seen_by(run: Job) -> list[tuple[int, str]]:
    """Return what each item has seen, at its last attempt."""
    seen = {}
    for reader in map(ShardReader, run.shards()):
        for frame in reader.new_frames():
            if frame.kind == ROWS:
                rows = reader.rows(frame)
                seen |= dict(zip(rows.items.tolist(), rows.columns["seen"], strict=True))
            else:
                failure = reader.failure(frame)
                seen[failure.item] = failure.exception.partition("SEEN ")[2].strip()
    assert sorted(seen) == list(range(run.n_items)), run.log.read_text()[-2000:]
    return sorted(seen.items())


@pytest.mark.parametrize("end", ["returns", "raises", "skips", "returns slowly", "raises slowly"])
def test_the_next_item_finds_each_condition_as_it_was(job: MakeJob, end: str) -> None:
    source = f"""{SOURCE}
from psyflow import Skip
def execute(i):
    # The item before has changed something, if this one is even.
    seen = repr(all_there_is())
    if i % 2:
        actions[i // 2]()
        if {"slowly" in end}:
            time.sleep(0.002)
        if {"raises" in end}:
            raise ValueError("SEEN " + seen)
        if {"skips" in end}:
            raise Skip("SEEN " + seen)
    return {{"seen": seen}}
"""
    run = job(2 * 28 + 1, source, pool_size=1)
    assert run.run() == 0
    (_, first), *others = seen_by(run)
    for item, seen in others:
        assert seen == first, item


def test_an_item_that_is_tried_again_finds_them_too(job: MakeJob) -> None:
    source = f"""{SOURCE}
from psyflow.work.prepared import Retries
def execute(i):
    seen = repr(all_there_is())
    note(i)
    if i % 2 and Path(folder, "notes").read_text().splitlines().count(str(i)) == 1:
        actions[i // 2]()
        raise ValueError("SEEN " + seen)
    return {{"seen": seen}}
"""
    run = job(9, source, pool_size=1)
    script = run.folder / "job.py"
    text = script.read_text()
    script.write_text(text.replace("prefix=", "retries=Retries(1, ['error']),\n    prefix="))
    assert run.run() == 0
    assert len({seen for _, seen in seen_by(run)}) == 1
    assert run.calls() == {i: 1 + i % 2 for i in range(9)}


def test_what_imports_set_once_stays(job: MakeJob) -> None:
    source = """
    import warnings
    (folder / "lazy.py").write_text('''if True:
        import os, signal, warnings
        os.environ["LAZY"] = "1"
        signal.signal(signal.SIGUSR2, print)
        warnings.simplefilter("ignore")
    ''')
    def execute(i):
        before = os.getcwd()
        if i == 4:
            os.chdir("/")
        if i > 3:
            import lazy
            import json
        handler = signal.getsignal(signal.SIGUSR2) is print
        if i == 9:
            os.environ["OWN"] = "1"
        filters = warnings.filters[0][0]
        names = [os.environ.get(name) for name in ("LAZY", "OWN")]
        return {"seen": repr((before, handler, filters, *names))}
    """
    run = job(40, source, pool_size=1)
    assert run.run() == 0
    seen = [eval(text) for _, text in seen_by(run)]
    assert len({before for before, *_ in seen}) == 1
    assert all(rest == [True, "ignore", "1", None] for _, *rest in seen[4:9] + seen[10:])


class Worker:
    """An evaluator of a process that is psyflow's own, of which this test plays the part."""

    def __init__(
        self,
        path: Path,
        execute: Callable[..., Any],
        retries: Retries = NO_RETRIES,
        **prepared: Any,
    ) -> None:
        self._path = path
        self._retries = retries
        self._writer = ShardWriter(path)
        self._prepared = Prepared(execute, **prepared)
        self.evaluator = Evaluator(
            self._prepared, self._writer, retries=retries, integrity=Integrity()
        )
        self.evaluator.look_after(Conditions())

    def evaluate(self, **columns: Any) -> dict[int, Any]:
        with self._writer, self.evaluator:
            n_items = len(next(iter(columns.values())))
            evaluate_batch(self.evaluator, self._prepared, Batch(np.arange(n_items), columns))
        reader = ShardReader(self._path)
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
def looks(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Return a list with an entry for each look."""
    made: list[None] = []
    changed = Conditions.changed

    def counting(self: Conditions) -> list[int]:
        made.append(None)
        return changed(self)

    monkeypatch.setattr(Conditions, "changed", counting)
    return made


def test_quick_items_are_looked_after_together(tmp_path: Path, looks: list[None]) -> None:
    n_items = 100_000
    found = Worker(tmp_path / "a.rows", lambda i: {"y": i}).evaluate(i=list(range(n_items)))
    assert len(found) == n_items
    # One that a busy machine has interrupted is none that took no time.
    assert 0 < len(looks) < n_items / 20


def test_quick_items_are_looked_after_one_by_one_once_there_was_a_reason(
    tmp_path: Path, looks: list[None]
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
    assert len(looks) >= 500
    # Nothing is evaluated again but what began since the last look.
    assert max(map(calls.count, set(calls))) <= 2


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
)
@settings(deadline=None, max_examples=100)
def test_in_whatever_order_items_set_and_read_each_sees_the_same(
    deeds: list[tuple[int, str, bool]], is_changeable: bool, retries: bool
) -> None:
    with np.errstate(), decimal.localcontext():
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


def _step_aside(x: int) -> dict[str, str]:
    seen = str(Path.cwd())
    os.chdir("/")
    return {"seen": seen}


@pytest.mark.parametrize(("engine", "is_here"), [("processes", False), ("serial", True)])
def test_a_map_leaves_the_process_of_the_script_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, is_here: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    table = psyflow.map(
        _step_aside, [{"x": x} for x in range(9)], backend=engine, pool_size=1, progress=False
    )
    assert {*table["seen"]} == {str(tmp_path), "/"} if is_here else {str(tmp_path)}
    assert Path.cwd() == (Path("/") if is_here else tmp_path)
