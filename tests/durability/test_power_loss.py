"""The power goes: what had counted as done when its worker last began to sync is still there.

That a worker does so within a second is tested in `tests/work/test_evaluate.py`.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import signal
import subprocess
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from psyflow.record.assess import Assessment
from psyflow.tasks import TaskDef
from tests.durability.images import filled_image, mounted, snapshot
from tests.durability.requirements import need_loop_devices
from tests.support.study import Study

N_LOSSES = int(os.environ.get("PSYFLOW_POWER_LOSSES", "6"))
N_ITEMS = 240
BODY = """
pool_size = 2
store = ".{store}"
pspace = Param(x=range({n}))
SYNCS = Path(__file__).parent.parent / "syncs"

def tell_of_syncs():
    from psyflow.outcomes import shard
    sync_file = shard.sync_file

    def sync(fd):
        begin = time.monotonic()
        sync_file(fd)
        told = SYNCS / f"{{os.getpid()}}"
        told.with_suffix(".new").write_text(str(begin))
        told.with_suffix(".new").rename(told)

    if not (SYNCS / f"{{os.getpid()}}").exists():
        (SYNCS / f"{{os.getpid()}}").write_text("0")
        shard.sync_file = sync

def execute(x):
    tell_of_syncs()
    note(x=x)
    time.sleep(0.0 if (Path(__file__).parent / "hurry").exists() else 0.025)
    return {{"y": x**2}}
"""


@pytest.fixture
def study(study: Study) -> Study:
    # What it leaves behind can be told from other processes.
    study.is_apart = True
    return study


@dataclass
class Loss:
    """A disk as the power loss left it, and what has to be on it."""

    disk: Path
    counted: set[int]


def done_items(study: Study) -> set[int]:
    """Return the items that `psy status` counts as done."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assessment = Assessment(TaskDef(study.tasks / "task_t.py", base=study.folder))
        return set(range(N_ITEMS)) - set(assessment.pending().tolist())


def last_syncs(study: Study) -> float:
    """Return since when both workers have begun to sync, and done it; 0 if one has not."""
    begun = [float(path.read_text()) for path in study.folder.glob("syncs/*[0-9]")]
    return min(begun) if len(begun) == 2 else 0.0


def losses(
    study: Study, image: Path, moments: list[int], psy: subprocess.Popen[str]
) -> Iterator[Loss]:
    """Copy the disk when so many items have to be on it, or all is over."""
    counts: list[tuple[float, set[int]]] = [(0.0, set())]

    def counted() -> set[int]:
        since = last_syncs(study) if psy.poll() is None else math.inf
        return [items for when, items in counts if when <= since][-1]

    for number, moment in enumerate(moments):
        while len(counted()) < moment and psy.poll() is None:
            items = done_items(study)
            counts.append((time.monotonic(), items))
            time.sleep(0.02)
        stopped = study.processes()
        for pid in stopped:
            signal_to(pid, signal.SIGSTOP)
        has_to_be_there = counted()
        disk = study.folder / f"disk-{number}"
        disk.write_bytes(snapshot(image))
        for pid in stopped:
            signal_to(pid, signal.SIGCONT)
        yield Loss(disk, has_to_be_there)


def signal_to(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may have ended since
        os.kill(pid, number)


@pytest.mark.parametrize("store", ["h5", "npz"])
def test_power_loss(study: Study, store: str) -> None:
    need_loop_devices()
    study.task(BODY.format(store=store, n=N_ITEMS))
    image = filled_image(study.folder / "image")
    work = study.folder / "psy-work"
    work.mkdir()
    chance = random.Random(store)
    moments = sorted(chance.randrange(N_ITEMS) for _ in range(max(1, N_LOSSES // 2)))
    (study.folder / "syncs").mkdir()
    with mounted("-o", "loop", image, at=work):
        psy = study.start("run")
        lost = list(losses(study, image, moments, psy))
        out, err = psy.communicate(timeout=180)
        assert psy.returncode == 0, f"{out}\n{err}"
    (study.tasks / "hurry").touch()
    for loss in lost:
        study.calls()
        with mounted("-o", "loop", loss.disk, at=work):
            survived = done_items(study)
            assert loss.counted <= survived
            run = study.psy("run")
            assert study.rows() == [(x, x * x) for x in range(N_ITEMS)], run.stderr
            assert len(study.calls()) == N_ITEMS - len(survived)
    assert any(loss.counted for loss in lost) or N_LOSSES < 6
