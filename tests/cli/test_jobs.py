"""Cleaning, and jobs that a scheduler runs elsewhere."""

from __future__ import annotations

import json
import socket

import pytest

from tests.support.place import SQUARE, lines

# A cluster in a file: jobs are lines, and their states are what a second file says.
CLUSTER = """
import json, time
from pathlib import Path
from psyflow.exceptions import SchedulerError
from psyflow.scheduler import JobStatus, Scheduler

HERE = Path(__file__).parent.parent
JOBS, STATE, KILLED = HERE / "cluster.jobs", HERE / "cluster.state", HERE / "cluster.killed"
ASKED = HERE / "cluster.asked"

def lines(path):
    return path.read_text().splitlines() if path.exists() else []

def add(path, line):
    with path.open("a") as file:
        print(line, file=file)

class Cluster(Scheduler):
    def submit(self, args, output_filename, name=None, depends_on=None, scheduler_args=None):
        if STATE.exists() and STATE.read_text() == "down":
            raise SchedulerError("The cluster is down.")
        if STATE.exists() and STATE.read_text() == "full" and ":process" in name:
            raise SchedulerError("Job violates limit on submitted jobs.")
        job = str(len(lines(JOBS)) + 1)
        add(JOBS, json.dumps({"id": job, "name": name, "after": list(depends_on or ())}))
        return job

    def get_statuses(self, jobids):
        add(ASKED, " ".join(jobids))
        if STATE.exists() and STATE.read_text() == "hangs":
            time.sleep(600)
        return super().get_statuses(jobids)

    def get_status(self, jobid):
        state = "C" if jobid in lines(KILLED) else STATE.read_text() if STATE.exists() else "Q"
        return None if state == "?" else JobStatus(jobid, state, "job")

    def get_jobs(self):
        return []

    def kill(self, jobid):
        add(KILLED, jobid)
"""
FAR = "from cluster import Cluster\nscheduler = Cluster()\nmax_jobs = 2\n" + SQUARE


@pytest.fixture
def cluster(place):
    place.task("far", FAR)
    (place.folder / "psy-tasks" / "cluster.py").write_text(CLUSTER)
    return place


def submitted(place) -> list[tuple[str, list[str]]]:
    jobs = map(json.loads, (place.folder / "cluster.jobs").read_text().splitlines())
    return [(job["name"], job["after"]) for job in jobs]


def test_jobs_are_submitted_once_and_followed(cluster):
    shown = cluster.psy("run")
    assert (shown.returncode, shown.stdout) == (0, lines("far"))
    assert shown.stderr == "far: 4 jobs are submitted; follow with: psy status far\n"
    assert submitted(cluster) == [
        ("far:split", []),
        ("far:process:0", ["1"]),
        ("far:process:1", ["1"]),
        ("far:merge", ["1", "2", "3"]),
    ]
    again = cluster.psy("run")
    assert (again.returncode, again.stdout) == (0, "")
    assert again.stderr.startswith('Warning: Task "far" is not up to date, but has jobs at work')
    assert len(submitted(cluster)) == 4


def test_status_tells_what_is_queued_and_what_failed(cluster):
    cluster.psy("run")
    (cluster.folder / "cluster.asked").unlink(missing_ok=True)
    before = cluster.snapshot()
    queued = cluster.psy("status", "-v")
    assert (cluster.folder / "cluster.asked").read_text() == "1 2 3 4\n"
    (cluster.folder / "cluster.asked").unlink()
    pending = "".join(f"    {{'x': {x}}}\n" for x in range(4))
    assert queued.stdout == (
        "far:\n  0 out of 4 rows completed.\n"
        f"  Missing parameter sets:\n{pending}  Queued parameter sets:\n{pending}"
        "  No failed jobs.\n\n"
    )
    assert (
        "far: at work: job 1: queued, job 2: queued, job 3: queued, job 4: queued.\n"
        in queued.stderr
    )
    after = cluster.snapshot()
    assert {path: after[path] for path in before if path != str(cluster.folder)} == {
        path: stat for path, stat in before.items() if path != str(cluster.folder)
    }
    states = json.loads(cluster.psy("status", "--json").stdout)["far"]["states"]
    assert states == {"todo": 0, "queued": 4, "running": 0, "done": 0, "failed": 0, "skipped": 0}
    (cluster.folder / "cluster.state").write_text("F")
    failed = cluster.psy("status", "-v")
    assert "Queued" not in failed.stdout
    assert "  Failed jobs:\n    job 1 (job) failed\n" in failed.stdout


def test_kill_ends_the_recorded_jobs_of_named_tasks_only(cluster):
    cluster.task("near", FAR)
    cluster.psy("run")
    nothing = cluster.psy("kill")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "no task is named" in nothing.stderr
    assert not (cluster.folder / "cluster.killed").exists()
    shown = cluster.psy("kill", "far")
    assert shown.returncode == 0
    assert shown.stdout == "".join(f"far: killed job {job}\n" for job in (1, 2, 3, 4))
    assert (cluster.folder / "cluster.killed").read_text() == "4\n3\n2\n1\n"
    again = cluster.psy("kill", "far")
    assert (again.stdout, again.stderr) == ("", "far: has no jobs at work.\n")


def test_hints_name_the_task_folder(place):
    place.task("far", FAR, taskdir="my studies")
    (place.folder / "my studies" / "cluster.py").write_text(CLUSTER)
    place.psy("run", "--taskdir", "my studies")
    again = place.psy("run", "--taskdir", "my studies")
    assert again.stderr.endswith("Or end them: psy kill --taskdir 'my studies' far\n")
    absolute = place.psy("clean", "--taskdir", str(place.folder / "my studies"), "far")
    assert absolute.stderr.endswith("Or end them: psy kill --taskdir 'my studies' far\n")


def test_a_scheduler_that_refuses(cluster):
    cluster.task("square")
    (cluster.folder / "cluster.state").write_text("down")
    shown = cluster.psy("run")
    assert (shown.returncode, shown.stdout) == (3, ".  far:split\n" + lines("square"))
    assert shown.stderr == "far: The cluster is down.\n"


def test_nothing_half_submitted_stays(cluster):
    (cluster.folder / "cluster.state").write_text("full")
    shown = cluster.psy("run", "far")
    assert shown.returncode == 3
    assert "Job violates limit on submitted jobs." in shown.stderr
    assert "The task asks for 2 process jobs." in shown.stderr
    assert "set a smaller max_jobs in the task file, such as max_jobs = 1." in shown.stderr
    assert "Ended what was submitted before: job 1." in shown.stderr
    assert (cluster.folder / "cluster.killed").read_text() == "1\n"
    (cluster.folder / "cluster.state").write_text("Q")
    again = cluster.psy("run", "far")
    assert again.returncode == 0, again.stderr
    assert "Wait for them" not in again.stderr


def test_a_job_that_cannot_be_ended_after_a_refusal_is_named(cluster):
    broken = CLUSTER.replace("add(KILLED, jobid)", 'raise SchedulerError("No answer.")')
    (cluster.folder / "psy-tasks" / "cluster.py").write_text(broken)
    (cluster.folder / "cluster.state").write_text("full")
    shown = cluster.psy("run", "far")
    assert shown.returncode == 3
    assert "What was submitted before could not be ended: No answer." in shown.stderr


def test_jobs_at_work_are_not_cleaned_away(cluster):
    cluster.psy("run")
    shown = cluster.psy("clean", "far")
    assert shown.returncode == 2
    assert "psy kill far" in shown.stderr
    assert (cluster.work / "far" / "plan.json").exists()


def test_nothing_is_restored_beside_jobs_at_work(cluster):
    cluster.psy("run")
    archived = cluster.work / "far" / "archive" / "20260101T000000-abcdef"
    archived.mkdir(parents=True)
    (archived / "result.pkl").write_bytes(b"earlier")
    for option in ([], ["-n"]):
        shown = cluster.psy("restore", *option, "far", "2026")
        assert (shown.returncode, shown.stdout) == (2, "")
        assert "psy kill far" in shown.stderr
    assert (archived / "result.pkl").read_bytes() == b"earlier"
    assert (cluster.work / "far" / "plan.json").exists()


def test_clean_removes_what_named_tasks_made(place):
    place.task("a")
    place.task("b")
    before = {path for path in place.folder.rglob("*") if "__pycache__" not in str(path)}
    place.psy("run")
    own = place.work / "a" / "notes.txt"
    own.write_text("mine")
    nothing = place.psy("clean")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "no task is named" in nothing.stderr
    shown = place.program("clean", "a")
    assert shown.returncode == 0
    assert "a: removed psy-work/a/result.pkl\n" in shown.stdout
    assert list((place.work / "a").iterdir()) == [own]
    assert (place.work / "b" / "result.pkl").exists()
    own.unlink()
    own.parent.rmdir()
    assert place.psy("clean", "*").stdout.startswith("b: removed ")
    after = {path for path in place.folder.rglob("*") if "__pycache__" not in str(path)}
    assert after - before <= {place.work}
    assert place.psy("clean", "b").stderr == "b: nothing to remove.\n"


def test_clean_removes_nothing_of_the_users(place):
    place.task("a")
    place.psy("run")
    place.task("a", SQUARE.replace("x**2", "x**3"))
    place.psy("run")
    run = place.work / "a"
    (archived,) = (run / "archive").iterdir()
    own = [
        run / "out" / "notes.txt",
        run / "plans" / "notes.txt",
        run / "psets" / "notes.txt",
        run / "archive" / "notes.txt",
        archived / "notes.txt",
        run / "a:notes.log",
        run / "notes.txt",
    ]
    for path in own:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    assert place.psy("clean", "a").returncode == 0
    assert sorted(path for path in run.rglob("*") if path.is_file()) == sorted(own)


def test_what_others_put_beside_plans_ends_no_merge(place):
    place.task("a")
    place.psy("run")
    for folder in ("plans", "out", "psets", "archive", "."):
        (place.work / "a" / folder).mkdir(exist_ok=True)
        (place.work / "a" / folder / ".DS_Store").write_text("")
    place.task("a", SQUARE.replace("range(4)", "range(5)"))
    assert place.psy("run").returncode == 0
    assert place.result("a")["x"] == [0, 1, 2, 3, 4]


def records_with(cluster, **fields) -> None:
    path = cluster.work / "far" / "jobs.jsonl"
    records = map(json.loads, path.read_text().splitlines())
    path.write_text("".join(f"{json.dumps({**record, **fields})}\n" for record in records))


def test_record_says_what_is_submitted_before_it_is(cluster):
    cluster.psy("run")
    path = cluster.work / "far" / "jobs.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    told = [(record["name"], record["jobid"]) for record in records]
    names = ["far:split", "far:process:0", "far:process:1", "far:merge"]
    for number, name in enumerate(names, 1):
        at = told.index((name, str(number)))
        assert told[at - 1] == (name, None)
    assert {r["host"] for r in records} == {socket.gethostname()}
    (cluster.folder / "cluster.state").write_text("down")
    path.unlink()
    cluster.psy("clean", "far")
    assert cluster.psy("run").returncode == 3
    intent, over = map(json.loads, path.read_text().splitlines())
    assert (intent["name"], intent["jobid"]) == ("far:split", None)
    assert over["step"] == "over"
    assert "has no jobs at work" in cluster.psy("kill", "far").stderr


def test_mere_number_of_another_host_is_killed_there_only(cluster):
    cluster.psy("run")
    records_with(cluster, host="login-of-x")
    assert "at work: job 1: queued" in cluster.psy("status").stderr
    refused = cluster.psy("kill", "far")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "job 1 was submitted on login-of-x, and here its id may be another" in refused.stderr
    assert "On login-of-x, type: psy kill far. " in refused.stderr
    assert not (cluster.folder / "cluster.killed").exists()
    assert cluster.psy("kill", "--forget", "far").returncode == 0
    assert not (cluster.folder / "cluster.killed").exists()


@pytest.mark.parametrize(
    "line",
    [
        '{"run_id": "x", "step": "split", "jobid": "1", "owner": null, "time": 1.0}',
        '{"run_id": "x", "step": "split", "jobid": "1", "of_a_later_version": [1]}',
        *('{"run_id": "x", "st', "null", "[]", "7", '"text"', "{}", '{"owner": {"pid": 1}}'),
    ],
)
def test_records_of_other_versions_and_torn_ones_stop_nobody(cluster, line):
    cluster.psy("run")
    with (cluster.work / "far" / "jobs.jsonl").open("a") as file:
        file.write(f"{line}\n")
    assert "at work: job 1: queued" in cluster.psy("status").stderr
    assert cluster.psy("kill", "far").returncode == 0
    assert len((cluster.folder / "cluster.killed").read_text().split()) == 4
