"""Jobs that a scheduler starts again, or that lose their node, continue where they were."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from psyflow.outcomes.states import State
from psyflow.record.plan import Plan
from psyflow.runs.begin import begin
from psyflow.runs.run import Run
from psyflow.system.exits import TOO_MANY_FAILURES
from psyflow.tasks import TaskDef
from tests.support.processes import MARK, PATIENCE, eventually, marked

TASK = """
import os, signal, time
from pathlib import Path
from psyflow import {backend}, Param

backend = {backend}
HERE = Path(__file__).parent
pspace = Param(x=range(24))
pool_size = 2
max_jobs = 2

def execute(x, ctx):
    with open(HERE / f"calls-{{os.getpid()}}", "a") as log:
        log.write(f"{{x}} ")
    time.sleep(0.05)
    while x >= 4 and not ((HERE / "go").exists() or ctx.should_stop()):
        time.sleep(0.01)
    return {{"y": x**2}}
"""


class Jobs:
    """The process jobs of a plan, started by hand; from the fifth on, items wait for `let_go`."""

    def __init__(self, folder: Path, backend: str, source: str = TASK) -> None:
        self.folder = folder
        path = folder / "psy-tasks" / "task_t.py"
        path.parent.mkdir()
        path.write_text(source.format(backend=backend))
        task = TaskDef(path, base=folder)
        # Without it, all would be one job.
        type(task.scheduler).runs_here, before = False, type(task.scheduler).runs_here
        try:
            self.run = Run(task)
            plan = begin(self.run)
        finally:
            type(task.scheduler).runs_here = before
        assert plan is not None and plan.n_jobs == 2
        self.plan: Plan = plan
        self.run.here.split(plan)
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, job: int, within: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        words = [
            *within,
            sys.executable,
            "-m",
            "psyflow.job",
            "process",
            self.plan.frozen.plan_file,
        ]
        with (self.folder / f"job-{job}.log").open("ab") as log:
            process = subprocess.Popen(
                [*words, str(job)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**os.environ, MARK: str(self.folder)},
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def kill(self, job: subprocess.Popen[bytes]) -> None:
        """Kill a job, and wait until its workers have ended with it."""
        job.kill()
        job.wait()
        self.wait_until_gone()

    def wait_until_gone(self) -> None:
        eventually(lambda: not marked(str(self.folder)))

    def let_go(self) -> None:
        (self.folder / "psy-tasks" / "go").touch()

    def calls(self) -> list[int]:
        logs = (self.folder / "psy-tasks").glob("calls-*")
        return sorted(int(x) for log in logs for x in log.read_text().split())

    def lease_of(self, job: int) -> Path:
        (lease,) = self.plan.frozen.leases.glob(f"{self.plan.run_id}.{job}.*")
        return lease

    def squares(self) -> list[int]:
        self.run.here.merge(self.plan)
        columns = self.run.task.store.load(self.run.layout.result)
        assert list(columns["x"]) == list(range(24))
        return list(columns["y"])

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()


@pytest.fixture(params=["DistributeBackend", "LoadBalancingBackend"])
def jobs(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Jobs]:
    started = Jobs(tmp_path, request.param)
    yield started
    started.end()


SQUARES = [x**2 for x in range(24)]


def test_job_that_is_started_again_does_what_its_first_start_left(jobs: Jobs) -> None:
    first = jobs.start(0)
    eventually(lambda: len(jobs.calls()) == 6)
    jobs.kill(first)
    jobs.let_go()
    for job in (0, 1):
        assert jobs.start(job).wait(PATIENCE) == 0
    assert jobs.squares() == SQUARES
    # At most what was running or not yet written was done twice.
    assert len(jobs.calls()) <= 24 + 2 * 2
    assert list(jobs.plan.frozen.leases.glob("*")) == [] or jobs.lease_of(0)


@pytest.mark.parametrize("place", ["first", "last", "all"])
def test_claims_whose_content_a_power_loss_took_keep_no_job_from_its_work(
    tmp_path: Path, place: str
) -> None:
    jobs = Jobs(tmp_path, "LoadBalancingBackend")
    first = jobs.start(0)
    eventually(lambda: len(jobs.calls()) == 6)
    jobs.kill(first)
    jobs.let_go()
    claims = sorted(jobs.plan.frozen.plan_file.parent.glob("claims/*/[0-9]*"))
    damaged = {"first": claims[:1], "last": claims[-1:], "all": claims}[place]
    for claim in damaged:
        claim.write_bytes(b"")
    assert jobs.start(0).wait(PATIENCE) == 0
    assert f"{claims[-1]} is damaged: " in (tmp_path / "job-0.log").read_text() or place == "first"
    if place == "first":
        # Whose items these were is not known: the merge leaves them to a continuation.
        assert jobs.run.assess().n_done >= 24 - 2
    else:
        assert jobs.squares() == SQUARES
    jobs.end()


@pytest.mark.parametrize("n_tasks", [1, 2, 3])
def test_workers_that_are_replaced_do_all_of_what_they_took_over(
    tmp_path: Path, n_tasks: int
) -> None:
    source = f"{TASK}\nmax_tasks_per_child = {n_tasks}\n"
    jobs = Jobs(tmp_path, "LoadBalancingBackend", source)
    first = jobs.start(0)
    eventually(lambda: len(jobs.calls()) == 6)
    jobs.kill(first)
    before = {log.name for log in (tmp_path / "psy-tasks").glob("calls-*")}
    jobs.let_go()
    assert jobs.start(1).wait(PATIENCE) == 0
    assert jobs.run.assess().n_done == 24
    assert jobs.squares() == SQUARES
    for log in (tmp_path / "psy-tasks").glob("calls-*"):
        assert log.name in before or len(log.read_text().split()) <= n_tasks
    jobs.end()


def test_job_that_is_told_to_end_gives_its_claims_back(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, "LoadBalancingBackend")
    first = jobs.start(0)
    eventually(lambda: len(jobs.calls()) == 6)
    os.kill(first.pid, signal.SIGTERM)
    assert first.wait(PATIENCE) == 130
    assert jobs.lease_of(0).stat().st_mtime == 0
    jobs.let_go()
    assert jobs.start(1).wait(PATIENCE) == 0
    assert jobs.squares() == SQUARES
    assert jobs.calls() == list(range(24)), "nothing was lost, nothing done twice"
    jobs.end()


def test_claims_of_a_lost_host_are_taken_over_when_its_lease_is_old(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, "LoadBalancingBackend")
    first = jobs.start(0)
    eventually(lambda: len(jobs.calls()) == 6)
    jobs.kill(first)
    jobs.let_go()
    lease = jobs.lease_of(0)
    lease.write_text(lease.read_text().replace(f'"{os.uname().nodename}"', '"elsewhere"'))
    claimed = jobs.calls()
    assert jobs.start(1).wait(PATIENCE) == 0
    assert len(jobs.calls()) < 24 + len(claimed)
    before = jobs.run.assess().n_done
    long_ago = time.time() - 1000
    os.utime(lease, (long_ago, long_ago))
    # Whoever looks now finds it; here a job that comes late.
    assert jobs.start(1).wait(PATIENCE) == 0
    assert jobs.run.assess().n_done == 24 >= before
    assert jobs.squares() == SQUARES
    jobs.end()


def test_item_that_ends_every_job_is_not_handed_on_for_ever(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, "LoadBalancingBackend")
    path = tmp_path / "psy-work/t/plans" / jobs.plan.run_id / "code/task_t.py"
    (task_file,) = path.parents[1].rglob("task_t.py")
    source = task_file.read_text().replace(
        "    time.sleep(0.05)\n", "    if x == 3: os.kill(os.getppid(), 9); time.sleep(3600)\n"
    )
    task_file.write_text(source)
    jobs.let_go()
    statuses = []
    for job in range(7):
        statuses.append(jobs.start(job % 2).wait(PATIENCE))
        jobs.wait_until_gone()
    assert statuses[0] == -signal.SIGKILL
    assert statuses[-1] == 0, "the item was handed on for ever"
    assert jobs.calls().count(3) <= 5
    assert sorted(set(range(24)) - {3}) == sorted(set(jobs.calls()) - {3})
    jobs.end()


HALF_FAILS = """
import time
from psyflow import {backend}, Param

backend = {backend}
pspace = Param(x=range(24))
max_jobs = 2
max_failures = 3
retries = 1
retry_on = {{"error"}}

def execute(x, ctx):
    if x in (1, 2, 3):
        raise ValueError
    while x >= 12 and not ctx.should_stop():
        time.sleep(0.01)
    return {{"y": x**2}}
"""


def test_failures_of_other_jobs_count(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, "DistributeBackend", HALF_FAILS)
    slow = jobs.start(1)
    try:
        assert jobs.start(0).wait(PATIENCE) == TOO_MANY_FAILURES
        assert slow.wait(PATIENCE) == TOO_MANY_FAILURES
    finally:
        jobs.end()
    assert "3 items have failed: stopping early." in (tmp_path / "job-1.log").read_text()
    assert jobs.run.here.merge(jobs.plan).tally[State.FAILED] == 3
    # One that begins only now does not begin its work.
    assert jobs.start(1).wait(PATIENCE) == TOO_MANY_FAILURES
    assert jobs.run.here.merge(jobs.plan).tally[State.DONE] < 12
