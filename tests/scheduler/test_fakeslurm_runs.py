"""Whole runs on a Slurm that kills, preempts and delays jobs: nothing is lost or twice."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from psyflow.testing import FakeSlurm
from tests.run.conftest import Study

N_ROUNDS = 12
PATIENCE = 120
BODY = """
from psyflow import {backend}
from psyflow.scheduler import Slurm

scheduler = Slurm()
scheduler_args = {{"timelimit": "5", "max_running": 2}}
backend = {backend}
store = ".{store}"
max_jobs = {max_jobs}
pool_size = {pool_size}
max_chain = {max_chain}
pspace = Param(x=range({n}))

def execute(x):
    note(x=x)
    time.sleep({seconds})
    return {{"y": x**2}}
"""


def settings(seed: int) -> dict[str, object]:
    """Draw a task; any six seeds in a row have each backend with each store."""
    chance = random.Random(seed)
    return {
        "backend": ("DistributeBackend", "LoadBalancingBackend")[seed % 2],
        "store": ("pkl", "npz", "h5")[seed // 2 % 3],
        "max_jobs": chance.randint(1, 4),
        "pool_size": chance.randint(1, 2),
        "max_chain": chance.randint(0, 2),
        "n": chance.randint(20, 60),
        "seconds": chance.choice([0.02, 0.05, 0.1]),
    }


def status(study: Study) -> dict[str, object]:
    report: dict[str, object] = json.loads(study.psy("status", "--json", "t").stdout)["t"]
    return report


def run_until_complete(study: Study, slurm: FakeSlurm) -> list[int]:
    """Run again and again, as a user would; return how many items were done after each time."""
    done: list[int] = []
    while len(done) < N_ROUNDS:
        study.psy("run")
        slurm.wait(PATIENCE)
        report = status(study)
        done.append(int(str(report["n_done"])))
        assert report["jobs"] == [], "jobs that are over are said to be at work"
        if report["up_to_date"]:
            return done
    raise AssertionError(f"not complete after {N_ROUNDS} runs, but {done}\n{study.logs()}")


@pytest.mark.parametrize("seed", range(6))
def test_run_is_complete_in_the_end(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    task = settings(seed)
    study.task(BODY.format(**task))
    chances = {"kill": 0.3, "preempt": 0.3, "within": 3.0, "delay": 0.5, "kill_wait": 0.5}
    with FakeSlurm(tmp_path / "slurm", seed=seed, **chances) as slurm:
        monkeypatch.setenv("PATH", slurm.environment["PATH"])
        done = run_until_complete(study, slurm)
    n = int(str(task["n"]))
    assert done == sorted(done), "what was done is lost"
    assert study.rows() == [(x, x**2) for x in range(n)]
    assert study.processes() == []


@pytest.fixture
def study(tmp_path: Path):  # type: ignore[no-untyped-def]
    study = Study(tmp_path)
    yield study
    study.end()
