"""Whole runs on a real Grid Engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from psyflow.scheduler import GridEngine
from psyflow.testing.schedulers import until
from tests.support.place import Place

from .private_gridengine import PrivateGridEngine
from .reused_ids import check_reused_ids

PATIENCE = 300
HEAD = """
import time
from pathlib import Path
from psyflow import LoadBalancingBackend, Param
from psyflow.scheduler import GridEngine

HERE = Path(__file__).parent
scheduler = GridEngine()
max_jobs = 2
"""


@pytest.fixture
def place(tmp_path: Path, gridengine: PrivateGridEngine) -> Place:
    # Of what lies where `psy run` is typed, no job may make a module of the standard library.
    (tmp_path / "signal.py").write_text("raise RuntimeError(__file__)")
    return Place(tmp_path)


def status(place: Place) -> dict[str, object]:
    report: dict[str, object] = json.loads(place.call("status", "--json", "t").stdout)["t"]
    return report


def wait(place: Place) -> None:
    until(lambda: not status(place)["jobs"], "no job is at work", PATIENCE)


def test_failed_item_costs_itself_and_the_next_run_goes_on(place: Place) -> None:
    place.task(
        "t",
        HEAD + "pspace = Param(x=range(6))\n"
        "def execute(x):\n"
        '    if x == 2 and not (HERE / "mended").exists():\n'
        '        raise ValueError("two")\n'
        '    return {"y": x**2}\n',
    )
    assert place.program("run").returncode == 0
    wait(place)
    report = status(place)
    assert (report["n_done"], report["n_failed"]) == (5, 1)
    assert "ValueError: two" in place.program("failures", "t").stdout
    (place.folder / "psy-tasks/mended").touch()
    assert place.program("run").returncode == 0
    wait(place)
    assert place.result("t")["y"] == [x**2 for x in range(6)]


def test_kill_ends_own_jobs_only_and_the_run_goes_on(place: Place, tmp_path: Path) -> None:
    place.task(
        "t",
        HEAD + "backend = LoadBalancingBackend\n"
        "pspace = Param(x=range(30))\n"
        "def execute(x):\n"
        '    with (HERE / "calls").open("a") as calls:\n'
        '        calls.write(f"{x} ")\n'
        '    while x > 9 and not (HERE / "go on").exists():\n'
        "        time.sleep(0.05)\n"
        '    return {"y": x**2}\n',
    )
    cluster = GridEngine()
    foreign = cluster.submit(["sleep", "600"], tmp_path / "foreign.log", "foreign")
    try:
        assert place.program("run").returncode == 0
        until(lambda: int(str(status(place)["n_done"])) > 3, "some items are done", PATIENCE)
        assert "has jobs at work" in place.program("run").stderr
        killed = place.program("kill", "-y", "t")
        assert killed.returncode == 0, killed.stderr
        assert not status(place)["jobs"]
        done = int(str(status(place)["n_done"]))
        assert 3 < done < 30
        found = cluster.get_status(foreign)
        assert found is not None
        assert found.status in {"Q", "R"}
    finally:
        cluster.kill(foreign)
    before = len((place.folder / "psy-tasks/calls").read_text().split())
    (place.folder / "psy-tasks/go on").touch()
    assert place.program("run").returncode == 0
    wait(place)
    assert place.result("t")["y"] == [x**2 for x in range(30)]
    calls = (place.folder / "psy-tasks/calls").read_text().split()
    assert len(calls) - before == 30 - done


def test_job_of_another_name_is_somebody_elses(place: Place) -> None:
    head = "from psyflow.scheduler import GridEngine\nscheduler = GridEngine()"
    check_reused_ids(place, GridEngine(), head)
