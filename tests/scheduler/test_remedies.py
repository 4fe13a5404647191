"""Jobs that wait for a person are told, with what to type, by all commands that look."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from psyflow.record.remedies import remedies_of
from psyflow.scheduler import LSF, PBS, JobStatus, Slurm
from psyflow.scheduler.gridengine.texts import closed_queues, queues_asked_for
from psyflow.scheduler.remedies import Remedy
from psyflow.scheduler.slurm.remedies import remedy
from psyflow.scheduler.slurm.texts import parse_sacct, parse_squeue
from psyflow.testing.schedulers import until
from tests.support.place import SQUARE, Place

from .fake_programs import FakePrograms
from .private_gridengine import PrivateGridEngine
from .private_slurm import PrivateSlurm

PATIENCE = 300
UNTIL_TOLD = """
import time
from pathlib import Path

from psyflow import Param

HERE = Path(__file__).parents[1]
pspace = Param(x=range(4))

def execute(x):
    (HERE / f"begun-{x // 2}").touch()
    while not (HERE / "told").exists():
        time.sleep(0.05)
    return {"y": x**2}
"""
HEAD = "from psyflow.scheduler import {0}\nscheduler = {0}()\nmax_jobs = 2\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def waiting(place: Place) -> list[dict[str, str]]:
    report = json.loads(place.call("status", "--json", "t").stdout)["t"]
    found: list[dict[str, str]] = report["waiting_for_somebody"]
    return found


def test_held_on_slurm(place: Place, slurm: PrivateSlurm) -> None:
    place.task("t", HEAD.format("Slurm") + "scheduler_args = {'hold': True}\n" + SQUARE)
    assert place.program("run", "t").returncode == 0
    until(lambda: len(waiting(place)) >= 1, "the held job is told", PATIENCE)
    first = waiting(place)[0]
    shown = place.call("status", "t").stderr
    assert "waits for somebody: it is held" in shown or "wait for somebody: it is held" in shown
    assert first["command"].startswith("scontrol release ")
    assert first["command"] in place.program("run", "t").stderr
    with place.start("run", "--wait", "t") as psy:
        assert psy.stderr is not None
        lines = iter(psy.stderr.readline, "")
        # It says so at once, and then goes on waiting.
        assert any("scontrol release" in line for line in lines)
        for job in waiting(place):
            subprocess.run(job["command"].split(), check=True)
        psy.communicate(timeout=PATIENCE)
    assert place.result("t")["y"] == [0, 1, 4, 9]


def running(place: Place, head: str, n_jobs: int = 2) -> None:
    """Submit a task, and wait until an item of each of its jobs runs."""
    place.task("t", head + UNTIL_TOLD)
    assert place.program("run", "t").returncode == 0
    until(lambda: len(list(place.folder.glob("begun-*"))) == n_jobs, "items run", PATIENCE)


def array_of(place: Place) -> str:
    """Return the id of the process jobs."""
    lines = (place.work / "t" / "jobs.jsonl").read_text().splitlines()
    jobs = [job for job in map(json.loads, lines) if job["step"] == "process:0-1"]
    return str(jobs[-1]["jobid"])


def do_as_told(place: Place, why: str, command: str) -> None:
    """Wait until jobs are said to wait, do what is to be done, and see that they do not."""
    until(lambda: waiting(place), "it is told", PATIENCE)
    (job,) = waiting(place)
    assert (job["why"], job["command"]) == (why, command.format(job["job"]))
    assert job["command"] in place.program("run", "t").stderr
    subprocess.run(job["command"].split(), check=True, capture_output=True)
    until(lambda: not waiting(place), "it waits no more", PATIENCE)


def test_suspended_and_requeued_on_slurm(place: Place, slurm: PrivateSlurm) -> None:
    running(place, HEAD.format("Slurm"))
    array = array_of(place)
    slurm.client("scontrol", "suspend", array)
    why = "is suspended, by an administrator or for jobs that go first"
    do_as_told(place, why, "scontrol resume {}")
    slurm.client("scontrol", "requeuehold", array)
    do_as_told(place, "was requeued, and is held", "scontrol release {}")
    (place.folder / "told").touch()
    assert place.program("run", "--wait", "t").returncode == 0
    assert place.result("t")["y"] == [0, 1, 4, 9]


def test_a_dependency_that_is_never_met_on_slurm(place: Place, slurm: PrivateSlurm) -> None:
    words = ("--parsable", "--output=/dev/null", "--wrap=sleep 5; exit 3")
    data = slurm.client("sbatch", *words).strip()
    args = f"scheduler_args = {{'dependency': 'afterok:{data}'}}\n"
    place.task("t", HEAD.format("Slurm") + args + SQUARE)
    assert place.program("run", "t").returncode == 0
    until(lambda: waiting(place), "it is told", PATIENCE)
    assert "did not end as it has to. Type: psy kill t" in place.call("status", "t").stderr
    assert place.program("kill", "t").returncode == 0


def test_in_error_on_grid_engine(place: Place, gridengine: PrivateGridEngine) -> None:
    # A job whose working folder is gone.
    args = "scheduler_args = {'extra_args': ['-wd', '/no/such/folder']}\n"
    place.task("t", HEAD.format("GridEngine") + args + SQUARE)
    assert place.program("run", "t").returncode == 0
    until(lambda: waiting(place), "it is told", PATIENCE)
    # The others wait for that one, which is in order.
    (job,) = waiting(place)
    assert job["why"].startswith("is in error, ")
    assert "/no/such/folder" in job["why"]
    assert job["command"] == f"qmod -cj {job['job']}"
    assert place.program("kill", "t").returncode == 0


def test_closed_queues_on_grid_engine(place: Place, gridengine: PrivateGridEngine) -> None:
    place.task("t", HEAD.format("GridEngine") + UNTIL_TOLD)
    gridengine.client("qmod", "-d", "main.q")
    try:
        assert place.program("run", "t").returncode == 0
        until(lambda: waiting(place), "it is told", PATIENCE)
        (job,) = waiting(place)
    finally:
        gridengine.client("qmod", "-e", "main.q")
    assert job["why"] == "needs a queue that is not disabled, suspended or in error"
    assert job["command"] == "qstat -f"
    until(lambda: len(list(place.folder.glob("begun-*"))) == 2, "items run", PATIENCE)
    assert waiting(place) == []
    gridengine.client("qmod", "-sj", array_of(place))
    do_as_told(place, "is suspended", "qmod -usj {}")
    assert place.program("kill", "t").returncode == 0


def test_queues_that_a_job_may_go_to() -> None:
    row = (
        "<cluster_queue_summary><name>{}</name><total>8</total>"
        "<manual_intervention>{}</manual_intervention></cluster_queue_summary>"
    )
    assert closed_queues(f"<x>{row.format('a.q', 8)}{row.format('b.q', 7)}</x>") == {
        "a.q": True,
        "b.q": False,
    }
    asks = "<JB_job_number>7</JB_job_number><hard_req_queue>a*@n1</hard_req_queue>"
    assert queues_asked_for(f"<job_list>{asks}</job_list>") == {"7": ["a*@n1"]}


def test_held_on_grid_engine(place: Place, gridengine: PrivateGridEngine) -> None:
    place.task("t", HEAD.format("GridEngine") + "scheduler_args = {'hold': True}\n" + SQUARE)
    assert place.program("run", "t").returncode == 0
    found = waiting(place)
    assert {job["why"] for job in found} == {"is held by somebody"}
    gridengine.client("qalter", "-h", "o", found[-1]["job"])
    gridengine.client("qrls", found[-1]["job"])
    found = waiting(place)
    assert [job["command"] for job in found[-2:]] == [
        f"qrls {found[-2]['job']}",
        f"qrls -h uos {found[-1]['job']}",
    ]
    for job in found:
        subprocess.run(job["command"].split(), check=True, capture_output=True)
    assert waiting(place) == []
    assert place.program("kill", "t").returncode == 0


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("7|PD|JobHeldAdmin|t", "scontrol release 7"),
        ("7_3|PD|launch_failed_requeued_held|t", "scontrol release 7_3"),
        ("7|SE|None|t", "scontrol release 7"),
        ("7|RH|None|t", "scontrol release 7"),
        ("7|PD|DependencyNeverSatisfied|t", ""),
        ("7|PD|ReqNodeNotAvail, UnavailableNodes:n1|t", "sinfo -R"),
        ("7|PD|QOSMaxSubmitJobPerUserLimit|t", "squeue --me"),
        ("7|PD|AssocGrpCpuLimit|t", "squeue --me"),
        ("7|PD|AssocGrpCPUMinutesLimit|t", "sshare -U"),
        ("7|PD|QOSMaxWallDurationPerJobLimit|t", ""),
        *((f"7|PD|{goes_on}|t", None) for goes_on in ("Priority", "Resources", "Dependency")),
        ("7|PD|job requeued in held state|t", "scontrol release 7"),
        ("7|PD|launch failed requeued held|t", "scontrol release 7"),
        ("7_1|S|None|t", "scontrol resume 7_1"),
        ("7|R|None|t", None),
    ],
)
def test_reasons_of_slurm(line: str, command: str | None) -> None:
    (status,) = parse_squeue(line).values()
    found = remedy(status)
    assert (None if found is None else found.command) == command


def test_cancelled_by_somebody_else_on_slurm() -> None:
    (status,) = parse_sacct("7|CANCELLED by 4242|t").values()
    found = remedy(status)
    assert found is not None
    assert found.why == "was cancelled by user 4242, not by you"


def test_jobs_of_another_cluster_are_released_there() -> None:
    found = remedy(JobStatus("7;gpu_2", "*Q", "t", "JobHeldUser"))
    assert found is not None
    assert found.command == "scontrol --clusters=gpu release 7_2"


def test_members_with_the_same_trouble_are_one() -> None:
    held = [JobStatus(f"7_{i}", "*Q", f"t:{i}", "JobHeldUser") for i in range(1000)]
    found = remedies_of(Slurm(), {"7": held, "8": [JobStatus("8", "*Q", "m", "Dependency")]})
    assert {job: remedy.command for job, remedy in found.items()} == {"7": "scontrol release 7"}


@pytest.mark.parametrize(
    ("job", "why", "command"),
    [
        ({"Hold_Types": "u"}, "is held by somebody", "qrls 7[].s"),
        (
            {"Hold_Types": "s", "comment": "job held, too many failed attempts to run"},
            "is held by the system or an administrator (job held, too many failed attempts to "
            "run), whom to ask, if it cannot be released",
            "qrls -h s 7[].s",
        ),
    ],
)
def test_held_by_pbs(job: dict[str, str], why: str, command: str) -> None:
    # It tells the state of an array, and that its members are queued.
    jobs = {"7[].s": {"job_state": "H", **job}, "7[0].s": {"job_state": "Q"}}
    member = PBS().parse_status(json.dumps({"Jobs": jobs}))["7[].s_0"]
    assert PBS().remedy(member) == Remedy(why, command)


def test_pbs_holds_a_job_for_another_one() -> None:
    job = {"job_state": "H", "Hold_Types": "s", "depend": "afterany:6.s@s", "Job_Name": "t"}
    (status,) = PBS().parse_status(json.dumps({"Jobs": {"7.s": job}})).values()
    assert status.status == "*Q"
    assert PBS().remedy(status) is None


LSF_SAYS = {
    "7|0|PEND|-|-|t": "7|0|Dependency condition invalid or never satisfied;",
    "8|2|PSUSP|-|-|t[2]": "8|2|The job was suspended by LSF admin or root while pending;",
    "9|0|PEND|-|-|t": "9|0|New job is waiting for scheduling;",
}


def test_reasons_of_lsf(programs: FakePrograms) -> None:
    lines = [f"*pend_reason*) printf '%s\\n' {shlex.join(LSF_SAYS.values())};;"]
    lines += [f"*) printf '%s\\n' {shlex.join(LSF_SAYS)};;"]
    programs.add("bjobs", 'case "$*" in ' + "\n".join(lines) + " esac")
    statuses = LSF().get_statuses(["7", "8_1", "9"])
    assert statuses["9"].reason == "New job is waiting for scheduling"
    found = remedies_of(LSF(), {i: [status] for i, status in statuses.items()})
    assert found == {
        "7": Remedy("waits for a job that did not end as it has to"),
        "8_1": Remedy(
            "is suspended by an administrator, whom to ask, if it cannot be resumed",
            'bresume "8[2]"',
        ),
    }


def test_an_old_lsf_tells_no_reasons(programs: FakePrograms) -> None:
    programs.add("bjobs", 'case "$*" in *pend_reason*) exit 255;; esac; echo "7|0|PSUSP|-|-|t"')
    status = LSF().get_status("7")
    assert status is not None
    assert LSF().remedy(status) == Remedy("is suspended by somebody", 'bresume "7"')
