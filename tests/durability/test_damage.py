"""Damaged, missing and misdated files are named, and cost only the items that were in them."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from psyflow.exceptions import DamagedShardWarning
from psyflow.outcomes.shard import ROWS, ShardReader
from psyflow.record.assess import Assessment
from psyflow.tasks import TaskDef
from tests.durability.images import mounted
from tests.durability.requirements import need_tmpfs
from tests.runs.test_faults import check_complete
from tests.support.study import Study

BODY = """
store = ".{store}"
pool_size = {pool_size}
pspace = Param(x=range({n}))
def execute(x):
    note(x=x)
    time.sleep({seconds})
    return {{"y": x**2}}
"""
UNFINISHED = """
pspace = Param(x=range(12))
def execute(x):
    note(x=x)
    time.sleep(0.06)
    assert x != 7
    return {"y": x**2}
"""
JUMPED = """
import sys, time
from psyflow.main import psy_main
shift = float(sys.argv[1])
real = time.time
time.time = lambda: real() + shift
time.gmtime = lambda seconds=None, real=time.gmtime: real(time.time())
sys.exit(psy_main(["run"]))
"""


def body(n: int, seconds: float = 0.0, store: str = "pkl", pool_size: int = 1) -> str:
    return BODY.format(n=n, seconds=seconds, store=store, pool_size=pool_size)


def called(study: Study) -> set[int]:
    return {int(call[len("[('x', ") : -2]) for call in study.calls()}


@pytest.fixture
def unfinished(study: Study) -> Path:
    """Return the shard of a run with a failed item, which is all that holds its rows."""
    study.task(UNFINISHED)
    study.psy("run", code=1)
    study.calls()
    for name in ("result.pkl", "items.npz"):
        (study.folder / "psy-work" / "t" / name).unlink()
    shards = list(study.folder.glob("psy-work/t/out/*.rows"))
    assert len(shards) == 1
    return shards[0]


def flipped(data: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1 << bit
    return bytes(changed)


def test_flipped_bit_at_every_byte_of_a_shard(study: Study, unfinished: Path) -> None:
    whole = unfinished.read_bytes()
    frames = ShardReader(unfinished).new_frames()
    truth = [(x, x * x) for x in range(12) if x != 7]
    assert study.rows() == truth
    chance = random.Random(0)
    task = TaskDef(study.tasks / "task_t.py", base=study.folder)
    for position in chance.sample(range(len(whole)), 500):
        unfinished.write_bytes(flipped(whole, position, chance.randrange(8)))
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            rows = study.rows()
            pending = set(Assessment(task, verify=True).pending().tolist())
        assert [row for row in truth if row in rows] == rows
        frame = next(f for f in frames if position < f.offset + f.length)
        lost = {x for x, _ in truth} - {x for x, _ in rows}
        assert lost <= set(frame.items.tolist())
        assert pending == lost | {7}
        if frame.kind == ROWS:
            assert lost == set(frame.items.tolist())
            # A torn tail is no damage: whoever was writing it has said nothing yet.
            is_last = frame.offset + frame.length == len(whole)
            assert is_last or any(str(unfinished) in str(w.message) for w in seen)


def test_flipped_bit_costs_its_items_and_is_named(study: Study, unfinished: Path) -> None:
    frames = [f for f in ShardReader(unfinished).new_frames() if f.kind == ROWS]
    whole = unfinished.read_bytes()
    frame = frames[len(frames) // 2]
    unfinished.write_bytes(flipped(whole, frame.offset + frame.length // 2, 3))
    run = study.psy("run", code=1)
    assert unfinished.name in run.stderr
    assert called(study) == {7, *frame.items.tolist()}
    with pytest.warns(DamagedShardWarning, match=unfinished.name):
        assert study.rows() == [(x, x * x) for x in range(12) if x != 7]


def test_cut_shard_costs_the_items_behind_the_cut(study: Study, unfinished: Path) -> None:
    frames = [f for f in ShardReader(unfinished).new_frames() if f.kind == ROWS]
    os.truncate(unfinished, frames[4].offset + 3)
    study.psy("run", code=1)
    assert called(study) == {7, *(int(i) for f in frames[4:] for i in f.items)}
    assert study.rows() == [(x, x * x) for x in range(12) if x != 7]


@pytest.mark.parametrize(
    ("store", "share"), [("pkl", 0.0), ("pkl", 0.3), ("npz", 0.0), ("npz", 0.99), ("h5", 0.6)]
)
def test_result_cut_short_is_named(study: Study, store: str, share: float) -> None:
    study.task(body(5, store=store))
    study.psy("run")
    study.calls()
    result = study.folder / f"psy-work/t/result.{store}"
    os.truncate(result, int(share * result.stat().st_size))
    run = study.psy("run")
    assert result.name in run.stderr
    assert called(study) == set(range(5))
    check_complete(study, 5)


@pytest.mark.parametrize("store", ["pkl", "npz", "h5"])
def test_damaged_result_costs_only_its_own_items(study: Study, store: str) -> None:
    """What is in shards survives a result that is damaged beside them."""
    study.task(body(5, store=store))
    study.psy("run")
    study.task(body(8, store=store).replace("    return", "    assert x != 7\n    return"))
    study.psy("run", "-c", code=1)
    study.calls()
    result = study.folder / f"psy-work/t/result.{store}"
    os.truncate(result, result.stat().st_size * 2 // 3)
    run = study.psy("run", code=1)
    assert result.name in run.stderr
    assert called(study) == {0, 1, 2, 3, 4, 7}
    assert study.rows() == [(x, x * x) for x in range(7)]


def test_missing_claims_of_a_run_at_work(study: Study) -> None:
    gate = "    if x >= 20:\n        wait_at_gate()\n    return"
    study.task(body(40, seconds=0.02, pool_size=2).replace("    return", gate))
    psy = study.start("run")
    study.wait_for_calls(10)
    for claim in list(study.folder.glob("psy-work/t/plans/*/claims/0/*"))[:3]:
        claim.unlink()
    study.open_gate()
    out, err = psy.communicate(timeout=180)
    assert psy.returncode == 0, f"{out}\n{err}"
    assert called(study) == set(range(40))
    check_complete(study, 40)


def test_missing_plan_folder_of_shards(study: Study, unfinished: Path) -> None:
    shutil.rmtree(study.folder / "psy-work/t/plans")
    run = study.psy("run", code=1)
    assert "plans" in run.stderr
    assert called(study) == set(range(12))
    with pytest.warns(DamagedShardWarning, match="plans"):
        assert study.rows() == [(x, x * x) for x in range(12) if x != 7]


@pytest.mark.parametrize("name", ["items.npz", "plan.json", "jobs.jsonl"])
@pytest.mark.parametrize("content", [b"", b"\xff\x00" * 50], ids=["empty", "garbage"])
def test_damaged_bookkeeping(study: Study, name: str, content: bytes) -> None:
    study.task(body(5))
    study.psy("run")
    study.calls()
    path = study.folder / "psy-work/t" / name
    path.write_bytes(content)
    study.task(body(6))
    run = study.psy("run")
    if name == "plan.json":
        assert "plan.json is damaged" in run.stderr
    assert called(study) == {5}
    check_complete(study, 6)


def test_read_only_folder(study: Study) -> None:
    work = study.folder / "psy-work"
    work.mkdir()
    need_tmpfs(work)
    study.task(body(5))
    with mounted("-t", "tmpfs", "-o", "size=4m", "tmpfs", at=work):
        study.psy("run")
        study.calls()
        subprocess.run(["mount", "-o", "remount,ro", work], check=True)
        study.psy("run")
        assert "5 out of 5" in study.psy("status").stdout
        study.task(body(6))
        run = study.psy("run", code=3)
        assert "psy-work/t cannot be written" in run.stderr and "read-only" in run.stderr
        assert "Traceback" not in run.stderr
        assert study.calls() == []
        assert "5 out of 6" in study.psy("status").stdout
        assert study.rows() == [(x, x * x) for x in range(5)]
        subprocess.run(["mount", "-o", "remount,rw", work], check=True)
        study.psy("run")
        assert called(study) == {5}
        check_complete(study, 6)


YEAR = 365 * 86400.0


def test_clock_that_jumps_between_runs(study: Study) -> None:
    for number, shift in enumerate([0, -20 * YEAR, 5 * YEAR, -YEAR, 0]):
        study.task(body(3 * number + 3))
        command = [sys.executable, "-c", JUMPED, str(shift)]
        run = subprocess.run(command, cwd=study.folder, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert called(study) == set(range(3 * number, 3 * number + 3))
        check_complete(study, 3 * number + 3)


def test_clock_that_jumps_in_a_worker(study: Study) -> None:
    jump = "    if x % 3 == 1: time.time = lambda: x * 1e8 * (-1) ** x\n    return"
    study.task(body(30, seconds=0.005, pool_size=2).replace("    return", jump))
    study.psy("run")
    assert len(study.calls()) == 30
    check_complete(study, 30)


@pytest.mark.parametrize("seconds", [0.0, 2e9])
def test_files_with_other_times(study: Study, unfinished: Path, seconds: float) -> None:
    """A git checkout, a copy or a restored backup changes the times of files."""
    study.psy("run", code=1)
    called(study)
    for path in study.folder.rglob("*"):
        os.utime(path, (seconds, seconds))
    study.psy("run", code=1)
    assert called(study) == {7}
    assert study.rows() == [(x, x * x) for x in range(12) if x != 7]
    assert time.time() < 2e9


def test_damage_is_a_warning_to_programs(study: Study, unfinished: Path) -> None:
    whole = unfinished.read_bytes()
    unfinished.write_bytes(flipped(whole, 0, 0))
    with pytest.warns(DamagedShardWarning, match="run again"):
        rows = study.rows()
    assert len(rows) == 10
