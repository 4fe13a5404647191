"""`psy doctor` on a real Slurm, and tasks that go by the profile it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from psyflow.testing.schedulers import until
from tests.support.place import Place

from .private_slurm import MAX_ARRAY_SIZE, PrivateSlurm

PATIENCE = 300
DIES_ONCE = """
import os, time
from pathlib import Path
from psyflow import Param

HERE = Path(__file__).parent
max_jobs = 1
pspace = Param(x=range(4))

def execute(x):
    while not (HERE / "go").exists():
        time.sleep(0.05)
    if x == 2 and not (HERE / "died").exists():
        (HERE / "died").touch()
        os.kill(os.getppid(), 9)
        time.sleep(600)
    return {"y": x**2}
"""


@pytest.fixture
def place(tmp_path: Path, slurm: PrivateSlurm, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv("PSYFLOW_SITE")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return Place(tmp_path)


def slurm_facts(place: Place, *words: str) -> dict[str, object]:
    told = place.program("doctor", "--json", "-s", "slurm", *words)
    assert told.returncode == 0, told.stderr
    facts: dict[str, object] = json.loads(told.stdout)["schedulers"]["slurm"]
    return facts


def test_what_a_real_slurm_tells(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = slurm_facts(place)
    assert str(facts["version"]).startswith("slurm")
    assert (facts["max_array_size"], facts["has_accounting"]) == (MAX_ARRAY_SIZE, False)
    assert facts["partitions"] == [
        {
            "name": "debug",
            "is_default": True,
            "time_limit": "infinite",
            "n_nodes": "2",
            "n_cpus": "4",
            "memory": "4000",
        }
    ]
    for name, value in (("SINFO_FORMAT", "%N"), ("SINFO_PARTITION", "x"), ("SCONTROL_ALL", "1")):
        monkeypatch.setenv(name, value)
    assert slurm_facts(place) == facts


def test_tasks_go_by_the_profile_and_continue_by_the_frozen_one(place: Place) -> None:
    site = place.folder / "psy-tasks" / "site.yaml"
    assert place.program("doctor", "-s", "slurm", "--write", str(site)).returncode == 0
    assert site.read_text().endswith("scheduler_args:\n  partition: debug\n")
    site.write_text(site.read_text() + "  comment: as at first\n")
    place.task("t", DIES_ONCE)
    assert "jobs are submitted" in place.program("run").stderr
    site.write_text("scheduler: sqsub\n")
    (place.folder / "psy-tasks" / "go").touch()
    log = place.work / "t" / "t:merge.log"
    until(lambda: log.exists() and "Continued as" in log.read_text(), "it goes on", PATIENCE)

    def is_merged() -> bool:
        return place.result_exists("t") and place.result("t")["y"] == [0, 1, 4, 9]

    until(is_merged, "the continuation is merged", PATIENCE)
    frozen = (place.work / "t" / "plans").glob("*/code/site.yaml")
    assert {"as at first" in file.read_text() for file in frozen} == {True}


def test_probe_that_slurm_refuses(place: Place) -> None:
    site = place.folder / "psy-tasks" / "site.yaml"
    site.parent.mkdir()
    site.write_text("scheduler: slurm\nscheduler_args: {partition: nosuch}\n")
    told = place.program("doctor", "--probe")
    assert told.returncode == 3
    assert "sbatch failed" in told.stderr
    assert "invalid partition" in told.stderr


def test_what_a_job_finds_there(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THE_SUBMISSION", "1")
    told = place.program("doctor", "--json", "--probe", "-s", "slurm")
    assert told.returncode == 0, told.stderr
    probe = json.loads(told.stdout)["probe"]
    assert (probe["about"]["cpus"], probe["about"]["cpus_told"]) == (1, 1)
    assert "OF_THE_SUBMISSION" in probe["about"]["variables"]
    assert abs(probe["skew"]) < 30
    monkeypatch.setenv("SBATCH_EXPORT", "NONE")
    shown = place.program("doctor", "--probe", "-s", "slurm")
    assert shown.returncode == 0, shown.stderr
    assert "variables of the environment did not reach it: " in shown.stdout
    assert "1 CPUs may be used; the cluster tells 1" in shown.stdout
