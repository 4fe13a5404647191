"""The power goes: what counted as done for a second is still there."""

from __future__ import annotations

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
def execute(x):
    note(x=x)
    time.sleep(0.0 if (Path(__file__).parent / "hurry").exists() else 0.025)
    return {{"y": x**2}}
"""


@dataclass
class Loss:
    """A disk as the power loss left it, and what had counted as done a second before."""

    disk: Path
    counted: set[int]


def done_items(study: Study) -> set[int]:
    """Return the items that `psy status` counts as done."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assessment = Assessment(TaskDef(study.tasks / "task_t.py", base=study.folder))
        return set(range(N_ITEMS)) - set(assessment.pending().tolist())


def losses(
    study: Study, image: Path, moments: list[float], psy: subprocess.Popen[str]
) -> Iterator[Loss]:
    """Copy the disk at the given moments, in seconds from now."""
    begin = time.monotonic()
    counts: list[tuple[float, set[int]]] = [(0.0, set())]
    for number, moment in enumerate(moments):
        while time.monotonic() < begin + moment:
            items = done_items(study)
            counts.append((time.monotonic(), items))
            time.sleep(0.02)
        if psy.poll() is None:
            os.killpg(psy.pid, signal.SIGSTOP)
        now = time.monotonic()
        disk = study.folder / f"disk-{number}"
        disk.write_bytes(snapshot(image))
        if psy.poll() is None:
            os.killpg(psy.pid, signal.SIGCONT)
        yield Loss(disk, [items for when, items in counts if when <= now - 1][-1])


@pytest.mark.parametrize("store", ["h5", "npz"])
def test_power_loss(study: Study, store: str) -> None:
    need_loop_devices()
    study.task(BODY.format(store=store, n=N_ITEMS))
    image = filled_image(study.folder / "image")
    work = study.folder / "psy-work"
    work.mkdir()
    chance = random.Random(store)
    moments = sorted(chance.uniform(0.5, 5.0) for _ in range(max(1, N_LOSSES // 2)))
    with mounted("-o", "loop", image, at=work):
        psy = study.start("run")
        lost = list(losses(study, image, moments, psy))
        out, err = psy.communicate(timeout=60)
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
