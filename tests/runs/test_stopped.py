"""Jobs that are stopped, as batch systems do, and taken for dead by those who do not see them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from psyflow.system.exits import LOST
from psyflow.system.lease import LEASE_SECONDS
from tests.support.processes import PATIENCE, children_of, eventually
from tests.support.study import Study

from .test_requeue import SQUARES, Jobs


def send(number: signal.Signals, pids: Iterable[int]) -> None:
    for pid in pids:
        os.kill(pid, number)


def stop(processes: Callable[[], Iterable[int]]) -> set[int]:
    """Stop processes, also those that they were just about to begin; return all of them."""
    stopped: set[int] = set()
    while begun := set(processes()) - stopped:
        send(signal.SIGSTOP, begun)
        stopped |= begun
    return stopped


def seem_dead(signs: Iterable[Path]) -> None:
    """Let leases look as if they were of another container, and had run out."""
    for sign in signs:
        sign.write_text(sign.read_text().replace("pid:[", "pid:[9"))
        then = time.time() - 2 * LEASE_SECONDS
        os.utime(sign, (then, then))


SEEMS_DEAD = """
import os, time
from pathlib import Path
from psyflow import {backend}, Param

backend = {backend}
HERE = Path(__file__).parent
pspace = Param(x=range(24))
pool_size = 2
max_jobs = 2

def execute(x, ctx):
    with open(HERE / f"folders-{{x}}", "a") as log:
        log.write(f"{{ctx.dir.name}}\\n")
    with open(HERE / f"calls-{{os.getpid()}}", "a") as log:
        log.write(f"{{x}} ")
    while x == 0 and ctx.job == "process:0":
        time.sleep(0.01)
    return {{"y": x**2}}
"""


def test_job_that_was_stopped_and_taken_for_dead_shares_no_folder_and_ends(
    tmp_path: Path,
) -> None:
    jobs = Jobs(tmp_path, "LoadBalancingBackend", SEEMS_DEAD)
    try:
        first = jobs.start(0)
        eventually(lambda: 0 in jobs.calls())
        stopped = stop(lambda: [first.pid, *children_of(first.pid)])
        seem_dead([jobs.lease_of(0)])
        assert jobs.start(1).wait(PATIENCE) == 0
        send(signal.SIGCONT, stopped)
        assert first.wait(PATIENCE) == LOST
    finally:
        jobs.end()
    log = (tmp_path / "job-0.log").read_text()
    assert "Others took this job for dead, and go on with its items: stopping." in log
    own, others = (tmp_path / "psy-tasks/folders-0").read_text().split()
    assert others == f"{own}.1"
    assert jobs.squares() == SQUARES


WAITS = """
pspace = Param(x=range(4))

def execute(x):
    note(x=x)
    while not (LOG.parent / "go").exists():
        time.sleep(0.01)
    return {"y": x**2}
"""


def test_run_that_was_stopped_and_taken_for_dead_replaces_nothing(study: Study) -> None:
    study.task(WAITS)
    first = study.start("run")
    study.wait_for_calls(1)
    run = study.folder / "psy-work/t"
    stopped = stop(study.processes)
    (study.folder / "go").touch()
    seem_dead([*run.glob("hold/[0-9]*"), *run.glob("plans/*/leases/[!.]*")])
    (run / "jobs.jsonl").write_text("")  # the processes of which are in sight here
    study.psy("run")
    assert study.rows() == [(x, x**2) for x in range(4)]
    result = (run / "result.pkl").stat()
    send(signal.SIGCONT, stopped)
    _, err = first.communicate(timeout=PATIENCE)
    assert first.returncode == 3
    assert "Another run has taken the place of this one" in err
    after = (run / "result.pkl").stat()
    assert (after.st_ino, after.st_mtime_ns) == (result.st_ino, result.st_mtime_ns)
    assert study.rows() == [(x, x**2) for x in range(4)]
    assert "up to date" in study.psy("status").stderr


def test_merge_of_a_run_that_lost_its_hold_replaces_nothing(study: Study) -> None:
    study.task(WAITS.replace("note(x=x)", "take_hold(x)"))
    task = study.tasks / "task_t.py"
    task.write_text(task.read_text() + TAKES_HOLD)
    (study.folder / "go").touch()
    err = study.psy("run", code=3).stderr
    assert "who took this process for dead. What is done is kept." in err
    run = study.folder / "psy-work/t"
    assert not (run / "result.pkl").exists()
    assert list(run.glob("out/*.rows"))


TAKES_HOLD = """
def take_hold(x):
    # As another psy run does that takes this one for dead.
    hold = LOG.parent / "psy-work/t/hold"
    if x == 3:
        (mark,) = hold.glob("[0-9]*")
        mark.with_name("00000009").write_bytes(mark.read_bytes())
"""
