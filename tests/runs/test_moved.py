"""Runs whose folder is moved or removed while they are at work make no other in its place."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from psyflow.outcomes.shard import FAILURE, ShardReader
from tests.support.processes import PATIENCE, eventually
from tests.support.study import Study

TASK = """
import time
from pathlib import Path
from psyflow import Param

BESIDE = Path({beside!r})
pspace = Param(x=range(8))
pool_size = 2

def execute(x{ctx}):
    with (BESIDE / "calls").open("a") as calls:
        calls.write(f"{{x}}\\n")
    while not (BESIDE / "go").exists():
        time.sleep(0.01)
    {use}
    return {{"y": x**2}}
"""


class Moving:
    """A study in the folder ``a``; what it waits for, and notes, is beside it."""

    def __init__(self, beside: Path) -> None:
        self.beside = beside
        self.a, self.b = beside / "a", beside / "b"
        self.a.mkdir()
        self.study = Study(self.a)

    def begin(self, ctx: str = "", use: str = "pass") -> subprocess.Popen[str]:
        source = TASK.format(beside=str(self.beside), ctx=ctx, use=use)
        self.study.write("t", source)
        psy = self.study.start("run")
        eventually(lambda: len(self.calls()) == 2)
        return psy

    def calls(self) -> list[int]:
        path = self.beside / "calls"
        return sorted(map(int, path.read_text().split())) if path.exists() else []

    def go_on(self, psy: subprocess.Popen[str]) -> str:
        """Let the items end; return what `psy` says, which has to fail."""
        (self.beside / "go").touch()
        _, err = psy.communicate(timeout=PATIENCE)
        assert psy.returncode == 3, err
        self.study.wait_until_gone()
        return err

    def outcomes(self, folder: Path) -> list[int]:
        """Return the items with a row in the shards of a study."""
        items: list[int] = []
        for shard in folder.glob("psy-work/t/out/*.rows"):
            frames = ShardReader(shard).new_frames()
            assert all(frame.kind != FAILURE for frame in frames)
            items += [item for frame in frames for item in frame.items.tolist()]
        return sorted(items)


@pytest.fixture
def moving(tmp_path: Path) -> Iterator[Moving]:
    moving = Moving(tmp_path)
    yield moving
    moving.study.end()


def test_what_is_running_is_kept_in_the_study_that_was_moved(moving: Moving) -> None:
    psy = moving.begin()
    subprocess.run(["mv", moving.a, moving.b], check=True)
    err = moving.go_on(psy)
    assert "psy-work/t is gone. If it was moved, what is done is where it is now" in err
    assert not moving.a.exists(), sorted(moving.a.rglob("*"))
    assert moving.calls() == moving.outcomes(moving.b) == [0, 1]
    log = (moving.b / "psy-work/t/t:process:0.log").read_text()
    assert f"{moving.a}/psy-work/t is gone: stopping. If it was moved" in log
    assert "Traceback" not in log
    moving.study.folder = moving.b
    moving.study.psy("run")
    assert moving.calls() == list(range(8)), "each once"


@pytest.mark.parametrize("what", ["psy-work", "psy-work/t"])
def test_what_was_removed_is_not_made_again(moving: Moving, what: str) -> None:
    psy = moving.begin()
    shutil.rmtree(moving.a / what)
    err = moving.go_on(psy)
    assert "psy-work/t is gone" in err
    assert not (moving.a / what).exists()
    assert moving.calls() == [0, 1]


def test_no_folder_of_a_pset_is_made_in_the_old_place(moving: Moving) -> None:
    psy = moving.begin(", ctx", "(ctx.dir / 'state').touch()")
    subprocess.run(["mv", moving.a, moving.b], check=True)
    moving.go_on(psy)
    assert not moving.a.exists()
    assert moving.outcomes(moving.b) == [], "they count as never begun"
    moving.study.folder = moving.b
    moving.study.psy("run")
    assert moving.calls() == sorted([0, 1, *range(8)])


def test_nothing_is_written_to_a_copy_in_the_old_place(moving: Moving) -> None:
    psy = moving.begin()
    subprocess.run(["mv", moving.a, moving.b], check=True)
    subprocess.run(["cp", "-a", moving.b, moving.a], check=True)
    before = tree(moving.a)
    moving.go_on(psy)
    assert tree(moving.a) == before
    assert moving.outcomes(moving.a) == []
    assert moving.outcomes(moving.b) == moving.calls() == [0, 1]
    log = (moving.b / "psy-work/t/t:process:0.log").read_text()
    assert "Another run has taken the place of this one: stopping." in log


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    stats = {path: path.lstat() for path in [folder, *folder.rglob("*")]}
    return {str(path): (stat.st_mtime_ns, stat.st_size) for path, stat in stats.items()}
