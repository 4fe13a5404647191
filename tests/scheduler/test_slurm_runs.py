"""Whole runs on a real Slurm: `psy run` submits and returns, and the work goes on by itself."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

import psyflow
from psyflow.testing.schedulers import until
from tests.support.place import Place

from .page_runs import check_task_file
from .private_slurm import PrivateSlurm

PATIENCE = 300
HEAD = """
import os, time
from pathlib import Path
from psyflow import LoadBalancingBackend, Param
from psyflow.scheduler import Slurm

HERE = Path(__file__).parent
scheduler = Slurm()
scheduler_args = {"timelimit": "5", "memory": "100M"}
max_jobs = 2
"""


@pytest.fixture
def place(tmp_path: Path, slurm: PrivateSlurm) -> Place:
    # Of what lies where `psy run` is typed, no job may make a module of the standard library.
    (tmp_path / "signal.py").write_text("raise RuntimeError(__file__)")
    return Place(tmp_path)


def status(place: Place, task: str = "t") -> dict[str, object]:
    told = place.call("status", "--json", task)
    report: dict[str, object] = json.loads(told.stdout)[task]
    return report


def is_up_to_date(place: Place, task: str = "t") -> bool:
    report = status(place, task)
    return bool(report["up_to_date"]) and not report["jobs"]


def wait(place: Place, task: str = "t") -> None:
    until(lambda: not status(place, task)["jobs"], f"no job of {task} is at work", PATIENCE)


def squares(place: Place, n: int, task: str = "t") -> None:
    result = place.result(task)
    assert result["x"] == list(range(n))
    assert result["y"] == [x**2 for x in range(n)]


def logs(place: Place, task: str = "t") -> str:
    return "\n".join(f"{p.name}:\n{p.read_text()}" for p in (place.work / task).glob("*.log"))


def test_run_returns_and_the_work_goes_on(place: Place) -> None:
    source = 'pspace = Param(x=range(20))\ndef execute(x):\n    return {"y": x**2}\n'
    place.task("t", HEAD + source)
    place.task("u", HEAD + "backend = LoadBalancingBackend\npool_size = 2\n" + source)
    with place.start("run") as psy:
        _out, err = psy.communicate(timeout=120)
    assert psy.returncode == 0, err
    assert "jobs are submitted" in err
    # What would get the terminal's SIGHUP when the user logs out: nothing of theirs is left.
    with pytest.raises(ProcessLookupError):
        os.killpg(psy.pid, signal.SIGHUP)
    until(lambda: is_up_to_date(place, "t"), "t is up to date", PATIENCE)
    until(lambda: is_up_to_date(place, "u"), "u is up to date", PATIENCE)
    squares(place, 20, "t")
    squares(place, 20, "u")
    assert place.program("run").stdout.count("-- ") == 6


def test_more_jobs_than_an_array_may_have(place: Place) -> None:
    place.task(
        "t",
        HEAD + "class Small(Slurm):\n"
        "    def max_array_size(self):\n"
        "        return 3\n"
        "scheduler = Small()\n"
        "max_jobs = 7\n"
        'scheduler_args = {"timelimit": "5", "max_running": 6}\n'
        "pspace = Param(x=range(14))\n"
        "def execute(x):\n"
        '    numbers = ("SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID")\n'
        '    job = "_".join(os.environ[name] for name in numbers)\n'
        '    return {"y": x**2, "job": job}\n',
    )
    dry = json.loads(place.program("run", "-n", "--json").stdout)["t"]
    assert [job["n_members"] for job in dry["jobs"]] == [1, 3, 3, 1, 1]
    assert "--array=0-2%2" in dry["jobs"][1]["command"]
    place.program("run")
    wait(place)
    squares(place, 14)
    for job in range(7):
        assert "2 items" in logs(place) or (place.work / f"t/t:process:{job}.log").stat().st_size
        assert f"t:process:{job} of" in (place.work / f"t/t:process:{job}.log").read_text()
    table = psyflow.load(place.work / "t")
    assert list(table.bookkeeping["job_id"]) == list(table["job"])
    assert len(set(table["job"])) == 7


def test_job_that_dies_is_continued_without_anybody(place: Place) -> None:
    place.task(
        "t",
        HEAD + "backend = LoadBalancingBackend\nmax_jobs = 1\n"
        "pspace = Param(x=range(12))\n"
        "def execute(x):\n"
        "    time.sleep(0.05)\n"
        '    if x == 6 and not (HERE / "died").exists():\n'
        '        (HERE / "died").touch()\n'
        "        os.kill(os.getppid(), 9)\n"
        "        time.sleep(600)\n"
        '    return {"y": x**2}\n',
    )
    place.program("run")
    until(lambda: is_up_to_date(place), "the run is continued and complete", PATIENCE)
    squares(place, 12)
    assert "Continued as" in (place.work / "t/t:merge.log").read_text()


def test_wall_time_ends_no_item_and_the_chain_goes_on(place: Place) -> None:
    place.task(
        "t",
        HEAD + "class Hurried(Slurm):\n"
        "    def time_limit(self, scheduler_args, name):\n"
        "        return 5.0\n"
        "scheduler = Hurried()\n"
        'scheduler_args = {"memory": "100M"}\n'
        "max_jobs = 1\n"
        "max_chain = 14\n"  # however slow the machine is, each job has one item at least
        "pspace = Param(x=range(14))\n"
        "def execute(x):\n"
        "    time.sleep(0.7)\n"
        '    return {"y": x**2}\n',
    )
    place.program("run")
    until(lambda: is_up_to_date(place), "the chain is complete", PATIENCE)
    squares(place, 14)
    told = (place.work / "t/t:process:0.log").read_text()
    assert "would not be done in time" in told
    assert told.count("===") >= 2


def test_failed_items_do_not_continue_by_themselves(place: Place) -> None:
    place.task(
        "t",
        HEAD + "pspace = Param(x=range(4))\n"
        "def execute(x):\n"
        '    if x == 2 and not (HERE / "mended").exists():\n'
        '        raise ValueError("two")\n'
        '    return {"y": x**2}\n',
    )
    place.program("run")
    wait(place)
    report = status(place)
    assert (report["n_done"], report["n_failed"]) == (3, 1)
    assert "Not continued: all items have run" in (place.work / "t/t:merge.log").read_text()
    (place.folder / "psy-tasks" / "mended").touch()
    place.program("run")
    wait(place)
    squares(place, 4)


def test_kill_ends_own_jobs_only_and_run_continues(place: Place, slurm: PrivateSlurm) -> None:
    place.task(
        "t",
        HEAD + "max_jobs = 4\n"
        "pspace = Param(x=range(60))\n"
        "def execute(x):\n"
        '    while x > 9 and not (HERE / "go on").exists():\n'
        "        time.sleep(0.05)\n"
        '    return {"y": x**2}\n',
    )
    foreign = slurm.client("sbatch", "--parsable", "-o", "/dev/null", "--hold", "--wrap=true")
    place.program("run")
    until(lambda: int(str(status(place)["n_done"])) > 3, "some items are done", PATIENCE)
    refused = place.program("run")
    assert "has jobs at work" in refused.stderr
    assert place.program("kill", "t").returncode == 0
    wait(place)
    report = status(place)
    assert 3 < int(str(report["n_done"])) < 60
    assert slurm.client("squeue", "-h", "-j", foreign.strip(), "-o", "%t").strip() == "PD"
    slurm.client("scancel", foreign.strip())
    (place.folder / "psy-tasks/go on").touch()
    place.program("run")
    until(lambda: is_up_to_date(place), "the rest is done", PATIENCE)
    squares(place, 60)


def test_arguments_grow_with_the_attempt(place: Place) -> None:
    place.task(
        "t",
        HEAD + "max_jobs = 1\n"
        "pspace = Param(x=range(3))\n"
        "scheduler_args = {\n"
        '    "timelimit": "5",\n'
        '    "comment": lambda job, attempt, reason: f"{attempt} {reason}",\n'
        "}\n"
        "def execute(x):\n"
        '    if x == 1 and not (HERE / "once").exists():\n'
        '        (HERE / "once").touch()\n'
        "        raise MemoryError\n"
        '    return {"y": x**2}\n',
    )
    place.program("run")
    until(lambda: is_up_to_date(place), "the item had more memory", PATIENCE)
    squares(place, 3)
    plan = json.loads((place.work / "t/plan.json").read_text())
    assert (plan["attempt"], plan["reason"], plan["chain"]) == (2, "oom", 1)


CHECKPOINTS = """
pspace = Param(x=[3])
max_jobs = 1
def execute(x, ctx):
    state = ctx.dir / "state"
    n = int(state.read_text()) if state.exists() else 0
    while n < 40 or not state.exists():
        n += 1
        time.sleep(0.1)
        if ctx.should_stop():
            state.write_text(str(n))
            ctx.stop()
    return {"y": x**2, "n": n, "resumed": state.exists(), "job": ctx.job}
"""


def test_long_item_saves_its_state_and_goes_on(place: Place, slurm: PrivateSlurm) -> None:
    place.task("t", HEAD + CHECKPOINTS)
    place.program("run")
    jobs = place.work / "t/jobs.jsonl"
    until(lambda: any((place.work / "t").glob("psets/*")), "the item runs", PATIENCE)
    array = next(
        record["jobid"]
        for record in map(json.loads, jobs.read_text().splitlines())
        if record["jobid"] and record["step"].startswith("process:0-")
    )
    slurm.client("scancel", "--batch", "--signal=USR1", f"{array}_0")
    wait(place)
    place.program("run")
    until(lambda: is_up_to_date(place), "the item is done", PATIENCE)
    assert place.result("t")["resumed"] == [True]
    assert place.result("t")["job"] == ["process:0"]


def test_task_file_of_the_page(place: Place) -> None:
    check_task_file("slurm", place)


def test_nobody_asks_slurm_about_what_is_over(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = 'pspace = Param(x=range(4))\ndef execute(x):\n    {}return {{"y": x**2}}\n'
    place.task("t", HEAD + source.format(""))
    place.task("u", HEAD + source.format("os.kill(os.getpid(), 9) if x == 2 else 0\n    "))
    assert place.program("run").returncode == 0
    for task in ("t", "u"):
        wait(place, task)
    programs = tmp_path / "bin"
    programs.mkdir()
    calls = tmp_path / "calls"
    for name in ("squeue", "sacct", "scontrol"):
        (programs / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{calls}\nexit 1\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    assert place.call("status").returncode == 0
    assert not calls.exists(), calls.read_text()
