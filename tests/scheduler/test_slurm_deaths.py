"""A real Slurm with accounting: what it has forgotten, requeued jobs, and nodes that die."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from psyflow.scheduler import Slurm
from psyflow.testing import SchedulerTests
from psyflow.testing.schedulers import until
from tests.support.place import Place

from .private_slurm import PrivateSlurm

PATIENCE = 300
SLOW = """
import time
from pathlib import Path
from psyflow import LoadBalancingBackend, Param
from psyflow.scheduler import Slurm

HERE = Path(__file__).parent
scheduler = Slurm()
scheduler_args = {"timelimit": "5", "memory": "100M", "n_cpus": 3}
backend = LoadBalancingBackend
max_jobs = 2
pspace = Param(x=range(60))

def execute(x):
    with (HERE / "calls").open("a") as calls:
        calls.write(f"{x}\\n")
    time.sleep(0.1)
    while x >= 20 and not (HERE / "go").exists():
        time.sleep(0.05)
    return {"y": x**2}
"""


@pytest.fixture
def place(tmp_path: Path, accounted_slurm: PrivateSlurm) -> Place:
    return Place(tmp_path)


class TestSlurmWithAccounting(SchedulerTests):
    @pytest.fixture
    def scheduler(self, accounted_slurm: PrivateSlurm) -> Slurm:
        return Slurm()


def state(scheduler: Slurm, jobid: str) -> tuple[str, str]:
    found = scheduler.get_statuses([jobid])[jobid]
    return found.status, found.reason


def test_what_only_the_accounting_remembers(accounted_slurm: PrivateSlurm, tmp_path: Path) -> None:
    scheduler, log = Slurm(), tmp_path / "log"
    fine = scheduler.submit(["true"], log, "t:fine")
    array = scheduler.submit_array(2, ["sh", "-c", "exit %a"], log, "t:array")
    killed = scheduler.submit(["sleep", "600"], log, "t:killed")
    until(lambda: state(scheduler, killed)[0] == "R", "the job runs", PATIENCE)
    scheduler.kill(killed)

    def is_forgotten() -> bool:
        jobs = ",".join([fine, array, killed])
        return not accounted_slurm.client("squeue", "-h", "-t", "all", "-j", jobs)

    until(is_forgotten, "the controller has forgotten the jobs", PATIENCE)
    assert state(scheduler, fine) == ("D", "")
    assert state(scheduler, f"{array}_0")[0] == "D"
    assert state(scheduler, f"{array}_1")[0] == "F"
    assert state(scheduler, array)[0] == "F"
    assert state(scheduler, killed)[0] == "C"
    assert scheduler.get_status("987654") is None


def report(place: Place) -> dict[str, object]:
    told: dict[str, object] = json.loads(place.call("status", "--json", "t").stdout)["t"]
    return told


def begin(place: Place) -> str:
    """Start the slow task; return the id of its array when both jobs have done something."""
    place.task("t", SLOW)
    assert place.program("run").returncode == 0
    shards = place.work / "t/out"
    until(lambda: len(list(shards.glob("*.rows"))) == 2, "both jobs are at work", PATIENCE)
    until(lambda: int(str(report(place)["n_done"])) > 6, "some items are done", PATIENCE)
    records = map(json.loads, (place.work / "t/jobs.jsonl").read_text().splitlines())
    (array,) = [r["jobid"] for r in records if r["jobid"] and r["step"] == "process:0-1"]
    return str(array)


def finish(place: Place) -> None:
    """Wait for the result: every pset once, and what was done before not evaluated again."""

    def is_complete() -> bool:
        told = report(place)
        return bool(told["up_to_date"]) and not told["jobs"]

    until(is_complete, "the run is complete", PATIENCE)
    result = place.result("t")
    assert result["x"] == list(range(60))
    assert result["y"] == [x**2 for x in range(60)]
    calls = Counter((place.folder / "psy-tasks/calls").read_text().split())
    assert set(calls.values()) <= {1, 2}
    # What was running or not yet on the disk when the job was ended.
    assert sum(count == 2 for count in calls.values()) <= 4, calls


def test_requeued_job_goes_on(place: Place, accounted_slurm: PrivateSlurm) -> None:
    array = begin(place)
    accounted_slurm.client("scontrol", "requeue", f"{array}_0")
    (place.folder / "psy-tasks/go").touch()
    finish(place)
    log = (place.work / "t/t:process:0.log").read_text()
    assert log.count("t:process:0 of") == 2


@pytest.fixture
def mortal_node(accounted_slurm: PrivateSlurm) -> Iterator[str]:
    yield "n1"
    accounted_slurm.start_node("n1")
    until(lambda: accounted_slurm.node_states() == {"idle"}, "the node is back", PATIENCE)


def test_node_that_dies_gives_its_claims_back(
    place: Place, accounted_slurm: PrivateSlurm, mortal_node: str
) -> None:
    array = begin(place)
    running = accounted_slurm.client("squeue", "-h", "-r", "-j", array, "-t", "R", "-o", "%N")
    assert mortal_node in running.split()
    accounted_slurm.kill_node(mortal_node)
    (place.folder / "psy-tasks/go").touch()
    finish(place)
