"""Failures are outcomes: recorded, retried where asked for, and no harm to others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import psyflow
from psyflow.outcomes.reading import read_outcomes
from psyflow.outcomes.records import SKIPPED, Failure
from psyflow.outcomes.shard import FAILURE, SKIP, ShardWriter
from psyflow.record.assess import Assessment
from psyflow.record.bookkeeping import ItemsFile
from psyflow.store import NpzStore
from psyflow.tasks import TaskDef
from psyflow.testing.stores import assert_same_table
from tests.support.study import Study

TASK = """
{settings}
pspace = Param(x=range({n}))
def execute(x):
    note(x=x)
    {body}
    return {{"y": x**2}}
"""


def failures(study: Study) -> list[Failure]:
    task = TaskDef(study.tasks / "task_t.py", base=study.folder)
    return [record.read() for record in Assessment(task).recovered.outcomes.failures]


def calls_of(study: Study, x: int) -> int:
    return study.calls().count(f"[('x', {x})]")


KILL = "if x == 3: os.kill(os.getpid(), 9)"
EXIT = "if x == 3: os._exit(0)"
SLEEP = "if x == 3: time.sleep(3600)"
TIMEOUT = "timeout = 5.0"  # the others take none of it, however busy the machine is
RAISE = "if x == 3: raise ValueError('three')"


@pytest.mark.parametrize(
    ("body", "settings", "kind", "text"),
    [
        (RAISE, "", "error", "three"),
        (KILL, "", "crash", "SIGKILL"),
        (EXIT, "", "crash", "exited with code 0"),
        (SLEEP, TIMEOUT, "timeout", "5.0 s"),
        ("if x == 3: return 3", "", "result", "dict"),
        ("if x == 3: return {'y': 'text'}", "store = '.npz'", "result", "y"),
        ("if x == 3: raise MemoryError", "", "oom", "MemoryError"),
    ],
)
def test_bad_item_costs_itself(
    study: Study, body: str, settings: str, kind: str, text: str
) -> None:
    if kind == "result" and "npz" in settings:
        body = "if x == 3: return {'y': object()}"
    study.task(TASK.format(settings=f"pool_size = 2\n{settings}", n=20, body=body))
    run = study.psy("run", code=1)
    assert "1 of 20 items failed" in run.stderr
    assert study.rows() == [(x, x * x) for x in range(20) if x != 3]
    (failure,) = failures(study)
    assert (failure.item, failure.kind, failure.attempt) == (3, kind, 1)
    assert text in failure.exception
    assert failure.pset == {"x": "3"}
    assert failure.pid and failure.host and failure.start
    assert calls_of(study, 3) == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (KILL, "crash"),
        (RAISE, "error"),
        (SLEEP, "timeout"),
    ],
)
def test_retries(study: Study, body: str, kind: str) -> None:
    settings = f"retries = 2\nretry_on = ['{kind}']\npool_size = 2\n{TIMEOUT}"
    study.task(TASK.format(settings=settings, n=10, body=body))
    study.psy("run", code=1)
    assert [(f.item, f.kind, f.attempt) for f in failures(study)] == [
        (3, kind, 1),
        (3, kind, 2),
        (3, kind, 3),
    ]
    assert calls_of(study, 3) == 3
    assert study.rows() == [(x, x * x) for x in range(10) if x != 3]


@pytest.mark.parametrize("kind", ["crash", "error"])
def test_retried_item_that_succeeds_is_done(study: Study, kind: str) -> None:
    trouble = "os._exit(1)" if kind == "crash" else "raise ValueError"
    body = f"""if x == 3 and not Path("tried").exists():
        Path("tried").touch()
        {trouble}"""
    study.task(TASK.format(settings=f"retries = 1\nretry_on = '{kind}'", n=10, body=body))
    study.psy("run")
    assert study.rows() == [(x, x * x) for x in range(10)]
    assert calls_of(study, 3) == 2
    task = TaskDef(study.tasks / "task_t.py", base=study.folder)
    attempts = ItemsFile(Assessment(task).layout).arrays()["attempt"]
    assert attempts.tolist() == [1, 1, 1, 2, 1, 1, 1, 1, 1, 1]


def test_the_bookkeeping_tells_the_items_of_the_rows(study: Study) -> None:
    body = f"""if x == 3 and not Path({str(study.folder / "mended")!r}).exists():
        raise ValueError"""
    study.task(TASK.format(settings="", n=10, body=body))
    study.psy("run", code=1)
    items_file = ItemsFile(
        Assessment(TaskDef(study.tasks / "task_t.py", base=study.folder)).layout
    )
    incomplete = items_file.arrays()
    assert incomplete["item"].tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    (study.folder / "mended").touch()
    study.psy("run")
    complete = items_file.arrays()
    assert complete["item"].tolist() == list(range(10))
    assert complete["key"].shape == (10, 2)
    assert np.array_equal(complete["key"][complete["item"] != 3], incomplete["key"])
    with np.load(study.folder / "psy-work/t/items.npz", allow_pickle=False) as file:
        assert "item" not in file


def test_errors_are_not_retried_unless_asked_for(study: Study) -> None:
    study.task(TASK.format(settings="retries = 3", n=5, body=RAISE))
    study.psy("run", code=1)
    assert calls_of(study, 3) == 1


@pytest.mark.parametrize(("limit", "least"), [("3", 3), ("'2%'", 2)])
def test_max_failures_stops_early(study: Study, limit: str, least: int) -> None:
    body = "time.sleep(0.02); assert x < 10"
    study.task(TASK.format(settings=f"max_failures = {limit}", n=100, body=body))
    run = study.psy("run", code=1)
    assert "stopped early" in run.stderr
    n_failed = len(failures(study))
    assert least <= n_failed < 60
    assert study.rows() == [(x, x * x) for x in range(10)]
    study.task(TASK.format(settings="", n=100, body="pass"))
    study.psy("run", "-c")
    assert study.rows() == [(x, x * x) for x in range(100)]


def test_fail_fast(study: Study) -> None:
    study.task(TASK.format(settings="", n=1000, body="time.sleep(0.01); assert x != 5"))
    study.psy("run", "--fail-fast", code=1)
    assert len(study.calls()) < 900


def test_max_tasks_per_child(study: Study) -> None:
    study.task(
        """
pspace = Param(x=range(25))
max_tasks_per_child = 4
def execute(x):
    return {"pid": os.getpid()}
"""
    )
    study.psy("run")
    pids = list(study.load()["pid"])
    assert max(pids.count(pid) for pid in pids) == 4
    assert len(set(pids)) == 7


def test_random_streams_do_not_depend_on_anything_but_seed_and_pset(study: Study) -> None:
    body = """
{settings}
seed = 1234
pspace = Param(x={space}) * Param(trial=[0, 1])
def execute(x, trial, rng):
    return {{"y": float(rng.random())}}
"""
    study.task(body.format(settings="", space="[1, 2]"))
    study.psy("run")
    first = {(r[1], r[0]): r[2] for r in study.rows()}
    assert len(set(first.values())) == 4
    study.psy("clean", "t")
    study.task(
        body.format(
            settings="from psyflow import LoadBalancingBackend as backend\npool_size = 3",
            space="[5, 2, 1]",
        )
    )
    study.psy("run")
    again = {(r[1], r[0]): r[2] for r in study.rows()}
    assert {pset: again[pset] for pset in first} == first
    study.task(body.format(settings="seed_by = ['trial']", space="[1, 2]"))
    study.psy("run")
    common = {(r[1], r[0]): r[2] for r in study.rows()}
    assert len(set(common.values())) == 2


def test_changed_seed_is_changed_code(study: Study) -> None:
    body = "seed = {}\npspace = Param(x=[1])\ndef execute(x, rng): return {{'y': rng.random()}}\n"
    study.task(body.format(1))
    study.psy("run")
    first = study.rows()
    study.task(body.format(2))
    assert "seed" in study.psy("run").stderr
    assert study.rows() != first


def test_the_stream_of_each_item_can_be_made_again_from_the_bookkeeping(study: Study) -> None:
    study.task(
        """
seed = 7
seed_by = ["trial"]
pspace = Param(x=[1, 2]) * Param(trial=[0, 1])
def execute(x, trial, rng):
    return {"y": float(rng.random())}
"""
    )
    study.psy("run")
    task = TaskDef(study.tasks / "task_t.py", base=study.folder)
    items = ItemsFile(Assessment(task).layout)
    about = items.about()
    assert about is not None and about.seed == 7
    again = [
        np.random.Generator(
            np.random.PCG64(np.random.SeedSequence(7, spawn_key=(int(low) | int(high) << 64,)))
        ).random()
        for low, high in items.arrays()["seed_key"]
    ]
    assert again == list(study.load()["y"])


def test_fail_fast_stops_quick_items_too(study: Study) -> None:
    study.task(TASK.format(settings="", n=100, body="assert x % 2"))
    study.psy("run", "--fail-fast", code=1)
    assert len(failures(study)) == 1


WITH_SKIP = "import psyflow\nHERE = Path(__file__).parent.parent"
SKIPS = "if x % 3 == 1 and not (HERE / 'go').exists(): raise psyflow.Skip(f'{x} is dull')"


def test_skipped_item_has_no_result_and_has_not_failed(study: Study) -> None:
    settings = f"{WITH_SKIP}\nmax_failures = 1\nretries = 3\nretry_on = ['error']"
    study.task(TASK.format(settings=settings, n=9, body=SKIPS))
    told = study.psy("run")
    assert "t: 3 of 9 items were skipped. Run them again: psy run t" in told.stderr
    assert [x for x, _ in study.rows()] == [0, 2, 3, 5, 6, 8]
    assert failures(study) == []
    assert calls_of(study, 1) == 1
    report = json.loads(study.psy("status", "--json").stdout)["t"]
    assert (report["n_failed"], report["n_skipped"]) == (0, 3)
    assert report["states"]["skipped"] == 3
    assert report["reasons"] == ["3 of 9 items have no result, of which 3 were skipped"]
    assert "4 is dull" in study.logs()
    assert "no item is left that has not run" in study.psy("run", "--todo").stderr
    assert "no item failed" in study.psy("run", "--failed").stderr
    assert study.calls() == []
    (study.folder / "go").touch()
    study.psy("run")
    assert study.rows() == [(x, x**2) for x in range(9)]
    assert len(study.calls()) == 3


def test_last_word_of_an_item_counts(study: Study) -> None:
    body = "if x == 1: raise psyflow.Skip if (HERE / 'dull').exists() else ValueError"
    study.task(TASK.format(settings=WITH_SKIP, n=3, body=body))
    told = study.psy("run", code=1)
    assert "1 of 3 items failed;" in told.stderr
    (study.folder / "dull").touch()
    assert "1 of 3 items were skipped." in study.psy("run").stderr
    (study.folder / "dull").unlink()
    assert "1 of 3 items failed;" in study.psy("run", code=1).stderr


@pytest.mark.parametrize(("first", "second"), [(FAILURE, SKIP), (SKIP, FAILURE)])
@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_last_word_is_told_by_time_and_not_by_the_names_of_shards(
    tmp_path: Path, first: int, second: int, names: tuple[str, str]
) -> None:
    kinds = {FAILURE: "error", SKIP: SKIPPED}
    for name, kind, start in zip(names, (first, second), (1.0, 2.0), strict=True):
        with ShardWriter(tmp_path / f"{name}.rows") as writer:
            writer.write_failure(Failure(7, kinds[kind], "", start=start))
    outcomes = read_outcomes(sorted(tmp_path.glob("*.rows")))
    told = {FAILURE: outcomes.failed.tolist(), SKIP: outcomes.skipped.tolist()}
    assert told == {first: [], second: [7]}


def test_functions_in_python_leave_skipped_psets_out(tmp_path: Path) -> None:
    def odd(x: int) -> dict[str, int]:
        if x % 2 == 0:
            raise psyflow.Skip("even")
        return {"y": x**2}

    space = psyflow.Param(x=range(6))
    expected = {"x": [1, 3, 5], "y": [1, 9, 25]}
    assert psyflow.map_pspace(odd, space) == expected
    assert psyflow.map_pspace_parallel(odd, space, n_jobs=2) == expected
    columns = psyflow.map_pspace_hdd_backed(odd, space, tmp_path / "all.pkl")
    assert {name: list(column) for name, column in (columns or {}).items()} == expected


def test_columns_are_of_one_kind_whether_rows_are_missing_or_not(study: Study) -> None:
    study.task(
        "import numpy as np\nfrom psyflow.store import NpzStore\n"
        "store = NpzStore()\npspace = Param(x=[1, 2, 3])\n\n"
        "def execute(x):\n    if x == 3:\n        raise ValueError\n"
        "    return {'v': float(x), 'ragged': np.ones(x), 'text': str(x)}\n"
    )
    study.psy("run", code=1)
    assert_same_table(study.load(), NpzStore().load(study.folder / "psy-work/t/result.npz"))
    assert (study.load()["v"] * 2).tolist() == [2.0, 4.0]
