"""Jobs that wait for a person are told, with what to type, by all commands that look."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from psyflow.record.remedies import remedies_of
from psyflow.scheduler import LSF, PBS, JobStatus, Slurm
from psyflow.scheduler.slurm.remedies import remedy
from psyflow.scheduler.slurm.texts import parse_sacct, parse_squeue
from psyflow.testing.schedulers import until
from tests.support.place import SQUARE, Place

from .private_gridengine import PrivateGridEngine
from .private_slurm import PrivateSlurm

PATIENCE = 300
HEAD = "from psyflow.scheduler import {0}\nscheduler = {0}()\nmax_jobs = 2\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def waiting(place: Place) -> list[dict[str, str]]:
    report = json.loads(place.program("status", "--json", "t").stdout)["t"]
    found: list[dict[str, str]] = report["waiting_for_somebody"]
    return found


def test_held_on_slurm(place: Place, slurm: PrivateSlurm) -> None:
    place.task("t", HEAD.format("Slurm") + "scheduler_args = {'hold': True}\n" + SQUARE)
    assert place.program("run", "t").returncode == 0
    until(lambda: len(waiting(place)) >= 1, "the held job is told", PATIENCE)
    first = waiting(place)[0]
    shown = place.program("status", "t").stderr
    assert "waits for somebody: it is held" in shown or "wait for somebody: it is held" in shown
    assert first["command"].startswith("scontrol release ")
    with place.start("run", "--wait", "t") as psy:
        assert psy.stderr is not None
        lines = iter(psy.stderr.readline, "")
        # It says so at once, and then goes on waiting.
        assert any("scontrol release" in line for line in lines)
        for job in waiting(place):
            subprocess.run(job["command"].split(), check=True)
        psy.communicate(timeout=PATIENCE)
    assert place.result("t")["y"] == [0, 1, 4, 9]


def test_a_dependency_that_is_never_met_on_slurm(place: Place, slurm: PrivateSlurm) -> None:
    words = ("--parsable", "--output=/dev/null", "--wrap=sleep 5; exit 3")
    data = slurm.client("sbatch", *words).strip()
    args = f"scheduler_args = {{'dependency': 'afterok:{data}'}}\n"
    place.task("t", HEAD.format("Slurm") + args + SQUARE)
    assert place.program("run", "t").returncode == 0
    until(lambda: waiting(place), "it is told", PATIENCE)
    assert "did not end as it has to. Type: psy kill t" in place.program("status", "t").stderr
    assert place.program("kill", "t").returncode == 0


def test_in_error_on_grid_engine(place: Place, gridengine: PrivateGridEngine) -> None:
    # A job whose working folder is gone.
    args = "scheduler_args = {'extra_args': ['-wd', '/no/such/folder']}\n"
    place.task("t", HEAD.format("GridEngine") + args + SQUARE)
    assert place.program("run", "t").returncode == 0
    until(lambda: waiting(place), "it is told", PATIENCE)
    # The others wait for that one, which is in order.
    (job,) = waiting(place)
    assert job["why"].startswith("is in error, ")
    assert "/no/such/folder" in job["why"]
    assert job["command"] == f"qmod -cj {job['job']}"
    assert place.program("kill", "t").returncode == 0


def test_held_on_grid_engine(place: Place, gridengine: PrivateGridEngine) -> None:
    place.task("t", HEAD.format("GridEngine") + "scheduler_args = {'hold': True}\n" + SQUARE)
    assert place.program("run", "t").returncode == 0
    found = waiting(place)
    assert {job["why"] for job in found} == {"is held by somebody"}
    for job in found:
        subprocess.run(job["command"].split(), check=True, capture_output=True)
    assert waiting(place) == []
    assert place.program("kill", "t").returncode == 0


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("7|PD|JobHeldAdmin|t", "scontrol release 7"),
        ("7_3|PD|launch_failed_requeued_held|t", "scontrol release 7_3"),
        ("7|SE|None|t", "scontrol release 7"),
        ("7|RH|None|t", "scontrol release 7"),
        ("7|PD|DependencyNeverSatisfied|t", ""),
        ("7|PD|ReqNodeNotAvail, UnavailableNodes:n1|t", "sinfo -R"),
        ("7|PD|QOSMaxSubmitJobPerUserLimit|t", "squeue --me"),
        ("7|PD|AssocGrpCpuLimit|t", "squeue --me"),
        ("7|PD|AssocGrpCPUMinutesLimit|t", "sshare -U"),
        ("7|PD|QOSMaxWallDurationPerJobLimit|t", ""),
        *((f"7|PD|{goes_on}|t", None) for goes_on in ("Priority", "Resources", "Dependency")),
        ("7|R|None|t", None),
    ],
)
def test_reasons_of_slurm(line: str, command: str | None) -> None:
    (status,) = parse_squeue(line).values()
    found = remedy(status)
    assert (None if found is None else found.command) == command


def test_cancelled_by_somebody_else_on_slurm() -> None:
    (status,) = parse_sacct("7|CANCELLED by 4242|t").values()
    found = remedy(status)
    assert found is not None
    assert found.why == "was cancelled by user 4242, not by you"


def test_jobs_of_another_cluster_are_released_there() -> None:
    found = remedy(JobStatus("7;gpu_2", "*Q", "t", "JobHeldUser"))
    assert found is not None
    assert found.command == "scontrol --clusters=gpu release 7_2"


def test_members_with_the_same_trouble_are_one() -> None:
    held = [JobStatus(f"7_{i}", "*Q", f"t:{i}", "JobHeldUser") for i in range(1000)]
    found = remedies_of(Slurm(), {"7": held, "8": [JobStatus("8", "*Q", "m", "Dependency")]})
    assert {job: remedy.command for job, remedy in found.items()} == {"7": "scontrol release 7"}


def test_held_by_pbs_and_lsf() -> None:
    text = {"Jobs": {"7.s": {"job_state": "H", "Hold_Types": "u", "Job_Name": "t"}}}
    (status,) = PBS().parse_status(json.dumps(text)).values()
    found = PBS().remedy(status)
    assert found is not None
    assert found.command == "qrls 7.s"
    text["Jobs"]["7.s"]["Hold_Types"] = "s"
    (status,) = PBS().parse_status(json.dumps(text)).values()
    assert PBS().remedy(status) is None
    (status,) = LSF().parse_status("7|2|PSUSP|-|-|t[2]\n").values()
    found = LSF().remedy(status)
    assert found is not None
    assert found.command == 'bresume "7[2]"'
