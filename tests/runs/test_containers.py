"""Containers of one host name: a process that cannot be seen is alive as long as its lease is."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import psyflow.cli.commands.kill
from psyflow.main import psy_main
from psyflow.system.lease import LEASE_SECONDS
from psyflow.system.owner import Owner
from tests.durability.requirements import need_namespaces
from tests.support.processes import MARK, PATIENCE, children_of, eventually, without_rows
from tests.support.study import Study

from .test_requeue import SQUARES, TASK, Jobs

CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
"""A PID namespace: as a container it has this host's name, and its processes other numbers."""

WAITS = """
pspace = Param(x=range(6))
pool_size = 2

def execute(x):
    note(x=x)
    while not (LOG.parent / "go").exists():
        time.sleep(0.01)
    return {"y": x**2}
"""


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    need_namespaces(CONTAINER)


class Containers:
    """Containers that see one study."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self._begun: list[subprocess.Popen[str]] = []

    def begin(self, *words: str) -> subprocess.Popen[str]:
        container = subprocess.Popen(
            [*CONTAINER, sys.executable, "-m", "psyflow", *words],
            cwd=self.study.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, MARK: str(self.study.folder)},
        )
        self._begun.append(container)
        return container

    def psy(self, *words: str) -> tuple[int, str]:
        """Return the exit status and the messages of `psy` in a container of its own."""
        container = self.begin(*words)
        _, err = container.communicate(timeout=PATIENCE)
        return container.returncode, without_rows(err)

    def end(self) -> None:
        for container in self._begun:
            container.kill()
            container.communicate()


@pytest.fixture
def containers(study: Study) -> Iterator[Containers]:
    study.task(WAITS)
    begun = Containers(study)
    yield begun
    begun.end()


def signs_of_life(study: Study) -> list[Path]:
    run = study.folder / "psy-work/t"
    return [*run.glob("hold/[0-9]*"), *run.glob("plans/*/leases/[!.]*")]


def let_run_out(signs: list[Path]) -> None:
    then = time.time() - 2 * LEASE_SECONDS
    for sign in signs:
        os.utime(sign, (then, then))


HELD = (
    rf'"t" is held by process \d+ on {re.escape(socket.gethostname())} '
    r"\(another container or boot\) since \d{4}-.*that is known 120 s after its last sign"
)


def test_second_container_says_who_holds_the_study_and_leaves(containers: Containers) -> None:
    study = containers.study
    first = containers.begin("run")
    study.wait_for_calls(2)
    status, err = containers.psy("run")
    assert status == 3
    assert re.search(HELD, err), err
    (study.folder / "go").touch()
    assert first.wait(PATIENCE) == 0, study.logs()
    assert sorted(study.calls()) == [f"[('x', {x})]" for x in range(6)], "each once"
    assert study.rows() == [(x, x**2) for x in range(6)]
    assert containers.psy("run") == (0, "")


def test_what_a_killed_container_left_is_taken_up_when_its_lease_has_run_out(
    containers: Containers,
) -> None:
    study = containers.study
    first = containers.begin("run")
    study.wait_for_calls(2)
    eventually(lambda: list(study.folder.glob("psy-work/t/plans/*/leases/[!.]*")))
    (inner,) = children_of(first.pid)
    # The number of a namespace that is gone is given to the next one, which then sees rightly that
    # nobody is alive in it.
    with Path(f"/proc/{inner}/ns/pid").open("rb"):
        first.kill()
        first.wait()
        eventually(lambda: not study.processes())
        (study.folder / "go").touch()
        status, err = containers.psy("run")
        assert status == 3
        assert re.search(HELD, err), err
        hold, *leases = signs_of_life(study)
        assert leases
        let_run_out([hold])
        status, err = containers.psy("run")
        assert "has jobs at work: process" in err and "(another container or boot)" in err
        assert len(study.calls()) == 2, "nothing was evaluated"
        let_run_out(signs_of_life(study))
        assert containers.psy("run")[0] == 0
    assert study.rows() == [(x, x**2) for x in range(6)]


def test_kill_signals_no_number_of_another_container(
    containers: Containers, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    study = containers.study
    first = containers.begin("run")
    study.wait_for_calls(2)
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    monkeypatch.setattr(psyflow.cli.commands.kill, "PATIENCE", 0.0)
    monkeypatch.chdir(study.folder)
    assert psy_main(["kill", "-y", "t"]) == 3
    monkeypatch.undo()
    assert [pid for pid, number in sent if number] == []
    err = capfd.readouterr().err
    assert re.search(r"end process \d+ on .* \(another container or boot\) there", err), err
    assert "ssh" not in err, "the number is another process's there"
    (study.folder / "go").touch()
    assert first.wait(PATIENCE) == 0


def test_jobs_in_containers_take_no_claim_of_one_another(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, "LoadBalancingBackend", TASK.replace("x >= 4", "x == 0"))
    try:
        first = jobs.start(0, CONTAINER)
        eventually(lambda: 0 in jobs.calls())
        assert jobs.start(1, CONTAINER).wait(PATIENCE) == 0
        assert jobs.calls().count(0) == 1
        jobs.let_go()
        assert first.wait(PATIENCE) == 0
    finally:
        jobs.end()
    assert jobs.calls() == list(range(24))
    assert jobs.squares() == SQUARES


OTHER = "20260101T000000-cafe00"
ANOTHER_BEGINS = f"""
import json
pspace = Param(x=range(4))

def execute(x):
    run = LOG.parent / "psy-work/t"
    if x == 3:
        (plan,) = run.glob("plans/*")
        leases = run / "plans/{OTHER}/leases"
        leases.mkdir(parents=True)
        (lease,) = plan.glob("leases/[!.]*")
        owner = {{**json.loads(lease.read_text()), "table": "of another container"}}
        (leases / "{OTHER}.0.cafe").write_text(json.dumps(owner))
        (run / "out/{OTHER}.0.cafe.0-0.rows").write_bytes(b"")
    return {{"y": x**2}}
"""


def test_merge_leaves_shards_and_plan_of_a_job_that_lives_elsewhere(study: Study) -> None:
    study.task(ANOTHER_BEGINS)
    study.psy("run")
    run = study.folder / "psy-work/t"
    shard, lease = (
        run / f"out/{OTHER}.0.cafe.0-0.rows",
        run / f"plans/{OTHER}/leases/{OTHER}.0.cafe",
    )
    assert [path.name for path in run.glob("out/*")] == [shard.name]
    assert Owner.from_fields(json.loads(lease.read_text())).is_dead() is None
    study.psy("run")
    assert shard.exists() and lease.exists()
    let_run_out([lease])
    study.psy("run")
    assert not shard.exists()
