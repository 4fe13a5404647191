"""OAR as it is, on one node."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from psyflow.exceptions import SchedulerError, UsageError
from psyflow.scheduler import JobStatus, scheduler_by_name
from psyflow.scheduler.oar import OAR
from psyflow.testing.schedulers import SchedulerTests, until
from tests.support.place import Place

from .page_runs import check_task_file
from .private_oar import NODE, PrivateOar


class TestOar(SchedulerTests):
    @pytest.fixture
    def scheduler(self, oar: PrivateOar) -> OAR:
        return OAR()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def states(*jobids: str) -> str:
    return " ".join(status.status for status in OAR().get_statuses(jobids).values())


def test_the_task_of_the_page_runs(oar: PrivateOar, tmp_path: Path) -> None:
    place = Place(tmp_path)
    try:
        check_task_file("oar", place, patience=400)
    except AssertionError as error:
        # It has waited for too long once, on a machine at its limits, and nobody knew for what.
        raise AssertionError(f"{error}\n{oar.told()}\n{place.logs()}") from error


def test_one_member_is_killed_the_rest_goes_on_and_a_job_waits_for_all(
    oar: PrivateOar, log: Path
) -> None:
    array = OAR().submit_array(3, ["sleep", "600"], log, "a:b")
    after = OAR().submit(["true"], log, "merge", [array])
    of_one = {"dependency": str(int(array) + 1)}
    soon = OAR().submit(["true"], log, "t", None, of_one)
    members = [f"{array}_{i}" for i in range(3)]
    until(lambda: states(*members) == "R R R", "all members run", 180)
    OAR().kill(members[1])
    OAR().kill(members[1])  # it may be ending still
    until(lambda: states(*members) == "R C R", "one of them is killed", 180)
    until(lambda: states(soon) == "D", "what waited for that one alone has run", 180)
    assert states(array, after) == "R Q"
    OAR().kill(array)
    until(lambda: states(array, *members, after) == "C C C C D", "the other job has run", 180)


def test_a_held_job_waits_for_somebody(oar: PrivateOar, log: Path) -> None:
    job = OAR().submit(["true"], log, "t", None, {"hold": True})
    status = OAR().get_status(job)
    assert status is not None
    assert (status.status, status.reason) == ("*Q", "held by somebody")
    remedy = OAR().remedy(status)
    assert remedy is not None
    oar.run(*remedy.command.split())
    until(lambda: states(job) == "D", "it has run", 180)


def test_a_job_that_no_node_takes_waits_for_somebody(oar: PrivateOar, log: Path) -> None:
    oar.run("oarnodesetting", "-h", NODE, "-s", "Absent")
    # Until it is, the job could run there.
    until(lambda: "Alive" not in oar.run("oarnodes", "-s"), "the node is absent", 180)

    def told() -> bool:
        status = OAR().get_status(job)
        remedy = None if status is None else OAR().remedy(status)
        return remedy is not None and remedy.command == "oarnodes -s"

    try:
        job = OAR().submit(["true"], log, "t")
        until(told, "it is told", 180)
    finally:
        oar.run("oarnodesetting", "-h", NODE, "-s", "Alive")
    until(lambda: states(job) == "D", "it has run", 180)


def test_a_job_that_takes_too_long_is_told(oar: PrivateOar, log: Path) -> None:
    slow = OAR().submit(["sleep", "600"], log, "t", None, {"timelimit": "2s", "n_cpus": 2})
    failed = OAR().submit(["sh", "-c", "exit 7"], log, "t")
    until(lambda: states(slow, failed) == "F F", "both have failed", 180)
    reasons = [status.reason for status in OAR().get_statuses([slow, failed]).values()]
    assert reasons == ["timeout", "exit code 7"]


def test_what_a_job_is_told_counts_its_cores(oar: PrivateOar, log: Path) -> None:
    program = (
        "import os; from psyflow.system.allotted import told_cpus; "
        "print(told_cpus(os.environ), os.environ['OAR_JOB_WALLTIME_SECONDS'])"
    )
    args = {"timelimit": "5m", "n_cpus": 3}
    job = OAR().submit([sys.executable, "-c", program], log, "t", None, args)
    until(lambda: states(job) == "D", "it has run", 180)
    assert log.read_text() == "3 300\n"


def test_refused_submission_says_why(oar: PrivateOar, log: Path) -> None:
    with pytest.raises(SchedulerError, match="queue nosuch does not exist"):
        OAR().submit(["true"], log, "t", None, {"queue": "nosuch"})
    with pytest.raises(SchedulerError, match="Bad resource request"):
        OAR().submit(["true"], log, "t", None, {"resources": "/nosuch=1"})
    with pytest.raises(SchedulerError, match="OAR knows no job 4711 to wait for"):
        OAR().submit(["true"], log, "t", None, {"dependency": "4711"})


def test_site_is_told(oar: PrivateOar) -> None:
    site = OAR().site()
    assert site is not None
    assert site.version.startswith("OAR version : 2")
    assert not site.problems


def answer(*jobs: dict[str, object]) -> str:
    """Return what `oarstat -J -f` prints of jobs 7, 8, …, plain ones unless they say so."""
    known = {
        str(number): {"array_id": number, "array_index": 1, "name": "t", "message": "m", **job}
        for number, job in enumerate(jobs, 7)
    }
    return json.dumps(known)


@pytest.mark.parametrize(
    ("job", "status", "reason"),
    [
        ({"state": "Waiting"}, "Q", "m"),
        ({"state": "toLaunch"}, "Q", "m"),
        ({"state": "Hold"}, "*Q", "held by somebody"),
        ({"state": "Launching"}, "R", ""),
        ({"state": "Finishing"}, "R", ""),
        ({"state": "Suspended"}, "R", "suspended"),
        ({"state": "Terminated", "exit_code": 0}, "D", ""),
        ({"state": "Terminated", "exit_code": None}, "D", ""),
        ({"state": "Terminated", "exit_code": 768}, "F", "exit code 3"),
        ({"state": "Terminated", "exit_code": 9}, "F", "signal 9"),
        ({"state": "Error", "events": [{"type": "FRAG_JOB_REQUEST"}]}, "C", ""),
        (
            {"state": "Error", "events": [{"type": "FRAG_JOB_REQUEST"}, {"type": "WALLTIME"}]},
            "F",
            "timeout",
        ),
        ({"state": "Error", "events": [{"type": "BESTEFFORT_KILL"}]}, "F", "preempted"),
        ({"state": "Error", "events": []}, "F", "m"),
        ({"state": "Melted"}, "?", ""),
    ],
)
def test_states(job: dict[str, object], status: str, reason: str) -> None:
    (found,) = OAR().parse_status(answer(job)).values()
    assert (found.id, found.status, found.reason, found.name) == ("7", status, reason, "t")


@pytest.mark.parametrize("text", ["", "null", "[]", '{"7": {}}', '{"x": 1}'])
def test_what_is_no_answer_tells_nothing(text: str) -> None:
    assert OAR().parse_status(text) == {}


def test_half_an_answer_is_none() -> None:
    with pytest.raises(SchedulerError, match="What oarstat answered cannot be read"):
        OAR().parse_status('{"7": {"state": "Running"')


def test_members_have_the_id_of_their_array() -> None:
    members = [{"array_id": 7, "array_index": i, "state": "Running"} for i in (1, 2)]
    found = OAR().parse_status(answer(*members))
    assert [(status.id, status.name) for status in found.values()] == [
        ("7_0", "t:0"),
        ("7_1", "t:1"),
    ]
    assert OAR().parse_job_id("OAR_JOB_ID=7\nOAR_JOB_ID=8\nOAR_ARRAY_ID=7\n") == "7"
    assert OAR().parse_job_id("hello\nOAR_JOB_ID=7\n") == "7"
    assert not OAR().parse_job_id("OAR_JOB_ID=-5\n")


def test_jobs_and_members_are_killed_with_one_command() -> None:
    (*_, where) = OAR().kill_command(["7", "9_1", "8"])
    assert "array_id IN (7, 8) OR (array_id = 9 AND array_index = 2)" in where


def test_suspended_jobs_wait_for_somebody_and_running_ones_do_not() -> None:
    remedy = OAR().remedy(JobStatus("7_1", "R", "t:1", "suspended"))
    assert remedy is not None
    assert remedy.command == "oarresume --array 7"
    assert OAR().remedy(JobStatus("7", "R", "t")) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "true"),
        ({"n_cpus": 2}, "-l /nodes=1/core=2 true"),
        ({"n_gpus": 1, "n_nodes": 2, "timelimit": 90}, "-l /nodes=2/gpu=1,walltime=1:30:00 true"),
        ({"resources": "cpu=1", "timelimit": "1h"}, "-l cpu=1,walltime=1:00:00 true"),
        ({"properties": "mem > 64", "queue": "q"}, "-p mem > 64 -q q true"),
        ({"types": ["besteffort", "x"], "hold": True}, "-t besteffort -t x --hold true"),
        ({"extra_args": ["--notify=mail:a@b"]}, "--notify=mail:a@b true"),
    ],
)
def test_arguments(options: dict[str, object], words: str, tmp_path: Path) -> None:
    request = OAR().request(["true"], tmp_path / "log", "it's", None, options)
    command = OAR().submit_command(request)
    head = "oarsub -n it_s -O /dev/null -E /dev/null "
    assert " ".join([*command[:-1], "true"]) == head + words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "-l /resource_id=1 -l /resource_id=1"),
        ({"n_cpus": 2}, "-l /nodes=1/core=2 -l /nodes=1/core=2"),
    ],
)
def test_an_array_that_waits_for_one_job_has_equal_ones_to_choose_from(
    options: dict[str, object], words: str, tmp_path: Path
) -> None:
    def waiting_for(*jobids: str) -> str:
        log = tmp_path / "%a"
        request = OAR().request(["true"], log, "t", jobids, options, array_size=2)
        return " ".join(OAR().submit_command(request)[7:-1])

    assert waiting_for("7") == f"--array 2 -a 7 {words}"
    assert waiting_for("7", "8").count("-l") == waiting_for().count("-l") == len(options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_cpus": 2, "n_gpus": 1}, "belong to its GPUs"),
        ({"n_cpus": 2, "resources": "cpu=1"}, "Take out one"),
        ({"hold": 1}, "True or False"),
        ({"timelimit": "UNLIMITED"}, "a time that ends"),
        ({"n_nodes": 0}, "whole number above 0"),
        ({"extra_args": ["-O/tmp/x"]}, "psyflow's own"),
    ],
)
def test_wrong_arguments(options: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        OAR().submit(["true"], tmp_path / "log", "t", None, options)


def test_it_has_a_name() -> None:
    assert scheduler_by_name("oar") is OAR
