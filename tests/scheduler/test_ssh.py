"""Hosts reached by a real SSH server: the conformance suite, hosts that fail, whole runs."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from psyflow.exceptions import HostWarning, SchedulerError, UsageError
from psyflow.scheduler import JobStatus, Ssh
from psyflow.scheduler.remedies import Remedy
from psyflow.scheduler.ssh.spool import Spool, SpooledJob
from psyflow.testing import SchedulerTests
from psyflow.testing.schedulers import until
from tests.support.place import Place
from tests.support.processes import children_of

from .page_runs import check_task_file
from .private_sshd import PrivateSshd, end_runners, runners
from .reused_ids import check_reused_ids

PATIENCE = 300
HEAD = """
import os, time
from pathlib import Path
from psyflow import LoadBalancingBackend, Param
from psyflow.scheduler import JobStatus, Ssh
from psyflow.scheduler.remedies import Remedy
from psyflow.scheduler.ssh.spool import Spool, SpooledJob

HERE = Path(__file__).parent
scheduler = Ssh({hosts}, workdir={spool!r}, ssh={ssh!r})
max_jobs = 4
"""
SQUARE = 'pspace = Param(x=range(20))\ndef execute(x):\n    return {"y": x**2}\n'


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "spool of 'jobs'"
    yield folder
    end_runners(folder)


@pytest.fixture
def ssh(sshd: PrivateSshd, spool: Path) -> Ssh:
    return Ssh({"node1": 2, "node2": 2}, spool, sshd.ssh)


class TestSsh(SchedulerTests):
    @pytest.fixture
    def scheduler(self, ssh: Ssh) -> Ssh:
        return ssh


def submit(ssh: Ssh, tmp_path: Path, program: str, **scheduler_args: object) -> str:
    return ssh.submit(["sh", "-c", program], tmp_path / "log", "t:job", None, scheduler_args)


def test_a_job_without_a_host_that_takes_it(
    sshd: PrivateSshd, spool: Path, tmp_path: Path
) -> None:
    ssh = Ssh({"node1": 1}, spool, sshd.ssh)
    # As if all hosts were restarted.
    log, environment, folder = str(tmp_path / "log"), dict(os.environ), Spool(spool)
    job = folder.add(SpooledJob(("true",), log, "t", str(tmp_path), environment))
    folder.hosts.set_slots("node1", 1)
    remedy = ssh.remedy(ssh.get_statuses([job])[job])
    assert remedy is not None
    assert remedy.why == "needs a host that takes jobs, and none does any more"
    subprocess.run(shlex.split(remedy.command), check=True)
    wait_for(ssh, job, "D")
    assert ssh.remedy(JobStatus(job, "Q", "t", "no host has 9 slots")) == Remedy(
        "asks for too much: no host has 9 slots"
    )


def wait_for(ssh: Ssh, jobid: str, state: str) -> None:
    def there() -> bool:
        status = ssh.get_status(jobid)
        return status is not None and status.status == state

    until(there, f"{jobid} is {state}", PATIENCE)


def test_host_that_does_not_answer_is_left_out(
    sshd: PrivateSshd, spool: Path, tmp_path: Path
) -> None:
    ssh = Ssh({"closed": 4, "node1": 1}, spool, sshd.ssh)
    with pytest.warns(HostWarning, match="closed takes no jobs.*refused") as caught:
        jobs = [submit(ssh, tmp_path, "true") for _ in range(3)]
    assert len(caught) == 1
    for job in jobs:
        wait_for(ssh, job, "D")


def test_no_host_answers(sshd: PrivateSshd, spool: Path, tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match=r"ssh -F .* closed true(.|\n)*refused"):
        submit(Ssh(["closed"], spool, sshd.ssh), tmp_path, "touch began")
    # Later, when a host answers, nobody waits for that job any more.
    ssh = Ssh(["node1"], spool, sshd.ssh)
    wait_for(ssh, submit(ssh, tmp_path, "true"), "D")
    assert ssh.get_statuses(["1"])["1"].status == "C"
    assert not (tmp_path / "began").exists()


@pytest.mark.parametrize(
    ("hosts", "match"),
    [([], "at least one"), (["-oProxyCommand=x"], "no host"), ({"a": 0}, "number above 0")],
)
def test_hosts_that_make_no_sense(hosts: object, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        Ssh(hosts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("args", "match"),
    [
        ({"n_cpus": 3}, "no host has more than 2"),
        ({"n_cpus": "many"}, "whole number"),
        ({"timelimit": "soon"}, "hours:minutes:seconds"),
        ({"timelimt": 1}, "timelimit"),
    ],
)
def test_arguments_that_make_no_sense(args: dict[str, object], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        Ssh({"a": 2, "b": 1}).check_args(args)


def test_slots_are_not_overfilled_and_n_cpus_takes_several(
    sshd: PrivateSshd, spool: Path, tmp_path: Path
) -> None:
    ssh = Ssh({"node1": 2}, spool, sshd.ssh)
    log = tmp_path / "log"
    # The first of those that fit beside each other waits for the second.
    meets = (
        "test $(grep -c end log) != 3 || until test $(grep -c begin log) -ge 5; do sleep 0.1; done"
    )
    words = ["sh", "-c", f"cd '{tmp_path}'; echo begin; sleep 0.4; {meets}; echo end"]
    ssh.submit_array(3, words, log, scheduler_args={"n_cpus": 2})
    array = ssh.submit_array(4, words, log, scheduler_args={"n_cpus": 1})
    wait_for(ssh, array, "D")
    told = log.read_text().split()
    assert told[:6] == ["begin", "end"] * 3
    at_once = [told[: i + 1].count("begin") - told[: i + 1].count("end") for i in range(6, 14)]
    assert max(at_once) == 2


def test_time_limit_is_the_reason(ssh: Ssh, tmp_path: Path) -> None:
    assert ssh.time_limit({"timelimit": "0:30"}) == 30
    job = submit(ssh, tmp_path, "sleep 600", timelimit="1s")
    wait_for(ssh, job, "F")
    assert ssh.get_statuses([job])[job].reason == "timeout"
    assert ssh.exit_code(job) == -signal.SIGTERM


def test_program_that_does_not_exist(ssh: Ssh, tmp_path: Path) -> None:
    job = ssh.submit(["no-such-program"], tmp_path / "log")
    wait_for(ssh, job, "F")
    assert "no-such-program" in ssh.get_statuses([job])[job].reason


def test_a_run_waits_for_a_job_that_makes_the_data(
    sshd: PrivateSshd, ssh: Ssh, spool: Path, tmp_path: Path
) -> None:
    gate, data, place = tmp_path / "gate", tmp_path / "data", Place(tmp_path)
    wait = f"while [ ! -e {gate} ]; do sleep 0.1; done; echo 7 > {data}"
    job = submit(ssh, tmp_path, wait)
    head = HEAD.format(hosts=["node1"], spool=str(spool), ssh=sshd.ssh)
    read = f"int(open({str(data)!r}).read())"
    body = f"pspace = Param(x=[1])\ndef execute(x):\n    return {{'y': {read}}}\n"
    place.task("t", head + f"scheduler_args = dict(dependency={job!r})\n" + body)
    assert place.program("run", "t").returncode == 0
    first, *_ = json.loads(place.call("status", "--json", "t").stdout)["t"]["job_details"]
    assert (first["name"], first["state"], first["reason"]) == ("t:split", "held", "Dependency")
    gate.touch()
    assert place.program("run", "--wait", "t").returncode == 0
    assert place.result("t")["y"] == [7]
    # It is over, and may be named still; a job that never was is no job to wait for.
    wait_for(ssh, submit(ssh, tmp_path, "true", dependency=[job]), "D")
    with pytest.raises(SchedulerError, match="knows no job 999 to wait for"):
        submit(ssh, tmp_path, "true", dependency=["999"])
    with pytest.raises(UsageError, match="dependency"):
        submit(ssh, tmp_path, "true", dependency="afterok:1")


def test_the_folder_of_the_submission_may_be_gone(
    ssh: Ssh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, folder = tmp_path / "gate", tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    first = submit(ssh, tmp_path, f"while [ ! -e {gate} ]; do sleep 0.1; done")
    job = submit(ssh, tmp_path, f"pwd > {tmp_path}/where", dependency=first)
    monkeypatch.chdir(tmp_path)
    folder.rmdir()
    gate.touch()
    wait_for(ssh, job, "D")
    assert (tmp_path / "where").read_text().strip() == "/"


def test_what_a_job_leaves_behind_is_ended(ssh: Ssh, tmp_path: Path) -> None:
    job = submit(ssh, tmp_path, f"sleep 600 & echo $! > {tmp_path}/pid; exit 3")
    wait_for(ssh, job, "F")
    wait_until_gone(int((tmp_path / "pid").read_text()))
    assert ssh.exit_code(job) == 3


def test_jobs_of_a_host_that_dies_begin_anew_on_another(
    sshd: PrivateSshd, spool: Path, tmp_path: Path
) -> None:
    submit_to_one = Ssh({"node1": 1}, spool, sshd.ssh)
    begin = f"echo $$ >> {tmp_path}/pids; test $(wc -l < {tmp_path}/pids) = 2 || sleep 600"
    job = submit(submit_to_one, tmp_path, begin)
    wait_for(submit_to_one, job, "R")
    pids = tmp_path / "pids"
    until(lambda: pids.exists() and pids.read_text(), "the job has begun", PATIENCE)
    for pid in [*runners(spool), int(pids.read_text())]:
        # The guard of a runner ends its jobs, too.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(submit_to_one, job, "Q")
    assert submit_to_one.get_statuses([job])[job].reason == "no host is at work"
    other = Ssh({"node2": 1}, spool, sshd.ssh)
    wait_for(other, submit(other, tmp_path, "true"), "D")
    wait_for(other, job, "D")
    assert len((tmp_path / "pids").read_text().split()) == 2


def test_jobs_do_not_outlive_a_runner_that_is_killed(
    sshd: PrivateSshd, spool: Path, tmp_path: Path
) -> None:
    ssh = Ssh({"node1": 1}, spool, sshd.ssh)
    # The job kills it at once, before the runner can do anything more about it.
    begin = f"sleep 600 & echo $! > {tmp_path}/pid.new; mv {tmp_path}/pid.new {tmp_path}/pid"
    job = submit(ssh, tmp_path, f"{begin}; kill -9 $PPID; wait")
    until((tmp_path / "pid").exists, "the job has begun", PATIENCE)
    wait_until_gone(int((tmp_path / "pid").read_text()))
    until(lambda: ssh.get_statuses([job])[job].status == "Q", "the job waits again", PATIENCE)


def test_job_runs_although_the_guard_of_its_runner_was_killed(
    sshd: PrivateSshd, spool: Path, tmp_path: Path
) -> None:
    ssh = Ssh({"node1": 1}, spool, sshd.ssh)
    wait_for(ssh, submit(ssh, tmp_path, "true"), "D")
    [runner] = runners(spool)
    [guard] = children_of(runner)
    os.kill(guard, signal.SIGKILL)
    wait_until_gone(guard)
    job = submit(ssh, tmp_path, "true")
    wait_for(ssh, job, "D")
    assert ssh.exit_code(job) == 0
    assert runners(spool) == [runner]


def wait_until_gone(pid: int) -> None:
    def is_gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
        except FileNotFoundError:
            return True

    until(is_gone, "the process is gone", PATIENCE)


def test_runner_that_is_told_to_end_gives_its_jobs_back(ssh: Ssh, tmp_path: Path) -> None:
    begin = f"echo >> {tmp_path}/began; test $(wc -l < {tmp_path}/began) = 2 || sleep 600"
    job = submit(ssh, tmp_path, begin)
    until((tmp_path / "began").exists, "the job has begun", PATIENCE)
    claim = next(Path(ssh.workdir).glob("jobs/1/claim-0-1"))
    lease = json.loads((Path(ssh.workdir) / "hosts" / claim.read_text()).read_text())
    os.kill(lease["pid"], signal.SIGTERM)
    wait_until_gone(lease["pid"])
    wait_for(ssh, job, "D")
    assert (tmp_path / "began").read_text() == "\n\n"
    again = next(Path(ssh.workdir).glob("jobs/1/claim-0-2"))
    assert again.read_text() != claim.read_text()


def test_damaged_job_holds_up_nobody(ssh: Ssh, tmp_path: Path, spool: Path) -> None:
    wait_for(ssh, submit(ssh, tmp_path, "true"), "D")
    (spool / "jobs/2.json").write_text("")
    third = submit(ssh, tmp_path, "true")
    wait_for(ssh, third, "D")
    assert len(runners(spool)) == 2


def test_runners_end_when_there_is_nothing_to_do(
    ssh: Ssh, tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(ssh, tmp_path, "true")
    wait_for(ssh, job, "D")
    assert len(runners(spool)) == 2
    until(lambda: not runners(spool), "the runners have ended", PATIENCE)
    again = submit(ssh, tmp_path, "true")
    wait_for(ssh, again, "D")


def place_with(tmp_path: Path, sshd: PrivateSshd, spool: Path, source: str) -> Place:
    place = Place(tmp_path)
    hosts = {"node1": 2, "closed": 2, "node2": 2}
    (tmp_path / "signal.py").write_text("raise RuntimeError(__file__)")
    place.task("t", HEAD.format(hosts=hosts, spool=str(spool), ssh=sshd.ssh) + source)
    return place


def status(place: Place) -> dict[str, object]:
    report: dict[str, object] = json.loads(place.call("status", "--json", "t").stdout)["t"]
    return report


def wait_until_over(place: Place) -> None:
    until(lambda: not status(place)["jobs"], "no job is at work", PATIENCE)


def test_run_returns_and_the_work_goes_on(sshd: PrivateSshd, spool: Path, tmp_path: Path) -> None:
    place = place_with(tmp_path, sshd, spool, SQUARE)
    with place.start("run") as psy:
        _out, err = psy.communicate(timeout=120)
    assert psy.returncode == 0, err
    assert err.count("closed takes no jobs") == 1
    with pytest.raises(ProcessLookupError):
        os.killpg(psy.pid, signal.SIGHUP)
    wait_until_over(place)
    assert place.result("t")["y"] == [x**2 for x in range(20)]


def test_kill_ends_the_run_and_the_next_goes_on(
    sshd: PrivateSshd, spool: Path, tmp_path: Path, ssh: Ssh
) -> None:
    foreign = submit(ssh, tmp_path, "sleep 600")
    place = place_with(
        tmp_path,
        sshd,
        spool,
        "pspace = Param(x=range(8))\n"
        "backend = LoadBalancingBackend\n"
        "def execute(x):\n"
        '    (HERE / f"{x} {time.time()}").touch()\n'
        '    if x > 1 and not (HERE / "go").exists():\n'
        "        time.sleep(600)\n"
        '    return {"y": x**2}\n',
    )
    assert place.program("run").returncode == 0
    until(lambda: status(place)["n_done"] == 2, "two items are done", PATIENCE)
    killed = place.program("kill", "-y", "t")
    assert killed.returncode == 0, killed.stderr
    assert not status(place)["jobs"]
    assert ssh.get_statuses([foreign])[foreign].status == "R"
    (place.folder / "psy-tasks/go").touch()
    place.program("run")
    wait_until_over(place)
    assert place.result("t")["y"] == [x**2 for x in range(8)]
    calls = [p.name.split()[0] for p in (place.folder / "psy-tasks").glob("[0-9]* *")]
    assert calls.count("0") == calls.count("1") == 1
    ssh.kill(foreign)
    wait_for(ssh, foreign, "C")


def test_host_that_dies_gives_its_items_back(
    sshd: PrivateSshd, spool: Path, tmp_path: Path
) -> None:
    place = place_with(
        tmp_path,
        sshd,
        spool,
        "pspace = Param(x=range(40))\n"
        "backend = LoadBalancingBackend\n"
        "def execute(x):\n"
        "    time.sleep(0.1)\n"
        '    while x >= 20 and not (HERE / "go").exists():\n'
        "        time.sleep(0.05)\n"
        '    return {"y": x**2}\n',
    )
    place.program("run")
    until(lambda: int(str(status(place)["n_done"])) > 4, "it has begun", PATIENCE)
    leases = [json.loads(p.read_text()) for p in spool.glob("hosts/node2.lease-*")]
    children = Path(f"/proc/{leases[0]['pid']}/task/{leases[0]['pid']}/children").read_text()
    assert children
    os.kill(leases[0]["pid"], signal.SIGKILL)
    for child in children.split():
        # The guard, which is one of them, may have ended the others.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(child), signal.SIGKILL)
    (place.folder / "psy-tasks/go").touch()
    wait_until_over(place)
    place.program("run")
    wait_until_over(place)
    assert place.result("t")["y"] == [x**2 for x in range(40)]


def test_task_file_of_the_page(
    sshd: PrivateSshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (program := tmp_path / "bin" / "ssh").parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} {shlex.join(sshd.ssh[1:])} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    try:
        check_task_file("ssh", Place(tmp_path))
    finally:
        end_runners(tmp_path / ".psyflow/ssh")


def test_job_of_another_name_is_somebody_elses(
    sshd: PrivateSshd, spool: Path, tmp_path: Path
) -> None:
    hosts = {"node1": 4, "node2": 4}
    made = f"Ssh({hosts}, workdir={str(spool)!r}, ssh={sshd.ssh!r})"
    scheduler = Ssh(hosts, workdir=spool, ssh=sshd.ssh)
    head = f"from psyflow.scheduler import Ssh\nscheduler = {made}"
    check_reused_ids(Place(tmp_path), scheduler, head)
