"""The model of runs with very many workers, and what `psy doctor` says by it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from psyflow.doctor.bearing import Latencies, loads, most_workers
from tests.support.place import Place

ROOT = Path(__file__).parents[2]
NFS = Latencies(4e-4, 8e-4, 2e-3, 1e-3, 1e-3, 5e-4, 2e-5, 5e-3, 2e-3, 2000.0)


def test_what_the_doctor_goes_by_is_what_is_done() -> None:
    command = [sys.executable, "-m", "benchmarks.scale", "--workers", "10"]
    model = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert model.returncode == 0, model.stderr
    assert "| 10 | 10 | 100 s |" in model.stdout


def test_a_slower_folder_bears_fewer_workers_and_larger_jobs_more() -> None:
    slow = Latencies(*(5 * seconds for seconds in list(vars(NFS).values())[:-1]), 100.0)
    assert most_workers(slow, 1)[0] < most_workers(NFS, 1)[0]
    assert most_workers(slow, 1)[0] <= most_workers(slow, 32)[0]
    assert loads(NFS, 1000, 32, 1.0)["leases"] < loads(NFS, 1000, 1, 1.0)["leases"]


@pytest.mark.parametrize("n_workers", [10, 1000, 5000])
def test_the_log_of_any_number_of_workers_is_not_busy(n_workers: int) -> None:
    for seconds in (0.01, 1.0, 100.0):
        assert loads(NFS, n_workers, 1, seconds)["claim log"] < 0.2


def test_the_doctor_tells_how_many_workers_the_folder_bears(place: Place) -> None:
    found = json.loads(place.psy("doctor", "--json").stdout)
    latencies = found["workdir"]["latencies"]
    assert min(latencies.values()) > 0
    told = place.psy("doctor").stdout
    assert "workers that it bears with items of 1 s: " in told
    assert list(place.folder.iterdir()) == []
