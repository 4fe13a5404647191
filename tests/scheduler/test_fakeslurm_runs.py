"""Whole runs on a Slurm that kills, preempts and delays jobs: nothing is lost or twice."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from psyflow.exceptions import SchedulerError
from psyflow.testing import FakeSlurm
from tests.support.study import Study

N_ROUNDS = 100
PATIENCE = 300
SITES: list[dict[str, float]] = [
    {"accounting": True, "tell_end": True, "kill": 0.35, "preempt": 0.3},
    {"accounting": False, "flaky": 0.15, "kill": 0.2, "preempt": 0.2},
    {"accounting": False, "min_job_age": 0.0, "kill": 0.35, "preempt": 0.3},
]
HEAD = """
from psyflow import DistributeBackend, LoadBalancingBackend
from psyflow.scheduler import Slurm

scheduler = Slurm()
"""
BODY = """
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
        "n": chance.randint(10, 25),
        "seconds": chance.choice([0.05, 0.1, 0.2]),
    }


def try_psy(study: Study, *words: str) -> tuple[str, str]:
    """Call `psy` on a cluster that may not answer; return what it prints to both streams."""
    process = study.start(*words)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, 3), f"{out}\n{err}"
    assert "Traceback" not in err
    return out, err


def status(study: Study) -> dict[str, object]:
    report: dict[str, object] = json.loads(try_psy(study, "status", "--json", "t")[0])["t"]
    return report


def seconds_to_begin(study: Study) -> float:
    """Return how long it takes to start `psy`, or a job."""
    begin = time.monotonic()
    try_psy(study, "status")
    return time.monotonic() - begin


def run_until_complete(study: Study, slurm: FakeSlurm) -> list[int]:
    """Run again and again, as a user would; return how many items were done after each time."""
    done: list[int] = []
    while len(done) < N_ROUNDS:
        try_psy(study, "run")
        slurm.wait(PATIENCE)
        report = status(study)
        done.append(int(str(report["n_done"])))
        if report["up_to_date"]:
            return done
        if report["jobs"]:
            # Forgotten by everybody, before the merge job could note that they are over.
            assert all("unknown" in job for job in report["jobs"])  # type: ignore[attr-defined]
            try_psy(study, "kill", "t")
    raise AssertionError(f"not complete after {N_ROUNDS} runs, but {done}\n{study.logs()}")


@pytest.mark.parametrize("seed", range(6))
def test_run_is_complete_in_the_end(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    task, site = settings(seed), SITES[seed % 3]
    study.task(HEAD + BODY.format(**task))
    # So that jobs are struck at work, and not just as they begin, however slow they are in that.
    within = max(1.2, 3 * seconds_to_begin(study))
    times = {"within": within, "delay": 0.5, "kill_wait": 0.5}
    with FakeSlurm(tmp_path / "slurm", seed=seed, **times, **site) as slurm:  # type: ignore[arg-type]
        monkeypatch.setenv("PATH", slurm.environment["PATH"])
        done = run_until_complete(study, slurm)
    assert done == sorted(done), "what was done is lost"
    assert study.rows() == [(x, x**2) for x in range(int(str(task["n"])))]
    assert study.processes() == []


DEEDS = [
    ("scancel",),
    ("scancel", "--signal=KILL", "--batch"),
    ("scancel", "--signal=USR1", "--batch"),
    ("scontrol", "requeue"),
]


@contextlib.contextmanager
def meddling(slurm: FakeSlurm, chance: random.Random) -> Iterator[None]:
    """Cancel, kill, warn and requeue jobs at random, as administrators and colleagues do."""
    is_over = threading.Event()

    def meddle() -> None:
        while not is_over.wait(chance.uniform(0.2, 1.2)):
            jobids = slurm.client("squeue", "-h", "-r", "-o", "%i").split()
            # What is chosen may have ended since, or be queued already.
            with contextlib.suppress(SchedulerError, IndexError):
                slurm.client(*chance.choice(DEEDS), chance.choice(jobids))

    meddler = threading.Thread(target=meddle)
    meddler.start()
    try:
        yield
    finally:
        is_over.set()
        meddler.join()


@pytest.mark.parametrize("seed", [4, 7, 8])
def test_others_meddle_and_psy_is_killed(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    task, chance = settings(seed), random.Random(seed)
    study.task(HEAD + BODY.format(**task))
    with FakeSlurm(tmp_path / "slurm", seed=seed, delay=0.5, kill_wait=0.5) as slurm:
        monkeypatch.setenv("PATH", slurm.environment["PATH"])
        for _ in range(3):
            with meddling(slurm, chance):
                psy = study.start("run")
                time.sleep(chance.uniform(0.3, 1.0))
                psy.send_signal(chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
                psy.communicate(timeout=PATIENCE)
                slurm.wait(PATIENCE)
        run_until_complete(study, slurm)
    assert study.rows() == [(x, x**2) for x in range(int(str(task["n"])))]
    assert study.processes() == []


def states(slurm: FakeSlurm) -> set[str]:
    return set(slurm.client("sacct", "-X", "-n", "-P", "--format=State").split())


def test_wall_time_ends_no_job_and_the_chain_goes_on(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.task(
        # After item 3, which takes most of a job's time, there seems to be none for another one.
        HEAD + 'scheduler_args = {"timelimit": "0:18"}\n'
        "max_jobs = 1\n"
        "max_chain = 3\n"
        "pspace = Param(x=range(12))\n"
        'def execute(x):\n    time.sleep(10 if x == 3 else 0.3)\n    return {"y": x**2}\n'
    )
    with FakeSlurm(tmp_path / "slurm") as slurm:
        monkeypatch.setenv("PATH", slurm.environment["PATH"])
        study.psy("run")
        slurm.wait(PATIENCE)
        assert states(slurm) == {"COMPLETED"}
    assert status(study)["up_to_date"]
    assert study.rows() == [(x, x**2) for x in range(12)]
    assert "would not be done in time" in study.logs()


def test_warned_item_saves_its_state_and_goes_on(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.task(
        HEAD + 'scheduler_args = {"timelimit": "10:00", "signal": "B:USR1@593"}\n'
        "max_chain = 5\n"
        "pspace = Param(x=[25])\n"
        "def execute(x, ctx):\n"
        '    state = ctx.dir / "state"\n'
        "    n = int(state.read_text()) if state.exists() else 0\n"
        "    while n < x or not state.exists():\n"
        "        n += 1\n"
        "        time.sleep(0.2)\n"
        "        if ctx.should_stop():\n"
        "            state.write_text(str(n))\n"
        "            ctx.stop()\n"
        '    return {"resumed": state.exists()}\n'
    )
    with FakeSlurm(tmp_path / "slurm") as slurm:
        monkeypatch.setenv("PATH", slurm.environment["PATH"])
        study.psy("run")
        slurm.wait(PATIENCE)
        assert "TIMEOUT" not in states(slurm)
    assert status(study)["up_to_date"]
    assert study.rows() == [(True, 25)]


def test_jobs_in_which_nothing_gets_done_do_not_go_on(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.task(
        HEAD + "max_chain = 5\n"
        "pspace = Param(x=[3])\n"
        "def execute(x, ctx):\n"
        "    ctx.dir  # it is made, and nothing is kept in it\n"
        "    os.kill(os.getppid(), 9)\n"
        "    time.sleep(600)\n"
    )
    with FakeSlurm(tmp_path / "slurm") as slurm:
        monkeypatch.setenv("PATH", slurm.environment["PATH"])
        study.psy("run")
        slurm.wait(PATIENCE)
    assert "Not continued: no item got an outcome" in study.logs()
    assert len(list(study.folder.glob("psy-work/t/plans/*"))) == 1


@pytest.mark.parametrize(
    ("limit", "is_enough"), [("3 * attempt", True), ("min(3, attempt)", False)]
)
def test_jobs_go_on_as_long_as_the_next_one_gets_more(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, is_enough: bool
) -> None:
    study.task(
        HEAD + "max_chain = 9\n"
        "def limit(job, attempt, reason):\n"
        f'    return f"0:{{{limit}:02d}}" if "process" in job else "5"\n'
        'scheduler_args = {"timelimit": limit}\n'
        "pspace = Param(x=[3])\n"
        'def execute(x):\n    time.sleep(10)\n    return {"y": x**2}\n'
    )
    with FakeSlurm(tmp_path / "slurm") as slurm:
        monkeypatch.setenv("PATH", slurm.environment["PATH"])
        study.psy("run")
        slurm.wait(PATIENCE)
    n_continued = study.logs().count("Continued as")
    if is_enough:
        assert study.rows() == [(3, 9)]
        assert n_continued >= 2
    else:
        assert n_continued == 2
        assert "Not continued: no item got an outcome" in study.logs()


def test_an_item_that_does_not_fit_is_a_failure_after_the_second_time(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.task(
        HEAD + 'scheduler_args = {"timelimit": "0:25"}\n'
        "max_chain = 6\n"
        "max_jobs = 1\n"
        "pool_size = 2\n"
        "pspace = Param(x=range(4))\n"
        "def execute(x, ctx):\n"
        "    if x == 2:\n"
        '        (ctx.dir / "step").write_text("1")\n'
        "        while len(list(ctx.dir.iterdir())) < 3:\n"
        "            time.sleep(10)\n"
        '            (ctx.dir / str(time.time())).write_text("")\n'
        "            time.sleep(600)\n"
        "    time.sleep(600 if x == 1 else 0)\n"
        '    return {"y": x**2}\n'
    )
    with FakeSlurm(tmp_path / "slurm") as slurm:
        monkeypatch.setenv("PATH", slurm.environment["PATH"])
        study.psy("run")
        slurm.wait(PATIENCE)
        report = status(study)
        assert report["n_failed"] == 1 and report["n_done"] == 3
        assert len(list(study.folder.glob("psy-work/t/plans/*"))) in (2, 3)
        told = study.psy("failures", "t").stdout
        for text in ("does not fit into the time limit of a job, 25 s", "`timelimit`", "{'x': 1}"):
            assert text in told, told
        assert "See what failed: psy failures t" in study.psy("why", "t").stdout
        # Somebody who tries again hears it after the first time.
        study.psy("run")
        slurm.wait(PATIENCE)
        assert status(study)["n_failed"] == 1
