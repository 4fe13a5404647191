"""Slurm as it is: two nodes, no accounting."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from psyflow.exceptions import SchedulerError, UnknownNameError, UsageError
from psyflow.scheduler import Slurm
from psyflow.scheduler.slurm_options import canonical_option
from psyflow.scheduler.slurm_texts import parse_scontrol
from psyflow.testing.schedulers import SchedulerTests, until

from .private_slurm import MAX_ARRAY_SIZE, PrivateSlurm


class TestSlurm(SchedulerTests):
    @pytest.fixture
    def scheduler(self, slurm: PrivateSlurm) -> Slurm:
        return Slurm()


@pytest.fixture
def scheduler(slurm: PrivateSlurm) -> Slurm:
    return Slurm()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def states(scheduler: Slurm, *jobids: str) -> str:
    return " ".join(status.status for status in scheduler.get_statuses(jobids).values())


def test_every_option_of_sbatch_is_known(slurm: PrivateSlurm) -> None:
    options = re.findall(r"(?<=--)[a-z][a-z-]+", slurm.client("sbatch", "--help"))
    assert len(options) > 80
    for option in options:
        try:
            canonical_option(option)
        except UnknownNameError as error:
            pytest.fail(str(error))
        except UsageError as error:
            assert "set by psyflow itself" in str(error)


def test_options_arrive(scheduler: Slurm, slurm: PrivateSlurm, log: Path) -> None:
    options = {
        "timelimit": "0:30:00",
        "memory_per_cpu": lambda job: "100M" if job == "t:x" else "1T",
        "n_cpus": 2,
        "partition": "debug",
        "comment": "it's $HOME",
        "nice": 7,
        "no_requeue": True,
        "exclude": ["n1"],
        "hold": True,
    }
    job = scheduler.submit(["true"], log, "t:x", None, options)
    told = slurm.client("scontrol", "-o", "show", "job", job)
    for fact in (
        *("TimeLimit=00:30:00", "MinMemoryCPU=100M", "CPUs/Task=2", "Partition=debug", "Nice=7"),
        *(
            "Comment=it's $HOME",
            "Requeue=0",
            "ExcNodeList=n1",
            "Reason=JobHeldUser",
            "JobName=t:x",
        ),
    ):
        assert f" {fact} " in told
    assert states(scheduler, job) == "*Q"
    assert parse_scontrol(told) == {job: (job, "*Q", "t:x")}
    scheduler.kill(job)
    assert states(scheduler, job) == "C"


def test_refused_submission_says_why(scheduler: Slurm, log: Path) -> None:
    with pytest.raises(SchedulerError, match="invalid partition specified: nosuch"):
        scheduler.submit(["true"], log, "t", None, {"partition": "nosuch"})
    assert scheduler.get_jobs() == []


def test_array_may_be_as_large_as_the_cluster_says(scheduler: Slurm, log: Path) -> None:
    assert scheduler.max_array_size() == MAX_ARRAY_SIZE
    args = {"hold": True}
    array = scheduler.submit_array(MAX_ARRAY_SIZE, ["true"], log, "t:process", None, args)
    member = f"{array}_{MAX_ARRAY_SIZE - 1}"
    assert scheduler.get_status(member) == (member, "*Q", f"t:process:{MAX_ARRAY_SIZE - 1}")
    assert scheduler.get_status(array) == (array, "*Q", "t:process")
    assert scheduler.get_status(f"{array}_{MAX_ARRAY_SIZE}") is None
    with pytest.raises(SchedulerError, match="Invalid job array specification"):
        scheduler.submit_array(MAX_ARRAY_SIZE + 1, ["true"], log, "t:process", None, args)
    scheduler.kill(array)


def test_log_with_a_backslash(scheduler: Slurm, tmp_path: Path) -> None:
    log = tmp_path / "a\\b%j.log"
    scheduler.submit(["echo", "hello"], log, "t")
    until(lambda: log.exists() and log.read_text() == "hello\n", "the log is there", 20)


def test_one_member_is_killed_the_rest_goes_on(
    scheduler: Slurm, slurm: PrivateSlurm, log: Path
) -> None:
    foreign = slurm.client("sbatch", "--parsable", "-o", "/dev/null", "--hold", "--wrap=true")
    foreign = foreign.strip()
    array = scheduler.submit_array(3, ["sleep", "60"], log, "a", None, {"max_running": 2})
    merge = scheduler.submit(["true"], log, "merge", [array])
    members = [f"{array}_{i}" for i in range(3)]
    until(lambda: states(scheduler, *members) == "R R Q", "two members run", 20)
    assert states(scheduler, merge, array) == "*Q R"
    assert set(scheduler.get_jobs(of_user=True)) >= {foreign, array, merge}
    scheduler.kill(members[0])
    until(lambda: states(scheduler, *members) == "C R R", "the third member runs", 20)
    assert states(scheduler, merge, array) == "*Q R"
    scheduler.kill_jobs(scheduler.get_jobs())
    until(lambda: states(scheduler, array, merge) == "C C", "all are killed", 20)
    assert states(scheduler, foreign) == "*Q", "a foreign job was killed"
    scheduler.kill(foreign)


def test_merge_runs_after_failures_and_kills(scheduler: Slurm, log: Path, tmp_path: Path) -> None:
    array = scheduler.submit_array(2, ["sh", "-c", "exit %a"], log, "a")
    killed = scheduler.submit(["true"], log, "k", None, {"hold": True})
    merge = scheduler.submit(["touch", tmp_path / "merged"], log, "merge", [array, killed])
    scheduler.kill(killed)
    until((tmp_path / "merged").exists, "the merge job has run", 20)
    until(lambda: states(scheduler, array, killed, merge) == "F C D", "all are over", 20)


def test_filters_of_the_user_hide_nothing(
    scheduler: Slurm, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = scheduler.submit(["true"], log, "t", None, {"hold": True})
    for name, value in [("USERS", "nobody"), ("STATES", "RUNNING"), ("PARTITION", "x")]:
        monkeypatch.setenv(f"SQUEUE_{name}", value)
    monkeypatch.setenv("SQUEUE_FORMAT", "%j")
    told = scheduler.parse_status(scheduler.query(scheduler.status_command([job])))
    assert told == {job: (job, "*Q", "t")}
    scheduler.kill(job)


def test_scontrol_answers_like_squeue(scheduler: Slurm, slurm: PrivateSlurm, log: Path) -> None:
    array = scheduler.submit_array(3, ["sh", "-c", "exit %a"], log, "a|b c", None, None)
    until(lambda: states(scheduler, array) == "F", "the array is over", 20)
    told = slurm.client("scontrol", "-o", "show", "job", array)
    assert parse_scontrol(told) == scheduler.look_up([array])
