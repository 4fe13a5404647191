"""A full disk stops a run; what was done is safe, and there is no more to do than make room."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from psyflow.exceptions import StoreError
from psyflow.store import store_for
from psyflow.system.oserrors import is_full
from tests.durability.images import filled_image, mounted
from tests.durability.requirements import need_loop_devices, need_tmpfs
from tests.support.study import Study

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
def study(study: Study) -> Study:
    # What it leaves behind can be told from other processes.
    study.is_apart = True
    return study


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
    study.wait_until_gone()


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
        _, err = psy.communicate(timeout=180)
        check_stopped(study, psy.returncode, err)
        done = done_now(study)
        assert done or kilobytes < 120
        assert not done or kilobytes > 20
        subprocess.run(["mount", "-o", "remount,size=16m", work], check=True)
        check_finishes(study, done)


PROGRAMS = """
from psyflow import Command
pspace = Param(n=range({n}))
pool_size = 2
execute = Command("head -c {{n}}00000 /dev/zero && echo && echo done {{n}}", shell=True,
                  parse={{"got": "done (@int@)"}}, pack={pack})
"""


@pytest.mark.parametrize("pack", [False, True])
def test_programs_that_fill_the_disk(study: Study, work: Path, pack: bool) -> None:
    n = 220 if pack else 12
    text = PROGRAMS.format(n=n, pack=pack)
    study.task(text.replace("{n}00000", "20000") if pack else text)
    need_tmpfs(work)
    with mounted("-t", "tmpfs", "-o", "size=2m", "tmpfs", at=work):
        psy = study.start("run")
        _, err = psy.communicate(timeout=180)
        assert psy.returncode == 3, err
        assert "room" in err and "psy run" in err
        study.wait_until_gone()
        subprocess.run(["mount", "-o", "remount,size=64m", work], check=True)
        study.psy("run")
        assert study.load()["got"] == list(range(n))


@pytest.mark.parametrize("limit", [2_000, 50_000, 200_000])
def test_limited_file_size(study: Study, work: Path, limit: int) -> None:
    psy = subprocess.run(
        [sys.executable, "-c", LIMITED, str(limit)],
        cwd=study.folder,
        capture_output=True,
        text=True,
        timeout=180,
    )
    check_stopped(study, psy.returncode, psy.stderr)
    check_finishes(study, done_now(study))


# --- results that do not fit ---------------------------------------------------------------

TABLES = [
    {
        "x": np.arange(start, start + 200),
        "y": np.arange(start, start + 200) * 0.5 + 1,
        "z": np.ones((200, 50)) + start,
        "t": [f"text {i}" for i in range(start, start + 200)],
    }
    for start in (0, 200)
]
EXTENSIONS = [".h5", ".npz", ".pkl"]


def same_rows(path: Path, expected: Sequence[Mapping[str, Any]]) -> None:
    """Check that a file holds these tables below each other, or is not there if there is none."""
    if not expected:
        assert not path.exists()
        return
    found = store_for(path).load(path)
    assert list(found) == list(expected[0])
    for name, column in found.items():
        assert np.array_equal(column, np.concatenate([table[name] for table in expected]))


def save_and_append(path: Path) -> int:
    """Save and append where there may be no room; the file is what it was, or what is said."""
    store, there = store_for(path), []
    for table in TABLES:
        try:
            (store.append if there else store.save)(path, table)
            there.append(table)
        except (OSError, StoreError) as error:
            assert is_full(error) or "Is the disk full?" in str(error)
        same_rows(path, there)
        assert [p.name for p in path.parent.iterdir() if "psytmp" in p.name] == []
        assert [p.name for p in path.parent.iterdir() if "appending" in p.name] == []
    return len(there)


@pytest.mark.parametrize("ext", EXTENSIONS)
def test_a_table_is_written_whole_or_not_at_all_on_any_small_file_system(
    tmp_path: Path, ext: str
) -> None:
    need_tmpfs(tmp_path)
    n_written = []
    for kilobytes in range(4, 480, 4):
        with mounted("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", at=tmp_path):
            n_written.append(save_and_append(tmp_path / f"table{ext}"))
    assert set(n_written) == {0, 1, 2}


@pytest.mark.parametrize("ext", EXTENSIONS)
def test_a_table_is_written_whole_or_not_at_all_where_blocks_are_given_late(
    tmp_path: Path, ext: str
) -> None:
    need_loop_devices()
    folder = tmp_path / "disk"
    folder.mkdir()
    n_written = []
    with mounted("-o", "loop", filled_image(tmp_path / "image"), at=folder):
        for kilobytes in range(0, 600, 12):
            leave_free(folder, kilobytes)
            n_written.append(save_and_append(folder / f"table{ext}"))
            (folder / f"table{ext}").unlink(missing_ok=True)
            (folder / "filler").unlink()
    assert {0, 2} <= set(n_written)


def leave_free(folder: Path, kilobytes: int) -> None:
    with (folder / "filler").open("wb", buffering=0) as filler:
        with contextlib.suppress(OSError):
            while True:
                filler.write(bytes(1 << 12))
        filler.truncate(filler.tell() - (kilobytes << 10))
        os.fsync(filler.fileno())


RESULTS = """
import numpy as np
pspace = Param(x=range({n}))
pool_size = 1
resultfile = "results/r{ext}"
def execute(x):
    return {{"y": x + 0.5, "z": np.full(60, float(x)), "t": f"text {{x}}"}}
"""


def room_until_it_fits(study: Study, results: Path, n: int) -> int:
    """Give a result a little more room at a time until it fits; return how often it did not."""
    used = sum(path.stat().st_size for path in results.iterdir()) >> 10
    for attempt, more in enumerate(range(12, 480, 12)):
        size = f"remount,size={used + more}k"
        subprocess.run(["mount", "-o", size, results], check=True)
        psy = study.start("run")
        _, err = psy.communicate(timeout=180)
        shards = list(study.folder.glob("psy-work/t/out/*.rows"))
        columns = study.load()
        assert list(columns["x"]) == list(range(n)), err
        assert list(columns["y"]) == [x + 0.5 for x in range(n)]
        assert list(columns["t"]) == [f"text {x}" for x in range(n)]
        assert np.array_equal(columns["z"], np.repeat(np.arange(float(n))[:, None], 60, axis=1))
        if psy.returncode == 0:
            assert not shards
            return attempt
        assert psy.returncode == 3 and "Make room" in err and "psy run" in err, err
        assert shards
    raise AssertionError(f"no room, with {used + more} KB: {err}")


@pytest.mark.parametrize("ext", EXTENSIONS)
def test_shards_stay_until_the_result_is_whole(study: Study, tmp_path: Path, ext: str) -> None:
    results = tmp_path / "results"
    results.mkdir()
    need_tmpfs(results)
    with mounted("-t", "tmpfs", "-o", "size=4k", "tmpfs", at=results):
        n_failed = 0
        for n in (100, 160):
            study.task(RESULTS.format(n=n, ext=ext))
            n_failed += room_until_it_fits(study, results, n)
    assert n_failed > 1


@pytest.mark.parametrize("ext", EXTENSIONS)
def test_psy_merge_leaves_a_whole_file_or_the_old_one(
    study: Study, tmp_path: Path, ext: str
) -> None:
    target = tmp_path / "small"
    target.mkdir()
    need_tmpfs(target)
    (tmp_path / "parts").mkdir()
    codes = set()
    for number, table in enumerate(TABLES):
        store_for(f"a{ext}").save(tmp_path / "parts" / f"{number}{ext}", table)
    for kilobytes in range(40, 600, 80):
        with mounted("-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", at=target):
            psy = study.start("merge", "parts", f"small/all{ext}")
            _, err = psy.communicate(timeout=180)
            same_rows(target / f"all{ext}", [] if psy.returncode else TABLES)
            assert psy.returncode in (0, 3) and "Traceback" not in err, err
            codes.add(psy.returncode)
    assert codes == {0, 3}
