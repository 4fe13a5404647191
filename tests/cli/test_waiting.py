"""Waiting for jobs elsewhere, watching them, and ending them for good."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

from tests.support.place import SKIPS_ZERO, Place
from tests.support.processes import PATIENCE, eventually, without_progress, without_rows

from .test_jobs import CLUSTER, FAR, cluster, records_with

__all__ = ["cluster"]


def says(place: Place, state: str) -> None:
    (place.folder / "cluster.state").write_text(state)


def do_the_work(place: Place, code: int = 0) -> None:
    """Do what the jobs of the pretended cluster would do."""
    (plan,) = (place.work / "far" / "plans").glob("*/plan.json")
    for words in (["split"], ["process", "0"], ["process", "1"], ["merge"]):
        step, *number = words
        command = [*place.command()[:1], "-m", "psyflow.job", step, str(plan), *number]
        done = subprocess.run(command, cwd=place.folder, stdout=subprocess.DEVNULL)
        assert done.returncode == (code if step == "merge" else 0)


def wait_until_asked(place: Place, times: int = 1) -> None:
    """Wait until the pretended cluster has been asked about jobs so often."""
    asked = place.folder / "cluster.asked"
    eventually(lambda: asked.exists() and asked.read_text().count("\n") >= times)


def test_run_waits_for_the_jobs_and_tells_what_they_read(cluster: Place) -> None:
    cluster.task("far", FAR.replace("    return", "    open('a.yaml').close()\n    return"))
    (cluster.folder / "psy-tasks" / "a.yaml").write_text("")
    waiting = cluster.start("run", "--wait")
    wait_until_asked(cluster)
    assert waiting.poll() is None
    do_the_work(cluster)
    says(cluster, "D")
    _out, err = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 0, err
    assert "4 jobs are submitted" in err
    assert 'task_far.py reads a.yaml: add file_dep = ["a.yaml"]' in err
    assert err.endswith("far: up to date.\n")
    assert "reads" not in cluster.psy("run").stderr


def test_waiting_ends_with_what_is_missing(cluster: Place) -> None:
    says(cluster, "F")
    told = cluster.program("run", "--wait")
    assert told.returncode == 3
    assert "far: 4 of 4 items have no result. See: psy status far\n" in told.stderr


def test_waiting_ends_with_failed_items(cluster: Place) -> None:
    cluster.task("far", FAR.replace("x**2", "1 / x"))
    waiting = cluster.start("run", "--wait")
    wait_until_asked(cluster)
    do_the_work(cluster, code=1)
    says(cluster, "D")
    _out, err = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 1, err


def test_waiting_for_jobs_that_are_at_work_is_no_reason_to_warn(cluster: Place) -> None:
    assert "4 jobs are submitted" in cluster.psy("run").stderr
    waiting = cluster.start("run", "--wait")
    wait_until_asked(cluster)
    do_the_work(cluster)
    says(cluster, "D")
    _out, err = waiting.communicate(timeout=PATIENCE)
    assert (waiting.returncode, without_rows(without_progress(err))) == (0, "far: up to date.\n")


def test_nobody_waits_for_jobs_that_are_forgotten(cluster: Place) -> None:
    says(cluster, "?")
    code = "import psyflow.runs.wait as w; w.FORGOTTEN_SECONDS = 1; import psyflow.main as m; "
    told = subprocess.run(
        [sys.executable, "-c", code + "raise SystemExit(m.psy_main(['run', '--wait']))"],
        cwd=cluster.folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert told.returncode == 3
    assert "nobody waits" in told.stderr
    assert "psy kill far" in told.stderr


def test_watch_is_not_held_up_by_a_scheduler_that_hangs(cluster: Place) -> None:
    cluster.psy("run")
    says(cluster, "hangs")
    with cluster.start("watch", "--interval", "0.2") as watching:
        assert watching.stderr is not None
        first = watching.stderr.readline()
        assert "0/4 done" in first
        assert first.endswith("; jobs: unknown\n")
        assert watching.stderr.readline() == "far: nobody knows what its jobs do: no answer yet\n"
        do_the_work(cluster)
        assert any("4/4 done" in line for line in watching.stderr)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_waiting_may_be_ended_and_the_jobs_go_on(cluster: Place, number: int) -> None:
    waiting = cluster.start("run", "--wait")
    wait_until_asked(cluster, 3)  # before progress is shown, when it is shown, and after that
    waiting.send_signal(number)
    _out, err = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 130
    assert "its jobs go on. Follow with: psy watch far" in err
    assert "stops after the running items" not in err
    assert not (cluster.folder / "cluster.killed").exists()


def test_one_ctrl_c_ends_the_waiting_for_all_tasks(cluster: Place) -> None:
    cluster.task("near", FAR)
    waiting = cluster.start("run", "--wait")
    wait_until_asked(cluster, 3)
    waiting.send_signal(signal.SIGINT)
    _out, err = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 130
    for name in ("far", "near"):
        assert f"{name}: not waiting any more; its jobs go on. Follow with: psy watch" in err


def test_watch_shows_changes_until_nothing_is_at_work(cluster: Place) -> None:
    cluster.psy("run")
    with cluster.start("watch", "--interval", "0.2") as watching:
        assert watching.stderr is not None
        # On a busy machine the first answer may come later than the first look.
        first = next(line for line in watching.stderr if line.endswith("queued\n"))
        assert first == "far: 0/4 done, 0 failed, 0 running, 4 queued; jobs: 4 queued\n"
        do_the_work(cluster)
        assert any("4/4 done" in line for line in watching.stderr)
        watching.send_signal(signal.SIGINT)
    assert watching.returncode == 0


def test_watch_of_what_is_over_ends_and_writes_nothing(place: Place) -> None:
    place.task("square")
    place.psy("run")
    before = place.snapshot()
    told = place.program("watch")
    assert (told.returncode, told.stdout) == (0, "")
    assert told.stderr == ("square: 4/4 done, 0 failed, 0 running, 0 queued\nNo job is at work.\n")
    assert place.snapshot() == before
    assert place.program("watch", "--interval", "0").returncode == 2


@pytest.mark.parametrize(("answer", "is_killed"), [("n", False), ("y", True)])
def test_kill_asks_on_a_terminal(cluster: Place, answer: str, is_killed: bool) -> None:
    cluster.psy("run")
    main, terminal = pty.openpty()
    killing = subprocess.Popen(
        cluster.command("kill", "far"),
        cwd=cluster.folder,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(main, f"{answer}\n".encode())
    _out, err = killing.communicate(timeout=PATIENCE)
    for fd in (main, terminal):
        os.close(fd)
    assert killing.returncode == 0
    assert "far: end job 1: queued, job 2: queued" in err
    assert (cluster.folder / "cluster.killed").exists() is is_killed


def half_the_work(cluster: Place) -> int:
    """Do one of two process jobs, and merge; return the exit code of the merge job."""
    (plan,) = (cluster.work / "far" / "plans").glob("*/plan.json")
    for words in (["split"], ["process", "0"], ["merge"]):
        command = [*cluster.command()[:1], "-m", "psyflow.job", words[0], str(plan), *words[1:]]
        with (cluster.work / "far" / f"far:{words[0]}.log").open("a") as log:
            job = subprocess.run(command, cwd=cluster.folder, stdout=log, stderr=log)
    return job.returncode


def test_merge_job_continues_with_the_frozen_code(cluster: Place) -> None:
    cluster.psy("run")
    cluster.task("far", FAR.replace("x**2", "x**3"))
    assert half_the_work(cluster) == 0
    plan = json.loads((cluster.work / "far" / "plan.json").read_text())
    assert (plan["chain"], plan["n_pending"]) == (1, 2)
    code = next((cluster.work / "far" / "plans" / plan["run_id"] / "code").rglob("task_far.py"))
    assert "x**2" in code.read_text()
    jobs = (cluster.folder / "cluster.jobs").read_text().splitlines()
    names = [json.loads(job)["name"] for job in jobs]
    assert names[4:] == ["far:split", "far:process:0", "far:process:1", "far:merge"]


def test_continued_jobs_count_as_submitted_where_the_first_were(cluster: Place) -> None:
    cluster.psy("run")
    records_with(cluster, host="login-of-x")  # what the merge job runs on is a node
    assert half_the_work(cluster) == 0
    run_id = json.loads((cluster.work / "far" / "plan.json").read_text())["run_id"]
    records = map(json.loads, (cluster.work / "far" / "jobs.jsonl").read_text().splitlines())
    hosts = {r["host"] for r in records if r["run_id"] == run_id}
    assert hosts == {"login-of-x"}


def test_cluster_where_jobs_submit_no_jobs_is_no_trouble(cluster: Place) -> None:
    cluster.psy("run")
    says(cluster, "down")
    assert half_the_work(cluster) == 1
    log = (cluster.work / "far" / "far:merge.log").read_text()
    assert "Not continued: The cluster is down." in log
    assert "Traceback" not in log
    says(cluster, "D")
    assert "jobs are submitted" in cluster.psy("run").stderr


def test_what_cannot_be_ended_is_said(cluster: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.psy("run")
    source = CLUSTER.replace("        add(KILLED, jobid)\n", "        pass\n")
    (cluster.folder / "psy-tasks" / "cluster.py").write_text(source)
    monkeypatch.setattr("psyflow.cli.commands.kill.PATIENCE", 0.3)
    told = cluster.psy("kill", "-y", "far")
    assert told.returncode == 3
    assert "far: still at work: job 1: queued" in told.stderr


def test_forgotten_jobs_are_over_once_the_merge_job_said_so(cluster: Place) -> None:
    cluster.psy("run")
    says(cluster, "?")
    assert "has jobs at work: job 1: unknown" in cluster.psy("run").stderr
    do_the_work(cluster)
    assert "at work" not in cluster.psy("status").stderr
    source = FAR.replace("range(4)", "range(5)")
    cluster.task("far", source)
    assert "3 jobs are submitted" in cluster.psy("run").stderr


def test_forgotten_jobs_are_over_once_they_were_killed(cluster: Place) -> None:
    cluster.psy("run")
    says(cluster, "?")
    assert cluster.psy("kill", "far").returncode == 0
    assert "4 jobs are submitted" in cluster.psy("run").stderr


def test_status_tells_states_and_reasons(cluster: Place) -> None:
    cluster.psy("run")
    says(cluster, "F")
    source = CLUSTER.replace('(jobid, state, "job")', '(jobid, state, "job", "oom")')
    assert source != CLUSTER
    (cluster.folder / "psy-tasks" / "cluster.py").write_text(source)
    told = cluster.psy("status")
    assert "no job is at work. The last ones: job 1 (job) failed (oom); job 2" in told.stderr
    report = json.loads(cluster.psy("status", "--json").stdout)["far"]
    assert report["job_states"] == {"failed": 4}
    assert report["job_details"][0] == {
        "id": "1",
        "name": "job",
        "state": "failed",
        "reason": "oom",
    }


def test_watch_tells_what_was_skipped(place: Place) -> None:
    place.task("square", SKIPS_ZERO)
    place.psy("run")
    told = place.program("watch").stderr
    assert "square: 3/4 done, 0 failed, 0 running, 0 queued, 1 skipped\n" in told
