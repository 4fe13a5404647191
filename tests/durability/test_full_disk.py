"""A full disk stops a run; what was done is safe, and there is no more to do than make room."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durability.images import mounted
from tests.durability.requirements import need_tmpfs
from tests.run.conftest import Study
from tests.run.test_faults import wait_until_gone

N_ITEMS = 40
BODY = f"""
import numpy as np
pspace = Param(x=range({N_ITEMS}))
pool_size = 2
store = ".npz"
def execute(x):
    note(x=x)
    time.sleep(0.01)
    return {{"y": x**2, "z": np.full(1000, float(x))}}
"""
LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
os.execv(sys.executable, [sys.executable, "-m", "psyflow", "run"])
"""


@pytest.fixture
def work(study: Study) -> Path:
    study.task(BODY)
    folder = study.folder / "psy-work"
    folder.mkdir()
    return folder


def rows(study: Study) -> Iterator[tuple[int, int]]:
    columns = study.load()
    names = ("x", "y", "z")
    for x, y, z in zip(*(columns.get(name, []) for name in names), strict=True):
        assert len(z) == 1000 and set(z) == {float(x)}
        yield int(x), int(y)


def check_stopped(study: Study, code: int, err: str) -> None:
    assert code == 3, err
    assert str(study.folder / "psy-work") in err or "psy-work/" in err
    assert "psy run" in err
    assert "room" in err or "space" in err
    wait_until_gone(study)


def check_finishes(study: Study, done: set[int]) -> None:
    """Have the run go on, where there is room now."""
    assert set(study.calls()) >= {f"[('x', {x})]" for x in done}
    study.psy("run")
    assert list(rows(study)) == [(x, x * x) for x in range(N_ITEMS)]
    again = study.calls()
    assert len(again) == N_ITEMS - len(done)
    assert not list(study.folder.rglob("psy-work/**/.psytmp*"))


def done_now(study: Study) -> set[int]:
    if not (study.folder / "psy-work" / "t" / "plan.json").exists():
        return set()
    return {x for x, _ in rows(study)}


# From no room for a plan, over room for some shards, to all of them and half a result.
@pytest.mark.parametrize("kilobytes", [4, 20, 32, 60, 120, 250, 420, 600])
def test_small_file_system(study: Study, work: Path, kilobytes: int) -> None:
    need_tmpfs(work)
    with mounted("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", at=work):
        psy = study.start("run")
        _, err = psy.communicate(timeout=60)
        check_stopped(study, psy.returncode, err)
        done = done_now(study)
        assert done or kilobytes < 120
        assert not done or kilobytes > 20
        subprocess.run(["mount", "-o", "remount,size=16m", work], check=True)
        check_finishes(study, done)


@pytest.mark.parametrize("limit", [2_000, 50_000, 200_000])
def test_limited_file_size(study: Study, work: Path, limit: int) -> None:
    psy = subprocess.run(
        [sys.executable, "-c", LIMITED, str(limit)],
        cwd=study.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    check_stopped(study, psy.returncode, psy.stderr)
    check_finishes(study, done_now(study))
