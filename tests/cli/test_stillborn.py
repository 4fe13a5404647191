"""Jobs that end before their first item: what their logs say last is told, and where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.place import SQUARE, Place

from .test_jobs import cluster
from .test_waiting import says

__all__ = ["cluster"]

BAD_SETUP = SQUARE + "\ndef setup(proc_id):\n    raise OSError('no licence server')\n"
NO_PYTHON = "/var/spool/job4: line 9: /no/such/python: No such file or directory\n"


def log_of(place: Place, job: str) -> Path:
    return place.work / "far" / f"far:{job}.log"


def test_a_setup_that_fails_is_among_the_failures(place: Place) -> None:
    place.task("t", BAD_SETUP)
    assert place.psy("run").returncode == 3
    shown = place.psy("failures", "t")
    assert shown.stdout.startswith(
        "t: job process:0 ended before its first item; psy-work/t/t:process:0.log ends with:\n"
    )
    assert "`setup` failed.\n  Traceback (most recent call last):\n" in shown.stdout
    assert shown.stdout.rstrip().endswith("OSError: no licence server")
    assert "no failures" not in shown.stderr
    assert "OSError: no licence server" in place.psy("status", "t").stderr
    (told,) = json.loads(place.psy("failures", "--json", "t").stdout)["t"][
        "ended_before_first_item"
    ]
    assert told["jobs"] == ["process:0"]


def test_after_the_correction_nothing_is_told(place: Place) -> None:
    place.task("t", BAD_SETUP)
    place.psy("run")
    place.task("t", SQUARE)
    assert place.psy("run").returncode == 0
    assert "ended before" not in place.psy("status", "t").stderr
    assert place.psy("failures", "t").stderr == "t: no failures.\n"


def test_logs_of_a_cluster_that_say_the_same_are_told_once(cluster: Place) -> None:
    cluster.psy("run")
    plan = next((cluster.work / "far" / "plans").iterdir())
    (plan / "in").mkdir()
    (plan / "in" / "0.npy").touch()
    for job in range(2):
        log_of(cluster, f"process:{job}").write_text(NO_PYTHON)
    says(cluster, "R")
    assert "ended before" not in cluster.psy("status", "far").stderr
    says(cluster, "F")
    for command in ("status", "failures"):
        shown = cluster.psy(command, "far")
        told = shown.stdout + shown.stderr
        assert "job process:0 and 1 more ended before their first items" in told
        assert told.count("/no/such/python") == 1


def test_a_split_that_dies_is_told_alone(cluster: Place) -> None:
    says(cluster, "F")
    cluster.psy("run")
    log_of(cluster, "split").write_text(NO_PYTHON)
    shown = cluster.psy("failures", "far")
    assert "job split ended before its first item" in shown.stdout
    assert NO_PYTHON.strip() in shown.stdout


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_a_log_that_says_nothing_is_not_quoted(cluster: Place, text: str) -> None:
    says(cluster, "F")
    cluster.psy("run")
    log_of(cluster, "split").write_text(text)
    assert cluster.psy("failures", "far").stderr == "far: no failures.\n"
