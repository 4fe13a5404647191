"""PBS and LSF, by programs on PATH that answer as theirs do and really run the jobs."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psyflow.exceptions import SchedulerError, UsageError
from psyflow.scheduler import LSF, PBS, JobStatus
from psyflow.scheduler.batch import BatchScheduler
from psyflow.testing.schedulers import SchedulerTests, until
from tests.support.place import Place

from .fake_cluster import command_of, end
from .page_runs import check_task_file
from .reused_ids import check_reused_ids

PROGRAMS = {"pbs": ("qsub", "qstat", "qdel"), "lsf": ("bsub", "bjobs", "bkill", "bparams", "lsid")}
CLASSES = {"pbs": PBS, "lsf": LSF}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Both clusters' programs on PATH."""
    programs, state = tmp_path / "bin", tmp_path / "state"
    for folder in (programs, state):
        folder.mkdir()
    for cluster, names in PROGRAMS.items():
        fake = shlex.join(command_of(f"fake_{cluster}"))
        for name in names:
            (programs / name).write_text(f'#!/bin/sh\nexec {fake} {name} "$@"\n')
            (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_CLUSTER", str(state))
    yield state
    end(state)


class TestPBS(SchedulerTests):
    @pytest.fixture
    def scheduler(self, install: Path) -> PBS:
        return PBS()


class TestLSF(SchedulerTests):
    @pytest.fixture
    def scheduler(self, install: Path) -> LSF:
        return LSF()


@pytest.fixture(params=["pbs", "lsf"])
def scheduler(request: pytest.FixtureRequest, install: Path) -> BatchScheduler:
    made: BatchScheduler = CLASSES[request.param]()
    return made


def states(scheduler: BatchScheduler, *jobids: str) -> str:
    return " ".join(status.status for status in scheduler.get_statuses(jobids).values())


def test_one_member_is_killed_the_rest_goes_on(scheduler: BatchScheduler, tmp_path: Path) -> None:
    log = tmp_path / "log"
    foreign = scheduler.submit(["sleep", "600"], log, "foreign")
    array = scheduler.submit_array(3, ["sleep", "600"], log, "a:b", None, {"max_running": 2})
    merge = scheduler.submit(["true"], log, "merge", [array])
    members = [f"{array}_{i}" for i in range(3)]
    until(lambda: states(scheduler, *members) == "R R Q", "two members run", 180)
    assert states(scheduler, array) == "R"
    assert states(scheduler, merge) in ("*Q", "Q")
    scheduler.kill(members[0])
    until(lambda: states(scheduler, *members) == "C R R", "the third runs", 180)
    scheduler.kill_jobs([merge, array])
    until(lambda: states(scheduler, *members, merge) == "C C C C", "all are killed", 180)
    assert states(scheduler, foreign) == "R", "a foreign job was killed"
    scheduler.kill(foreign)
    until(lambda: states(scheduler, foreign) == "C", "it is gone", 180)


def test_array_of_one(scheduler: BatchScheduler, tmp_path: Path) -> None:
    log = f"{tmp_path}/log %a"
    array = scheduler.submit_array(1, ["echo", "<%a>"], log, "a")
    until(lambda: states(scheduler, f"{array}_0", array) == "D D", "it is done", 180)
    assert (tmp_path / "log 0").read_text() == "<0>\n"


def test_refused_submission_says_why(scheduler: BatchScheduler, tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match=r"Unknown queue|No such queue"):
        scheduler.submit(["true"], tmp_path / "log", "t", None, {"queue": "nosuch"})
    with pytest.raises(UsageError):
        scheduler.check_args({"hold": 1})


def test_forgotten_jobs_are_unknown_and_the_others_known(
    scheduler: BatchScheduler, tmp_path: Path
) -> None:
    job = scheduler.submit(["false"], tmp_path / "log", "t")
    until(lambda: states(scheduler, job, "4711") == "F ?", "it has failed", 180)
    assert scheduler.get_statuses([job])[job].reason == "exit code 1"


def test_limits_of_time_and_arrays(install: Path) -> None:
    assert PBS().time_limit({"timelimit": "1:00:00"}) == 3600
    assert LSF().time_limit({"timelimit": 90}) == 5400
    assert PBS().max_array_size() == 500
    assert LSF().max_array_size() == 1000


def test_lsf_takes_no_lines_of_its_own(install: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="#BSUB"):
        LSF().submit(["echo", "a\n #BSUB -q x"], tmp_path / "log")


@pytest.mark.parametrize("name", ["PBS", "LSF"])
def test_whole_run(name: str, install: Path, tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.task(
        "t",
        "from psyflow import Param\n"
        f"from psyflow.scheduler import {name}\n"
        f"scheduler = {name}()\n"
        "max_jobs = 3\n"
        "pspace = Param(x=range(9))\n"
        'def execute(x):\n    return {"y": x**2}\n',
    )
    assert place.program("run", "--wait").returncode == 0
    assert place.result("t") == {"x": list(range(9)), "y": [x**2 for x in range(9)]}
    assert json.loads(place.call("status", "--json").stdout)["t"]["job_states"] == {"done": 5}


@pytest.mark.parametrize(
    ("job", "state", "reason"),
    [
        ({"job_state": "F", "Exit_status": -29}, "F", "timeout"),
        ({"job_state": "F", "Exit_status": -27}, "F", "oom"),
        ({"job_state": "F", "comment": "Job deleted as result"}, "C", "Job deleted as result"),
        ({"job_state": "F", "substate": 91}, "C", ""),
        ({"job_state": "F", "substate": 91, "Exit_status": 0}, "C", ""),
        ({"job_state": "M"}, "?", ""),
        ({"job_state": "B"}, "R", ""),
        ({"job_state": "Q", "comment": "Not enough nodes"}, "Q", "Not enough nodes"),
    ],
)
def test_states_of_pbs(job: dict[str, object], state: str, reason: str) -> None:
    (status,) = PBS().parse_status(json.dumps({"Jobs": {"7.s": job}})).values()
    assert (status.id, status.status, status.reason) == ("7.s", state, reason)


@pytest.mark.parametrize(
    ("row", "state", "reason"),
    [
        ("7|0|EXIT|140|TERM_RUNLIMIT: killed after run limit|t", "F", "timeout"),
        ("7|0|EXIT|137|TERM_MEMLIMIT: killed|t", "F", "oom"),
        ("7|0|ZOMBI|-|-|t", "?", ""),
        ("7|0|UNKWN|-|-|t", "?", ""),
        ("7|0|PSUSP|-|-|t", "*Q", ""),
    ],
)
def test_states_of_lsf(row: str, state: str, reason: str) -> None:
    (status,) = LSF().parse_status(row).values()
    assert (status.id, status.status, status.reason) == ("7", state, reason)


def test_server_of_pbs_belongs_to_the_id() -> None:
    scheduler = PBS()
    array = scheduler.parse_job_id("12[].my_server\n")
    assert scheduler.kill_command([array, f"{array}_3"]) == [
        "qdel",
        "12[].my_server",
        "12[3].my_server",
    ]
    request = scheduler.request(["x"], "/tmp/log", "t:merge", ["11.my~server", array])
    assert "depend=afterany:11.my_server:12[].my_server" in scheduler.submit_command(request)
    told = json.dumps({"Jobs": {"12[3].my_server": {"job_state": "R", "Job_Name": "t=p"}}})
    member = f"{array}_3"
    assert scheduler.parse_status(told) == {member: (member, "R", "t:p:3")}


def test_pbs_without_history_is_asked_without_it(install: Path, tmp_path: Path) -> None:
    qstat = install.parent / "bin" / "qstat"
    refusal = 'case " $* " in *" -x "*) echo "qstat: Server has no job history" >&2; exit 1;; esac'
    qstat.write_text(qstat.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{refusal}\n"))

    class Quick(PBS):
        RETRY_PAUSES = ()

    scheduler = Quick()
    job = scheduler.submit(["sleep", "600"], tmp_path / "log", "t")
    until(lambda: states(scheduler, job) == "R", "it runs", 180)
    scheduler.kill(job)


def test_lsf_keeps_the_workers_of_a_job_on_one_host() -> None:
    def command(**args: object) -> list[str]:
        return LSF().submit_command(LSF().request(["x"], "/tmp/log", "t", None, args))

    assert command(n_cpus=8)[-2:] == ["-R", "span[hosts=1]"]
    assert "-R" not in command()
    assert command(n_cpus=8, requirements="span[ptile=2]").count("-R") == 1


@given(st.text(alphabet='{}[]":,|\n 0123456789JobsPENDRUNjob_stateQF.'))
def test_nonsense_tells_nothing_wrong(text: str) -> None:
    for parse in (PBS().parse_status, LSF().parse_status):
        with contextlib.suppress(SchedulerError):
            assert all(isinstance(status, JobStatus) for status in parse(text).values())


def test_half_an_answer_is_none() -> None:
    with pytest.raises(SchedulerError, match="What qstat answered cannot be read"):
        PBS().parse_status('{"Jobs": {"7.server": {"job_state": "R"')


@pytest.mark.parametrize("page", ["pbs", "lsf"])
def test_task_file_of_the_page(page: str, install: Path, tmp_path: Path) -> None:
    check_task_file(page, Place(tmp_path))


@pytest.mark.parametrize("name", ["PBS", "LSF"])
def test_job_of_another_name_is_somebody_elses(name: str, install: Path, tmp_path: Path) -> None:
    head = f"from psyflow.scheduler import {name}\nscheduler = {name}()"
    check_reused_ids(Place(tmp_path), CLASSES[name.lower()](), head)


def test_clusters_tell_their_names(install: Path) -> None:
    assert (PBS().cluster_name(), LSF().cluster_name()) == ("server", "lonely")
