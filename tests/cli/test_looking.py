"""To look costs a cluster little: one question for all tasks, none about what is over."""

from __future__ import annotations

import json
import os

import pytest

from psyflow.record.jobs import Jobs
from psyflow.record.layout import Layout
from psyflow.record.plan import Plan
from psyflow.report import asking
from psyflow.scheduler import JobStatus
from tests.support.place import SQUARE, Place

from .test_jobs import CLUSTER, FAR


@pytest.fixture
def tasks(place: Place) -> Place:
    """Two tasks whose jobs are queued on one cluster, and one that is not run."""
    for name in ("a", "b"):
        place.task(name, FAR)
    (place.folder / "psy-tasks" / "cluster.py").write_text(CLUSTER)
    assert place.psy("run", "a", "b").returncode == 0
    (place.folder / "cluster.asked").unlink(missing_ok=True)
    place.task("idle", FAR)
    return place


def asked(place: Place) -> list[str]:
    file = place.folder / "cluster.asked"
    return file.read_text().splitlines() if file.exists() else []


def jobs_of(place: Place, name: str) -> tuple[Jobs, str]:
    layout = Layout(place.work / name, name, place.work / name / "result.pkl")
    plan = Plan.present(layout)
    assert plan is not None
    return Jobs(layout), plan.run_id


def test_one_question_is_for_all_tasks(tasks: Place) -> None:
    shown = tasks.psy("status")
    assert shown.stderr.count("at work: job") == 2
    (question,) = asked(tasks)
    # Split, two process jobs and merge of each.
    assert sorted(map(int, question.split())) == list(range(1, 9))


def test_nothing_is_asked_about_what_is_over(tasks: Place) -> None:
    jobs, run_id = jobs_of(tasks, "a")
    jobs.record_over(run_id, [JobStatus("2", "F", "a:process:0", "oom")])
    shown = tasks.psy("status", "a", "idle")
    assert "no job is at work. The last ones: job 2 (a:process:0) failed (oom)." in shown.stderr
    report = json.loads(tasks.psy("status", "--json", "a").stdout)["a"]
    assert report["job_states"] == {"done": 3, "failed": 1}
    assert asked(tasks) == []
    tasks.psy("status")
    assert [sorted(map(int, question.split())) for question in asked(tasks)] == [[5, 6, 7, 8]]


def test_what_an_older_psyflow_noted_is_asked_for_while_something_is_missing(tasks: Place) -> None:
    jobs, run_id = jobs_of(tasks, "a")
    jobs.record_over(run_id)
    (tasks.folder / "cluster.state").write_text("C")
    assert "was cancelled" in tasks.psy("status", "a").stderr
    assert len(asked(tasks)) == 1
    # What is up to date needs nobody.
    tasks.task("a", SQUARE)
    assert tasks.psy("run", "a").returncode == 0
    jobs, run_id = jobs_of(tasks, "a")
    jobs.record_over(run_id)
    tasks.task("a", FAR)
    tasks.psy("status", "a")
    assert len(asked(tasks)) == 1


def test_what_is_on_the_disk_is_shown_though_the_scheduler_hangs(
    tasks: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "LOOK_SECONDS", 1.0)
    (tasks.folder / "cluster.state").write_text("hangs")
    shown = tasks.psy("status", "a", "b")
    assert shown.stdout.count("0 out of 4 rows completed.") == 2
    assert shown.stderr.count("Cluster has not answered within 1 s") == 2
    assert len(asked(tasks)) == 1
    (tasks.folder / "cluster.state").write_text("Q")


def test_killed_jobs_are_not_asked_about(tasks: Place) -> None:
    assert tasks.psy("kill", "a").returncode == 0
    (tasks.folder / "cluster.asked").unlink()
    assert "was cancelled" in tasks.psy("status", "a").stderr
    assert asked(tasks) == []


def test_a_merge_may_take_away_what_a_look_has_seen(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = place.folder / "gate"
    fails = f"    assert x != 3 or __import__('os').path.exists({str(gate)!r})\n    return"
    place.task("sq", SQUARE.replace("    return", fails))
    assert place.psy("run", "sq").returncode == 1
    shards = [*place.work.glob("sq/out/*.rows")]
    assert shards
    opened, merged = os.open, []

    def slowly(path: str | os.PathLike[str], *how: int, **more: int) -> int:
        if not merged and str(path).endswith(".rows"):
            gate.touch()
            merged.append(place.program("run", "sq").returncode)
        return opened(path, *how, **more)

    monkeypatch.setattr(os, "open", slowly)
    report = json.loads(place.psy("status", "--json", "sq").stdout)["sq"]
    assert merged == [0]
    assert not any(shard.exists() for shard in shards)
    assert report["n_done"] == 4
