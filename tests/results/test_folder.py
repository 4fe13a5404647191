"""`psyflow.folder`: where a pset keeps its files."""

from __future__ import annotations

import pytest

import psyflow
from psyflow.exceptions import UnknownNameError, UsageError

KEEPING = """
from psyflow import Param

pspace = Param(task=["a", "b"]) * Param(n=[1, 2])


def execute(task, n, ctx):
    (ctx.dir / "said.txt").write_text(f"{task}{n}")
    return {"y": n}
"""


@pytest.fixture
def kept(place, monkeypatch):
    place.task("keep", KEEPING)
    assert place.psy("run").returncode == 0
    monkeypatch.chdir(place.folder)
    return place


def test_any_way_to_name_the_run_and_any_name_of_a_parameter(kept):
    for name in ("keep", "psy-work/keep", "psy-tasks/task_keep.py"):
        found = psyflow.folder(name, task="b", n=2)
        assert (found / "said.txt").read_text() == "b2"
    # By the rules of psyflow, 1.0 is 1.
    assert (psyflow.folder("keep", task="a", n=1.0) / "said.txt").read_text() == "a1"


def test_what_names_no_pset_is_said(kept):
    with pytest.raises(UsageError, match="No psets"):
        psyflow.folder("keep", task="c", n=1)
    with pytest.raises(UsageError, match='without "n"'):
        psyflow.folder("keep", task="a")
    with pytest.raises(UnknownNameError, match='no parameter "m"'):
        psyflow.folder("keep", task="a", m=1)
